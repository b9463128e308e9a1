//! What the README promises of the JSON lines, read from its table, and whether a program prints
//! just that: no field that is not promised, none promised that never comes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Fields by dotted path; what stands in a list is named like what stands in an object:
/// `children.peer`.
pub type Fields = BTreeSet<String>;

/// The table's fields by what stands in its first column (`publish`, `room create`, `first line`).
#[derive(Debug)]
pub struct Table(BTreeMap<String, Fields>);

impl Table {
    /// Reads the first table with the columns role, field and meaning.
    ///
    /// # Errors
    /// A sentence, if there is none or a row cannot be understood.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut rows = text.lines().skip_while(|line| !line.starts_with("| role | field |"));
        rows.next().ok_or("there is no table of fields")?;
        let mut table = BTreeMap::<String, Fields>::new();
        let mut role = String::new();
        for row in rows.skip(1).take_while(|line| line.starts_with('|')) {
            let cells: Vec<_> = row.trim_matches('|').splitn(3, " | ").map(str::trim).collect();
            let [first, names, meaning] = cells[..] else {
                return Err(format!("not three columns: {row}"));
            };
            if !first.is_empty() {
                role = first.replace('`', "");
            }
            let fields = table.entry(role.clone()).or_default();
            let names = spans(names);
            if names.is_empty() {
                return Err(format!("a row without a field: {row}"));
            }
            fields.extend(names.iter().map(|name| (*name).to_owned()));
            fields.extend(shape(meaning, &names)?);
        }
        Ok(Self(table))
    }

    /// The fields of these rows together.
    ///
    /// # Panics
    /// If there are none of one of these names.
    #[must_use]
    pub fn of(&self, roles: &[&str]) -> Fields {
        let fields = |role: &&str| {
            self.0.get(*role).unwrap_or_else(|| panic!("the table has no row of {role}: {self:?}"))
        };
        roles.iter().flat_map(fields).cloned().collect()
    }
}

/// What stands between backticks.
fn spans(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The fields inside a field: a span like `{a, b}` or `[{a, b}]`, of the row's only field or of the
/// one that is named before it with "is".
fn shape(meaning: &str, names: &[&str]) -> Result<Fields, String> {
    let mut fields = Fields::new();
    let (mut before, mut named) = ("", "");
    for (index, part) in meaning.split('`').enumerate() {
        if index % 2 == 0 {
            before = part.trim();
            continue;
        }
        let inside = part.trim_matches(|c| c == '[' || c == ']');
        let Some(inside) = inside.strip_prefix('{').and_then(|part| part.strip_suffix('}')) else {
            named = part;
            continue;
        };
        let owner = match names {
            _ if before == "is" => named,
            [only] => only,
            _ => return Err(format!("whose fields are {part} in «{meaning}»?")),
        };
        fields.extend(inside.split(',').map(|name| format!("{owner}.{}", name.trim())));
    }
    Ok(fields)
}

/// Every field of this object and of the objects in it.
#[must_use]
pub fn fields(value: &Value) -> Fields {
    let mut found = Fields::new();
    collect(value, "", &mut found);
    found
}

fn collect(value: &Value, path: &str, found: &mut Fields) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect(value, &path, found);
                found.insert(path);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, path, found)),
        _ => {}
    }
}

/// Whether lines of one kind print just what is promised of them: each line every field at its top,
/// all of them together every field inside, and none of them any other.
///
/// # Errors
/// A sentence that names the fields.
pub fn kept(what: &str, promised: &Fields, lines: &[&Value]) -> Result<(), String> {
    if lines.is_empty() {
        return Err(format!("{what}: there is no such line"));
    }
    let mut printed = Fields::new();
    for line in lines {
        let here = fields(line);
        let other: Vec<_> = here.difference(promised).collect();
        if !other.is_empty() {
            return Err(format!("{what} prints {other:?}, of which the README says nothing"));
        }
        let top = promised.iter().filter(|path| !path.contains('.'));
        let missing: Vec<_> = top.filter(|path| !here.contains(*path)).collect();
        if !missing.is_empty() {
            return Err(format!("{what}: the README promises {missing:?}, not in {line}"));
        }
        printed.extend(here);
    }
    let missing: Vec<_> = promised.difference(&printed).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("{what}: the README promises {missing:?}, which never came"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TEXT: &str = "\
words
| role | field | meaning |
|---|---|---|
| first line | `ready` | yes |
| publish | `bytes`, `units` | so far; `null` is none |
| | `children` | who is fed: `[{peer, sent}]`. More |
| demo | `a`, `bootstrap` | as above; `bootstrap` is `{rooms}` |
| `room show` | `room` | it |

| other | table | here |
";

    fn set(paths: &[&str]) -> Fields {
        paths.iter().map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn the_table_is_read_with_what_stands_in_lists_and_objects() {
        let table = Table::read(TEXT).unwrap();
        assert_eq!(table.of(&["first line"]), set(&["ready"]));
        let publish = ["bytes", "units", "children", "children.peer", "children.sent"];
        assert_eq!(table.of(&["publish"]), set(&publish));
        assert_eq!(table.of(&["demo"]), set(&["a", "bootstrap", "bootstrap.rooms"]));
        assert_eq!(table.of(&["room show", "first line"]), set(&["room", "ready"]));
        assert!(Table::read("no table").is_err());
        let torn = "| role | field | meaning |\n|---|---|---|\n| watch | `a`, `b` | `{c}` |";
        assert!(Table::read(torn).unwrap_err().contains("whose fields"));
    }

    #[test]
    fn a_promise_can_be_broken_in_both_directions() {
        let promised = Table::read(TEXT).unwrap().of(&["publish"]);
        let full = json!({"bytes": 1, "units": 2, "children": [{"peer": "x", "sent": 3}]});
        let empty = json!({"bytes": 1, "units": 2, "children": []});
        kept("publish", &promised, &[&empty, &full]).unwrap();
        let broken = |lines: &[&Value]| kept("publish", &promised, lines).unwrap_err();
        assert!(broken(&[]).contains("no such line"));
        assert!(broken(&[&empty]).contains("children.sent"));
        let more = json!({"bytes": 1, "units": 2, "children": [{"peer": "x", "sent": 3, "x": 1}]});
        assert!(broken(&[&full, &more]).contains("children.x"));
        let less = json!({"bytes": 1, "children": []});
        assert!(broken(&[&full, &less]).contains("units"));
    }
}
