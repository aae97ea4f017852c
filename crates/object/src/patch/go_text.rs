//! Values as Go's `%v` prints them, which is how upstream's messages show them.

use std::fmt;

use serde_json::Value;

/// `value` in Go's notation: `map[spec:map[bogus:1]]`, `[a b]`, `<nil>`.
#[must_use]
pub fn go_text(value: &Value) -> String {
    GoText(value).to_string()
}

struct GoText<'a>(&'a Value);

impl fmt::Display for GoText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null => f.write_str("<nil>"),
            Value::Bool(value) => value.fmt(f),
            Value::Number(value) => value.fmt(f),
            Value::String(text) => f.write_str(text),
            Value::Array(list) => {
                f.write_str("[")?;
                for (i, element) in list.iter().enumerate() {
                    let space = if i > 0 { " " } else { "" };
                    write!(f, "{space}{}", GoText(element))?;
                }
                f.write_str("]")
            }
            Value::Object(map) => {
                f.write_str("map[")?;
                for (i, (key, element)) in map.iter().enumerate() {
                    let space = if i > 0 { " " } else { "" };
                    write!(f, "{space}{key}:{}", GoText(element))?;
                }
                f.write_str("]")
            }
        }
    }
}
