//! Strategic merge patch: maps merge, lists merge by key, and directives say what merging cannot.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::schema::{Field, Struct};
use super::{PatchError, go_text, json_type};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ELEMENT_ORDER: &str = "$setElementOrder";
const DELETE_FROM_PRIMITIVE_LIST: &str = "$deleteFromPrimitiveList";

type Object = Map<String, Value>;

/// `target`, an object of the built-in `kind`, with `patch` merged into it.
pub(super) fn apply(target: &Value, patch: &Value, kind: &str) -> Result<Value, PatchError> {
    let mut result = target.as_object().cloned().unwrap_or_default();
    if let Some(patch) = patch.as_object() {
        merge_map(&mut result, patch, Some(Struct::of_kind(kind)))?;
    }
    Ok(Value::Object(result))
}

fn merge_map(target: &mut Object, patch: &Object, schema: Option<&Struct>) -> Result<(), PatchError> {
    match patch.get(PATCH) {
        None => {}
        Some(directive) if directive == "delete" => {
            target.clear();
            return Ok(());
        }
        Some(directive) if directive == "replace" => {
            *target = patch.clone();
            target.remove(PATCH);
            return Ok(());
        }
        Some(directive) => return Err(unknown_directive(directive, &Value::Object(patch.clone()))),
    }
    retain_keys(target, patch)?;
    for (key, value) in patch {
        if key.starts_with(DELETE_FROM_PRIMITIVE_LIST)
            || key.starts_with(SET_ELEMENT_ORDER)
            || key == RETAIN_KEYS
        {
            continue;
        }
        let field = schema.and_then(|schema| schema.field(key));
        let order = order_of(patch, key)?;
        merge_field(target, key, value, field, order)?;
    }
    for (directive, value) in patch {
        if let Some(key) = argument(directive, SET_ELEMENT_ORDER, "setElementOrder list")?
            && !patch.contains_key(key)
        {
            let field = schema.and_then(|schema| schema.field(key));
            reorder_field(target, key, field, list(value, "setElementOrder list")?)?;
        }
        if let Some(key) = argument(directive, DELETE_FROM_PRIMITIVE_LIST, "primitive list")? {
            let unwanted = list(value, "primitive list")?;
            if let Some(Value::Array(current)) = target.get_mut(key) {
                current.retain(|element| !unwanted.contains(element));
            }
        }
    }
    Ok(())
}

/// The field that a directive such as `$setElementOrder/containers` is about.
fn argument<'a>(key: &'a str, directive: &str, what: &'static str) -> Result<Option<&'a str>, PatchError> {
    match key.strip_prefix(directive) {
        None => Ok(None),
        Some(rest) => rest.strip_prefix('/').map(Some).ok_or(PatchError::DirectiveFormat(what)),
    }
}

fn list<'a>(value: &'a Value, what: &'static str) -> Result<&'a [Value], PatchError> {
    value.as_array().map(Vec::as_slice).ok_or(PatchError::DirectiveFormat(what))
}

fn order_of<'a>(patch: &'a Object, key: &str) -> Result<Option<&'a [Value]>, PatchError> {
    let order = patch.get(&format!("{SET_ELEMENT_ORDER}/{key}"));
    order.map(|order| list(order, "setElementOrder list")).transpose()
}

/// Drops the keys that `$retainKeys` does not list. The patch itself may set only keys that it lists.
fn retain_keys(target: &mut Object, patch: &Object) -> Result<(), PatchError> {
    let Some(retained) = patch.get(RETAIN_KEYS) else { return Ok(()) };
    let retained = list(retained, "retainKeys")?;
    let is_retained = |key: &str| retained.iter().any(|retained| retained == key);
    for (key, value) in patch {
        if !key.starts_with('$') && !value.is_null() && !is_retained(key) {
            return Err(PatchError::DirectiveFormat("retainKeys"));
        }
    }
    target.retain(|key, _| is_retained(key));
    Ok(())
}

fn merge_field(
    target: &mut Object,
    key: &str,
    patch: &Value,
    field: Option<Field>,
    order: Option<&[Value]>,
) -> Result<(), PatchError> {
    match (target.get_mut(key), patch) {
        (_, Value::Null) => {
            target.remove(key);
        }
        (Some(Value::Object(current)), Value::Object(patch)) => {
            let schema = if let Some(Field::Struct(schema)) = field { Some(schema) } else { None };
            merge_map(current, patch, schema)?;
        }
        (Some(Value::Array(current)), Value::Array(patch)) => merge_list(current, patch, field, order)?,
        (_, patch) => {
            match without_directives(patch) {
                Some(value) => target.insert(key.to_owned(), value),
                None => target.remove(key),
            };
            if let Some(order) = order {
                reorder_field(target, key, field, order)?;
            }
        }
    }
    Ok(())
}

/// A value that has nothing to merge with: null fields and directives in it have done their work. A map
/// with a
/// `$patch` directive vanishes, as it does upstream.
fn without_directives(value: &Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(PATCH) => None,
        Value::Object(map) => {
            let fields = map.iter().filter(|(key, value)| !is_directive(key) && !value.is_null());
            let kept = fields.filter_map(|(key, value)| Some((key.clone(), without_directives(value)?)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(list) => Some(Value::Array(list.iter().filter_map(without_directives).collect())),
        scalar => Some(scalar.clone()),
    }
}

/// Whether a key of a patch is not a field. Free keys of labels and the like may start with a dollar sign
/// too, but not read like this.
fn is_directive(key: &str) -> bool {
    let named = [SET_ELEMENT_ORDER, DELETE_FROM_PRIMITIVE_LIST];
    key == PATCH
        || key == RETAIN_KEYS
        || named.iter().any(|directive| key.strip_prefix(directive).is_some_and(|rest| rest.starts_with('/')))
}

fn merge_list(
    current: &mut Vec<Value>,
    patch: &[Value],
    field: Option<Field>,
    order: Option<&[Value]>,
) -> Result<(), PatchError> {
    let Some(identity) = Identity::in_list(field) else {
        *current = patch.iter().filter_map(without_directives).collect();
        return Ok(());
    };
    check_types(current, patch, identity)?;
    if let Some(order) = order {
        identity.check_order(patch, order)?;
    }
    let patch = match identity {
        Identity::Key(key, _) => act_on_directives(current, patch, key)?,
        Identity::Itself => patch.iter().collect(),
    };
    let before = identity.places(current.iter())?;
    let mut places = before.clone();
    for &element in &patch {
        let place = *places.entry(identity.of(element)?.clone()).or_insert(current.len());
        match (identity, current.get_mut(place), element) {
            (Identity::Key(_, schema), Some(Value::Object(existing)), Value::Object(element)) => {
                merge_map(existing, element, Some(schema))?;
            }
            (_, Some(_), _) => {}
            (_, None, element) => current.extend(without_directives(element)),
        }
    }
    let order = match order {
        Some(order) => identity.places(order.iter())?,
        None => identity.places(patch.into_iter())?,
    };
    identity.reorder(current, &order, &before)
}

/// Brings a list into the order that the directive gives, without merging anything into it.
fn reorder_field(
    target: &mut Object,
    key: &str,
    field: Option<Field>,
    order: &[Value],
) -> Result<(), PatchError> {
    match (Identity::in_list(field), target.get_mut(key)) {
        (Some(identity), Some(Value::Array(current))) => {
            let before = identity.places(current.iter())?;
            identity.reorder(current, &identity.places(order.iter())?, &before)
        }
        _ => Ok(()),
    }
}

/// All elements must be of one type, which must fit how the list merges.
fn check_types(current: &[Value], patch: &[Value], identity: Identity) -> Result<(), PatchError> {
    let mut types = current.iter().chain(patch).map(json_type);
    let Some(first) = types.next() else { return Ok(()) };
    if first == "array" {
        return Err(PatchError::ListOfLists);
    }
    let fits = matches!(identity, Identity::Key(..)) == (first == "object");
    if fits && types.all(|other| other == first) {
        return Ok(());
    }
    Err(PatchError::MixedList(go_text(&Value::from(vec![Value::from(current), Value::from(patch)]))))
}

/// Deletes from a list that merges by `key` what directives in the patch say, and returns the elements to
/// merge.
fn act_on_directives<'a>(
    current: &mut Vec<Value>,
    patch: &'a [Value],
    key: &'static str,
) -> Result<Vec<&'a Value>, PatchError> {
    let mut elements = Vec::new();
    let mut deleted = HashSet::new();
    let mut replaces = false;
    for element in patch {
        match element.get(PATCH) {
            None => elements.push(element),
            Some(directive) if directive == "delete" => {
                deleted.insert(key_of(element, key)?);
            }
            Some(directive) if directive == "replace" => replaces = true,
            Some(directive) if directive == "merge" => return Err(PatchError::MergeDirective),
            Some(directive) => return Err(unknown_directive(directive, element)),
        }
    }
    current.retain(|element| !replaces && element.get(key).is_none_or(|id| !deleted.contains(id)));
    Ok(elements)
}

fn key_of<'a>(element: &'a Value, key: &'static str) -> Result<&'a Value, PatchError> {
    element.get(key).ok_or_else(|| PatchError::MergeKey { element: go_text(element), key })
}

fn unknown_directive(directive: &Value, map: &Value) -> PatchError {
    PatchError::Directive { directive: go_text(directive), map: go_text(map) }
}

/// What makes two elements of a list that merges the same.
#[derive(Clone, Copy)]
enum Identity {
    /// The value of this key; the elements are structs of this type.
    Key(&'static str, &'static Struct),
    /// Their own value.
    Itself,
}

/// The places of the elements of a list, by what identifies them; the first of several equals.
type Places = HashMap<Value, usize>;

impl Identity {
    /// Nothing for a list that does not merge.
    fn in_list(field: Option<Field>) -> Option<Self> {
        match field? {
            Field::MergeByKey(key, schema) => Some(Identity::Key(key, schema)),
            Field::MergeScalars => Some(Identity::Itself),
            Field::Struct(_) => None,
        }
    }

    fn of(self, element: &Value) -> Result<&Value, PatchError> {
        match self {
            Identity::Key(key, _) => key_of(element, key),
            Identity::Itself => Ok(element),
        }
    }

    fn places<'a>(self, list: impl Iterator<Item = &'a Value>) -> Result<Places, PatchError> {
        let mut places = Places::new();
        for (place, element) in list.enumerate() {
            places.entry(self.of(element)?.clone()).or_insert(place);
        }
        Ok(places)
    }

    /// Checks that the elements of `patch` come in the order that the directive gives, which must list them
    /// all.
    fn check_order(self, patch: &[Value], order: &[Value]) -> Result<(), PatchError> {
        let mut rest = order.iter();
        for element in patch.iter().filter(|element| element.get(PATCH).is_none()) {
            let id = self.of(element)?;
            if !rest.any(|other| self.of(other).is_ok_and(|other| other == id)) {
                return Err(PatchError::ElementOrder {
                    list: go_text(&Value::from(patch)),
                    order: go_text(&Value::from(order)),
                });
            }
        }
        Ok(())
    }

    /// Puts the elements that are in `order` into that order. The others keep theirs, each before the first
    /// ordered element that it stood before in the list as it was, which is `before`.
    fn reorder(self, list: &mut Vec<Value>, order: &Places, before: &Places) -> Result<(), PatchError> {
        let mut ordered = Vec::new();
        let mut others = Vec::new();
        for element in list.drain(..) {
            let id = self.of(&element)?;
            let place_before = before.get(id).copied();
            match order.get(id) {
                Some(place) => ordered.push((*place, place_before, element)),
                None => others.push((place_before, element)),
            }
        }
        ordered.sort_by_key(|(place, ..)| *place);
        let mut others = others.into_iter().peekable();
        for (_, here, element) in ordered {
            while let Some((_, other)) = others.next_if(|(there, _)| there.is_some() && *there < here) {
                list.push(other);
            }
            list.push(element);
        }
        list.extend(others.map(|(_, element)| element));
        Ok(())
    }
}
