//! A message into JSON, field by field after the table.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::schema::{Field, Fields, Kind, Shape, fields_of};
use super::wire::{Reader, Wire};
use super::{MEDIA_TYPE, ProtobufError};
use crate::document::{Trail, read_json};

const WRONG_TYPE: &str = "a field has another wire type than it should";

/// The object in an envelope (upstream's `runtime.Unknown`), which follows the prefix of a body.
pub(super) fn object(envelope: &[u8]) -> Result<Value, ProtobufError> {
    let root = Trail::Root;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    each(Wire::Bytes(envelope), root, |number, wire| {
        match number {
            1 => each(wire, root, |number, wire| {
                match number {
                    1 => api_version = text(wire, root)?,
                    2 => kind = text(wire, root)?,
                    _ => {}
                }
                Ok(())
            })?,
            2 => raw = bytes(wire, root)?,
            3 | 4 => {
                let encoding = text(wire, root)?;
                if !encoding.is_empty() && encoding != MEDIA_TYPE {
                    return Err(ProtobufError::Encoding(encoding));
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    let Some(fields) = fields_of(&api_version, &kind) else {
        return Err(ProtobufError::Kind { api_version, kind });
    };
    let mut object = Map::new();
    decode_message(&mut object, raw, fields, root)?;
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.into());
    Ok(Value::Object(object))
}

fn malformed(trail: Trail<'_>, fault: &'static str) -> ProtobufError {
    ProtobufError::Malformed { path: trail.to_string(), fault }
}

/// Adds the fields in `message` to `object`: also to one that has some already, as the encoding allows.
fn decode_message(
    object: &mut Map<String, Value>,
    message: &[u8],
    fields: &'static Fields,
    parent: Trail<'_>,
) -> Result<(), ProtobufError> {
    let mut reader = Reader::new(message);
    while let Some((number, wire)) = reader.next().map_err(|fault| malformed(parent, fault))? {
        let Ok(place) = fields.0.binary_search_by_key(&number, |field| field.number) else { continue };
        let field = &fields.0[place];
        let trail = Trail::Field(&parent, field.name);
        match (field.shape, field.kind) {
            (Shape::Inline, Kind::Message(inner)) => {
                decode_message(object, bytes(wire, parent)?, inner, parent)?;
            }
            (Shape::Single, Kind::Message(inner)) => {
                let entry = object.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(entry) = entry {
                    decode_message(entry, bytes(wire, trail)?, inner, trail)?;
                }
            }
            (Shape::List, _) => {
                let entry = object.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(list) = entry {
                    decode_element(list, wire, field, trail)?;
                }
            }
            (Shape::Map, _) => {
                let (key, value) = decode_entry(bytes(wire, trail)?, field.kind, trail)?;
                let entry = object.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(map) = entry {
                    map.insert(key, value);
                }
            }
            (shape, kind) => match decode_value(wire, kind, trail)? {
                Some(value) if shape == Shape::Single || !is_zero(&value) => {
                    object.insert(field.name.to_owned(), value);
                }
                _ => {
                    object.remove(field.name);
                }
            },
        }
    }
    Ok(())
}

/// Whether Go's `omitempty` would leave the value out.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

fn decode_element(
    list: &mut Vec<Value>,
    wire: Wire<'_>,
    field: &Field,
    parent: Trail<'_>,
) -> Result<(), ProtobufError> {
    if let (Kind::Int, Wire::Bytes(packed)) = (field.kind, wire) {
        let mut reader = Reader::new(packed);
        while !reader.is_empty() {
            let number = reader.varint().map_err(|fault| malformed(parent, fault))?;
            list.push(number.cast_signed().into());
        }
        return Ok(());
    }
    let trail = Trail::Index(&parent, list.len());
    list.push(decode_value(wire, field.kind, trail)?.unwrap_or_default());
    Ok(())
}

fn decode_entry(entry: &[u8], kind: Kind, parent: Trail<'_>) -> Result<(String, Value), ProtobufError> {
    let (mut key, mut content) = (String::new(), Wire::Bytes(&[]));
    each(Wire::Bytes(entry), parent, |number, wire| {
        match number {
            1 => key = text(wire, parent)?,
            2 => content = wire,
            _ => {}
        }
        Ok(())
    })?;
    let value = decode_value(content, kind, Trail::Key(&parent, &key))?.unwrap_or_default();
    Ok((key, value))
}

/// A value on its own; nothing for a time or a JSON text that is not set.
fn decode_value(wire: Wire<'_>, kind: Kind, trail: Trail<'_>) -> Result<Option<Value>, ProtobufError> {
    let value = match kind {
        Kind::Text => Value::String(text(wire, trail)?),
        Kind::Bool => Value::Bool(varint(wire, trail)? != 0),
        Kind::Int => Value::from(varint(wire, trail)?.cast_signed()),
        Kind::Bytes => Value::String(STANDARD.encode(bytes(wire, trail)?)),
        Kind::Message(fields) => {
            let mut object = Map::new();
            decode_message(&mut object, bytes(wire, trail)?, fields, trail)?;
            Value::Object(object)
        }
        Kind::Time => return Ok(time(wire, trail)?.map(|time| format!("{time:.0}").into())),
        Kind::MicroTime => return Ok(time(wire, trail)?.map(|time| format!("{time:.6}").into())),
        Kind::Quantity => match single(wire, trail)? {
            Some(number) => Value::String(text(number, trail)?),
            None => Value::from("0"),
        },
        Kind::IntOrString => int_or_string(wire, trail)?,
        Kind::Json => return json(wire, trail),
        Kind::TextList => {
            let mut list = Vec::new();
            each(wire, trail, |number, wire| {
                if number == 1 {
                    list.push(Value::String(text(wire, trail)?));
                }
                Ok(())
            })?;
            Value::Array(list)
        }
    };
    Ok(Some(value))
}

fn each<'a>(
    wire: Wire<'a>,
    trail: Trail<'_>,
    mut take: impl FnMut(u64, Wire<'a>) -> Result<(), ProtobufError>,
) -> Result<(), ProtobufError> {
    let mut reader = Reader::new(bytes(wire, trail)?);
    while let Some((number, wire)) = reader.next().map_err(|fault| malformed(trail, fault))? {
        take(number, wire)?;
    }
    Ok(())
}

/// The only field of a message that wraps one.
fn single<'a>(wire: Wire<'a>, trail: Trail<'_>) -> Result<Option<Wire<'a>>, ProtobufError> {
    let mut content = None;
    each(wire, trail, |number, wire| {
        if number == 1 {
            content = Some(wire);
        }
        Ok(())
    })?;
    Ok(content)
}

fn time(wire: Wire<'_>, trail: Trail<'_>) -> Result<Option<Timestamp>, ProtobufError> {
    let (mut seconds, mut nanos) = (None, 0);
    each(wire, trail, |number, wire| {
        match number {
            1 => seconds = Some(varint(wire, trail)?.cast_signed()),
            2 => nanos = varint(wire, trail)?.cast_signed(),
            _ => {}
        }
        Ok(())
    })?;
    let Some(seconds) = seconds else { return Ok(None) };
    let nanos = i32::try_from(nanos).ok();
    let time = nanos.and_then(|nanos| Timestamp::new(seconds, nanos).ok());
    time.map(Some).ok_or_else(|| malformed(trail, "the time is out of range"))
}

fn int_or_string(wire: Wire<'_>, trail: Trail<'_>) -> Result<Value, ProtobufError> {
    let (mut is_string, mut number, mut string) = (false, 0, String::new());
    each(wire, trail, |field, wire| {
        match field {
            1 => is_string = varint(wire, trail)? != 0,
            2 => number = varint(wire, trail)?.cast_signed(),
            3 => string = text(wire, trail)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(if is_string { Value::String(string) } else { Value::from(number) })
}

fn json(wire: Wire<'_>, trail: Trail<'_>) -> Result<Option<Value>, ProtobufError> {
    match single(wire, trail)?.map(|content| bytes(content, trail)).transpose()? {
        None | Some([]) => Ok(None),
        Some(text) => match read_json(text) {
            Ok(document) => Ok(Some(document.value)),
            Err(_) => Err(malformed(trail, "the text in it is not JSON")),
        },
    }
}

fn varint(wire: Wire<'_>, trail: Trail<'_>) -> Result<u64, ProtobufError> {
    if let Wire::Varint(value) = wire { Ok(value) } else { Err(malformed(trail, WRONG_TYPE)) }
}

fn bytes<'a>(wire: Wire<'a>, trail: Trail<'_>) -> Result<&'a [u8], ProtobufError> {
    if let Wire::Bytes(bytes) = wire { Ok(bytes) } else { Err(malformed(trail, WRONG_TYPE)) }
}

fn text(wire: Wire<'_>, trail: Trail<'_>) -> Result<String, ProtobufError> {
    let text =
        std::str::from_utf8(bytes(wire, trail)?).map_err(|_| malformed(trail, "a text is not UTF-8"))?;
    Ok(text.to_owned())
}
