//! A value into a typed object, noting the fields that its type does not have.
//!
//! Serde's own value deserializer says neither which fields it passed over nor in which struct a type error
//! lies; this one knows both, because every step down carries the trail and the name of the struct.

use std::any::type_name;
use std::cell::RefCell;
use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, MapDeserializer, SeqDeserializer, StringDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::{Number, Value};

use super::base64;
use super::go_type::go_type;
use super::trail::Trail;
use crate::limits::FIELD_PROBLEMS_MAX;
use crate::quantity::{Quantity, QuantityError};
use crate::{Kind, Typed};

/// A typed object and what its document had besides.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded<T> {
    /// The object.
    pub object: T,
    /// The paths of fields that the type does not have, such as `spec.template.spec.containers[0].imag`.
    pub unknown: Vec<String>,
}

/// A value that does not have the type its place wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeError {
    path: String,
    message: String,
}

impl TypeError {
    /// Where the value lies, with list indexes: `spec.template.spec.containers[0].image`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    fn at(self, trail: &Trail<'_>) -> Self {
        if self.path.is_empty() { TypeError { path: trail.to_string(), ..self } } else { self }
    }
}

/// In the words of Go's decoder, such as
/// `json: cannot unmarshal string into Go struct field JobSpec.spec.parallelism of type int32`.
impl fmt::Display for TypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TypeError {}

impl Error for TypeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        TypeError { path: String::new(), message: message.to_string() }
    }
}

/// Decodes `value`, tolerating and naming unknown fields.
///
/// As in Go, `null` stands for the zero value everywhere, quantities come out in canonical form, and base64
/// may contain line breaks. Unlike in Go, the names of fields must have their exact case.
///
/// # Errors
/// A value of another type than its place wants: the first one found.
pub fn decode<'de, T: Deserialize<'de>>(value: &'de Value) -> Result<Decoded<T>, TypeError> {
    let unknown = RefCell::new(Vec::new());
    let object = T::deserialize(Decoder { value, trail: Trail::Root, within: None, unknown: &unknown })?;
    Ok(Decoded { object, unknown: unknown.into_inner() })
}

/// Decodes `value` as an object of `kind`, as [`decode`] does.
///
/// # Errors
/// A value of another type than its place wants: the first one found.
pub fn decode_typed(kind: Kind, value: &Value) -> Result<Decoded<Typed>, TypeError> {
    with_kind!(kind, T => {
        let Decoded { object, unknown } = decode::<T>(value)?;
        Ok(Decoded { object: object.into(), unknown })
    })
}

/// A value, where it lies, and the name of the struct around it.
#[derive(Clone, Copy)]
struct Decoder<'a, 'de> {
    value: &'de Value,
    trail: Trail<'a>,
    within: Option<&'static str>,
    unknown: &'a RefCell<Vec<String>>,
}

impl<'de> Decoder<'_, 'de> {
    fn mismatch(&self, found: &str, wanted: &str) -> TypeError {
        let path = self.trail.to_string();
        let message = match self.within {
            Some(name) => {
                let fields = self.trail.fields();
                format!(
                    "json: cannot unmarshal {found} into Go struct field {name}.{fields} of type {wanted}"
                )
            }
            None => format!("json: cannot unmarshal {found} into Go value of type {wanted}"),
        };
        TypeError { path, message }
    }

    fn mismatch_for<T>(&self) -> TypeError {
        let found = match self.value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        self.mismatch(found, &go_type::<T>())
    }

    fn failure(&self, message: String) -> TypeError {
        TypeError { path: self.trail.to_string(), message }
    }

    /// A number of type `T`; `null` counts as zero.
    fn number<T: Default>(&self, convert: impl Fn(&Number) -> Option<T>) -> Result<T, TypeError> {
        match self.value {
            Value::Null => Ok(T::default()),
            Value::Number(number) => {
                convert(number).ok_or_else(|| self.mismatch(&format!("number {number}"), &go_type::<T>()))
            }
            _ => Err(self.mismatch_for::<T>()),
        }
    }

    fn text(&self) -> Result<&'de str, TypeError> {
        match self.value {
            Value::Null => Ok(""),
            Value::String(text) => Ok(text),
            _ => Err(self.mismatch_for::<String>()),
        }
    }

    fn quantity(&self) -> Result<String, TypeError> {
        let quantity = match self.value {
            Value::Null => Ok(Quantity::ZERO),
            Value::Number(number) => number.to_string().parse(),
            Value::String(text) => text.trim().parse(),
            _ => Err(QuantityError::Format),
        };
        quantity.map(|quantity| quantity.to_string()).map_err(|error| self.failure(error.to_string()))
    }

    fn entries<V: Visitor<'de>>(
        self,
        fields_of: Option<&'static str>,
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        match self.value {
            Value::Null => visitor.visit_map(MapDeserializer::new(std::iter::empty::<(&str, &str)>())),
            Value::Object(map) => {
                visitor.visit_map(Entries { of: self, fields_of, rest: map.iter(), next: None })
            }
            _ => Err(self.mismatch_for::<V::Value>()),
        }
    }
}

macro_rules! deserialize_numbers {
    ($($method:ident $visit:ident $type:ty = $convert:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
            let convert: fn(&Number) -> Option<$type> = $convert;
            visitor.$visit(self.number(convert)?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Decoder<'_, 'de> {
    type Error = TypeError;

    deserialize_numbers! {
        deserialize_i8 visit_i8 i8 = |n| n.as_i64()?.try_into().ok();
        deserialize_i16 visit_i16 i16 = |n| n.as_i64()?.try_into().ok();
        deserialize_i32 visit_i32 i32 = |n| n.as_i64()?.try_into().ok();
        deserialize_i64 visit_i64 i64 = Number::as_i64;
        deserialize_u8 visit_u8 u8 = |n| n.as_u64()?.try_into().ok();
        deserialize_u16 visit_u16 u16 = |n| n.as_u64()?.try_into().ok();
        deserialize_u32 visit_u32 u32 = |n| n.as_u64()?.try_into().ok();
        deserialize_u64 visit_u64 u64 = Number::as_u64;
        deserialize_f32 visit_f64 f64 = Number::as_f64;
        deserialize_f64 visit_f64 f64 = Number::as_f64;
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => {
                number.deserialize_any(visitor).map_err(|error| self.failure(error.to_string()))
            }
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(_) => self.deserialize_seq(visitor),
            Value::Object(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match self.value {
            Value::Null => visitor.visit_bool(false),
            Value::Bool(value) => visitor.visit_bool(*value),
            _ => Err(self.mismatch_for::<bool>()),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match self.value {
            Value::Null => visitor.visit_none(),
            Value::String(text) if type_name::<V::Value>().ends_with("::ByteString") => {
                let canonical = base64::canonical(text).map_err(|message| self.failure(message))?;
                visitor.visit_some(StringDeserializer::new(canonical))
            }
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        if name == "Quantity" {
            return visitor.visit_newtype_struct(StringDeserializer::new(self.quantity()?));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match self.value {
            Value::Null => visitor.visit_seq(SeqDeserializer::new(std::iter::empty::<&str>())),
            Value::Array(list) => visitor.visit_seq(Elements { of: self, list, next: 0 }),
            _ => Err(self.mismatch_for::<V::Value>()),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        self.entries(None, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        self.entries(Some(name), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        let decoded = self.value.deserialize_enum(name, variants, visitor);
        decoded.map_err(|error| self.failure(error.to_string()))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        let mut unknown = self.unknown.borrow_mut();
        if unknown.len() < FIELD_PROBLEMS_MAX {
            unknown.push(self.trail.to_string());
        }
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        char bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }
}

struct Elements<'a, 'de> {
    of: Decoder<'a, 'de>,
    list: &'de [Value],
    next: usize,
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = TypeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, TypeError> {
        let Some(value) = self.list.get(self.next) else { return Ok(None) };
        let trail = Trail::Index(&self.of.trail, self.next);
        self.next += 1;
        seed.deserialize(Decoder { value, trail, ..self.of }).map(Some).map_err(|error| error.at(&trail))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.list.len() - self.next)
    }
}

struct Entries<'a, 'de> {
    of: Decoder<'a, 'de>,
    /// The struct whose fields these are; none for a map.
    fields_of: Option<&'static str>,
    rest: serde_json::map::Iter<'de>,
    next: Option<(&'de str, &'de Value)>,
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = TypeError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, TypeError> {
        self.next = self.rest.next().map(|(key, value)| (key.as_str(), value));
        self.next.map(|(key, _)| seed.deserialize(BorrowedStrDeserializer::new(key))).transpose()
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, TypeError> {
        let (key, value) =
            self.next.take().ok_or_else(|| TypeError::custom("a value was asked for before its key"))?;
        let parent = &self.of.trail;
        let trail =
            if self.fields_of.is_some() { Trail::Field(parent, key) } else { Trail::Key(parent, key) };
        let within = self.fields_of.or(self.of.within);
        seed.deserialize(Decoder { value, trail, within, ..self.of }).map_err(|error| error.at(&trail))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}
