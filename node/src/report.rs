//! The JSON lines on standard output: one object a second and a last one with `"summary": true`.
//! The fields are documented in the README and never renamed.

use std::io::Write;
use std::time::Instant;

use serde_json::{Map, Value};

/// Writes the lines of one command, or nothing where `--json` was not given.
#[derive(Debug)]
pub struct Report {
    role: &'static str,
    start: Instant,
    json: bool,
}

impl Report {
    /// Begins to count `t` now.
    pub fn new(role: &'static str, json: bool) -> Self {
        Self { role, start: Instant::now(), json }
    }

    /// Whether lines are wanted.
    pub fn wanted(&self) -> bool {
        self.json
    }

    /// Writes one line: `t` and `role` first, then the fields of `body`.
    pub fn line(&self, body: Value) {
        self.write(body, false);
    }

    /// Writes the last line.
    pub fn summary(&self, body: Value) {
        self.write(body, true);
    }

    fn write(&self, body: Value, summary: bool) {
        if !self.json {
            return;
        }
        let mut line = Map::new();
        let t = (self.start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        line.insert("t".into(), t.into());
        line.insert("role".into(), self.role.into());
        if let Value::Object(body) = body {
            line.extend(body);
        }
        if summary {
            line.insert("summary".into(), true.into());
        }
        print_object(&Value::Object(line));
    }
}

/// Writes one JSON object as a line. A closed standard output (`| head`) is no error of ours.
pub fn print_object(object: &Value) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = writeln!(out, "{object}").and_then(|()| out.flush()) {
        tracing::debug!(%error, "standard output is closed");
    }
}

/// A value in milliseconds with two decimals, or null.
pub fn ms(value: Option<f64>) -> Value {
    value.map_or(Value::Null, |ms| ((ms * 100.0).round() / 100.0).into())
}
