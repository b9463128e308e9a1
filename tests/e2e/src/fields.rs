//! Looking into a JSON line by a dotted path, with a panic that shows the whole line.

use serde_json::Value;

/// Fields by dotted path: `latency_ms.p99`, `children.0.sent`.
pub trait Fields {
    /// The value there, if any.
    fn find(&self, path: &str) -> Option<&Value>;

    /// The value there.
    ///
    /// # Panics
    /// If there is none; the message shows the whole object.
    fn at(&self, path: &str) -> &Value;

    /// The number there.
    ///
    /// # Panics
    /// If there is none.
    fn num(&self, path: &str) -> f64;

    /// The count there.
    ///
    /// # Panics
    /// If there is no whole number of at least zero.
    fn count(&self, path: &str) -> u64;

    /// The text there.
    ///
    /// # Panics
    /// If there is none.
    fn text(&self, path: &str) -> &str;

    /// The list there.
    ///
    /// # Panics
    /// If there is none.
    fn list(&self, path: &str) -> &[Value];

    /// Whether `path` is there and true.
    fn is(&self, path: &str) -> bool;
}

impl Fields for Value {
    fn find(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(self, |value, name| match value {
            Value::Array(list) => list.get(name.parse::<usize>().ok()?),
            Value::Object(fields) => fields.get(name),
            _ => None,
        })
    }

    #[track_caller]
    fn at(&self, path: &str) -> &Value {
        self.find(path).unwrap_or_else(|| panic!("there is no field {path} in {self:#}"))
    }

    #[track_caller]
    fn num(&self, path: &str) -> f64 {
        self.at(path).as_f64().unwrap_or_else(|| panic!("{path} is no number in {self:#}"))
    }

    #[track_caller]
    fn count(&self, path: &str) -> u64 {
        self.at(path).as_u64().unwrap_or_else(|| panic!("{path} is no count in {self:#}"))
    }

    #[track_caller]
    fn text(&self, path: &str) -> &str {
        self.at(path).as_str().unwrap_or_else(|| panic!("{path} is no text in {self:#}"))
    }

    #[track_caller]
    fn list(&self, path: &str) -> &[Value] {
        self.at(path).as_array().unwrap_or_else(|| panic!("{path} is no list in {self:#}"))
    }

    fn is(&self, path: &str) -> bool {
        self.find(path).and_then(Value::as_bool) == Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_lead_through_objects_and_lists() {
        let line = json!({"a": {"b": [1, {"c": "x"}]}, "yes": true});
        assert_eq!(line.text("a.b.1.c"), "x");
        assert_eq!(line.count("a.b.0"), 1);
        assert!(line.is("yes") && !line.is("no"));
        assert!(line.find("a.b.7").is_none());
    }

    #[test]
    #[should_panic(expected = "there is no field a.z")]
    fn a_missing_field_is_named() {
        json!({"a": {"b": 1}}).num("a.z");
    }
}
