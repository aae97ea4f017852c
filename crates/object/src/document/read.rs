//! JSON text into a value, with the keys that occur twice.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use super::trail::Trail;
use super::{SyntaxError, syntax};
use crate::limits::FIELD_PROBLEMS_MAX;

/// A JSON document as read.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The content. Of a key that occurs twice, the later value.
    pub value: Value,
    /// The paths of the keys that occur more than once, such as `metadata.name`, in the order found.
    pub duplicates: Vec<String>,
}

/// Reads one JSON document. Whole numbers stay exact within the ranges of `i64` and `u64`.
///
/// # Errors
/// Text that is not JSON, or nested deeper than [`crate::limits::DOCUMENT_DEPTH_MAX`].
pub fn read_json(text: &[u8]) -> Result<Document, SyntaxError> {
    let duplicates = RefCell::new(Vec::new());
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let seed = ValueSeed { trail: Trail::Root, duplicates: &duplicates };
    let value = seed.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    match value {
        Ok(value) => Ok(Document { value, duplicates: duplicates.into_inner() }),
        Err(error) => Err(SyntaxError(syntax::fault(text).unwrap_or_else(|| error.to_string()))),
    }
}

#[derive(Clone, Copy)]
struct ValueSeed<'a> {
    trail: Trail<'a>,
    duplicates: &'a RefCell<Vec<String>>,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("number out of range"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let trail = Trail::Index(&self.trail, list.len());
            let seed = ValueSeed { trail, duplicates: self.duplicates };
            match access.next_element_seed(seed)? {
                Some(element) => list.push(element),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let trail = Trail::Field(&self.trail, &key);
            let value = access.next_value_seed(ValueSeed { trail, duplicates: self.duplicates })?;
            match map.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert(value);
                }
                Entry::Occupied(mut entry) => {
                    let mut duplicates = self.duplicates.borrow_mut();
                    let path = Trail::Field(&self.trail, entry.key()).to_string();
                    if duplicates.len() < FIELD_PROBLEMS_MAX && !duplicates.contains(&path) {
                        duplicates.push(path);
                    }
                    entry.insert(value);
                }
            }
        }
        Ok(Value::Object(map))
    }
}
