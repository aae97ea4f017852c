//! What there is in a value, how two values differ, and how one goes into the other: part by part, as parts are owned.

use serde_json::{Map, Value};

use super::{
    schema::{Key, Shape, Struct},
    set::Fields,
};

/// How a value is taken apart.
enum Parts<'a> {
    /// By its fields.
    Map(&'a Map<String, Value>, Option<&'static Struct>),
    /// By its elements, with the step that leads to each.
    List(Vec<(String, &'a Value)>, Option<&'static Struct>),
    /// Not at all.
    Whole,
}

/// What a value that may be taken apart is owned by.
fn parts(value: &Value, shape: Option<Shape>) -> Parts<'_> {
    match (value, shape) {
        (Value::Object(map), None) => Parts::Map(map, None),
        (Value::Object(map), Some(Shape::Struct(fields))) => Parts::Map(map, Some(fields)),
        (Value::Array(list), Some(Shape::Keyed(keys, fields))) => {
            let steps = list.iter().map(|element| key_step(element, keys).map(|step| (step, element)));
            // Elements that cannot be told apart are not taken apart: validation will say what is wrong.
            steps.collect::<Option<Vec<_>>>().map_or(Parts::Whole, |list| Parts::List(list, Some(fields)))
        }
        (Value::Array(list), Some(Shape::Set)) => {
            Parts::List(list.iter().map(|value| (format!("v:{value}"), value)).collect(), None)
        }
        _ => Parts::Whole,
    }
}

/// The step to an element: its keys in the order of their names. Nothing if it lacks one.
fn key_step(element: &Value, keys: &[Key]) -> Option<String> {
    let mut own = Map::new();
    for key in keys {
        let value = element.get(key.field).cloned().or_else(|| key.default.map(Value::from))?;
        own.insert(key.field.to_owned(), value);
    }
    Some(format!("k:{}", Value::Object(own)))
}

/// The shape of an element whose list was taken apart.
fn of_element(fields: Option<&'static Struct>) -> Option<Shape> {
    fields.map(Shape::Struct)
}

fn of_field(fields: Option<&'static Struct>, name: &str) -> Option<Shape> {
    fields.and_then(|fields| fields.field(name))
}

/// All there is in a value: its leaves, and the elements of lists.
pub(super) fn extract(value: &Value, shape: Option<Shape>) -> Fields {
    let mut set = Fields::default();
    match parts(value, shape) {
        Parts::Map(map, fields) => {
            for (name, value) in map {
                set.insert(format!("f:{name}"), extract(value, of_field(fields, name)));
            }
        }
        Parts::List(list, fields) => {
            for (step, element) in list {
                let mut below =
                    if fields.is_some() { extract(element, of_element(fields)) } else { Fields::default() };
                below.is_member = true;
                set.insert(step, below);
            }
        }
        Parts::Whole => {}
    }
    if set.is_empty() { Fields::leaf() } else { set }
}

/// How a value differs from another.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// What is new, or has another value.
    pub(super) set: Fields,
    /// What is gone.
    pub(super) removed: Fields,
}

impl Changes {
    fn insert(&mut self, step: &str, below: Changes) {
        self.set.insert(step.to_owned(), below.set);
        self.removed.insert(step.to_owned(), below.removed);
    }
}

/// How `new` differs from `old`.
pub(super) fn compare(old: &Value, new: &Value, shape: Option<Shape>) -> Changes {
    let mut changes = Changes::default();
    match (parts(old, shape), parts(new, shape)) {
        (Parts::Map(old, fields), Parts::Map(new, _)) => {
            for (name, value) in new {
                let shape = of_field(fields, name);
                changes.insert(&format!("f:{name}"), compare_with(old.get(name), Some(value), shape));
            }
            for (name, value) in old.iter().filter(|(name, _)| !new.contains_key(*name)) {
                let shape = of_field(fields, name);
                changes.insert(&format!("f:{name}"), compare_with(Some(value), None, shape));
            }
        }
        (Parts::List(old, fields), Parts::List(new, _)) => {
            let find = |list: &[(String, &Value)], step: &str| {
                list.iter().find(|(other, _)| other == step).map(|(_, value)| (*value).clone())
            };
            for (step, value) in &new {
                let mut below = compare_with(find(&old, step).as_ref(), Some(value), of_element(fields));
                below.set.is_member |= find(&old, step).is_none();
                changes.insert(step, below);
            }
            for (step, value) in old.iter().filter(|(step, _)| find(&new, step).is_none()) {
                let mut below = compare_with(Some(value), None, of_element(fields));
                below.removed.is_member = true;
                changes.insert(step, below);
            }
        }
        _ if old == new => {}
        (Parts::Whole, Parts::Whole) => changes.set = Fields::leaf(),
        _ => {
            changes.set = extract(new, shape);
            changes.removed = extract(old, shape).without(&changes.set);
        }
    }
    changes
}

fn compare_with(old: Option<&Value>, new: Option<&Value>, shape: Option<Shape>) -> Changes {
    match (old, new) {
        (Some(old), Some(new)) => compare(old, new, shape),
        (None, Some(new)) => Changes { set: extract(new, shape), removed: Fields::default() },
        (Some(old), None) => Changes { set: Fields::default(), removed: extract(old, shape) },
        (None, None) => Changes::default(),
    }
}

/// `live` with all of `config` in it. Elements come in the order of `config`; those that only `live` has keep their place
/// among the others.
pub(super) fn merge(live: &Value, config: &Value, shape: Option<Shape>) -> Value {
    match (parts(live, shape), parts(config, shape)) {
        (Parts::Map(live, fields), Parts::Map(config, _)) => {
            let mut merged = live.clone();
            for (name, value) in config {
                let merged_value = match live.get(name) {
                    Some(live) => merge(live, value, of_field(fields, name)),
                    None => value.clone(),
                };
                merged.insert(name.clone(), merged_value);
            }
            Value::Object(merged)
        }
        (Parts::List(live, fields), Parts::List(config, _)) => merge_lists(&live, &config, fields),
        _ => config.clone(),
    }
}

fn merge_lists(
    live: &[(String, &Value)],
    config: &[(String, &Value)],
    fields: Option<&'static Struct>,
) -> Value {
    let find = |list: &[(String, &Value)], step: &str| list.iter().position(|(other, _)| other == step);
    let mut merged = Vec::with_capacity(live.len() + config.len());
    let (mut next_live, mut next_config) = (0, 0);
    while next_live < live.len() || next_config < config.len() {
        if let Some((step, value)) = live.get(next_live) {
            match find(config, step) {
                None => {
                    merged.push((*value).clone());
                    next_live += 1;
                    continue;
                }
                // It has come already.
                Some(position) if position < next_config => {
                    next_live += 1;
                    continue;
                }
                Some(_) => {}
            }
        }
        // What is left of `live` waits for its turn in `config`, so there is more of that.
        let (step, value) = &config[next_config];
        merged.push(match find(live, step) {
            Some(position) if fields.is_some() => merge(live[position].1, value, of_element(fields)),
            _ => (*value).clone(),
        });
        next_config += 1;
    }
    Value::Array(merged)
}

/// Removes what was owned before and is by nobody now: each such part with all below it, which cannot be anybody's.
pub(super) fn prune(value: &mut Value, before: &Fields, owned: &Fields, shape: Option<Shape>) {
    match parts(value, shape) {
        Parts::Map(_, fields) => {
            let Value::Object(map) = value else { return };
            map.retain(|name, value| {
                let step = format!("f:{name}");
                match (before.below.get(&step), owned.below.get(&step)) {
                    (Some(_), None) => false,
                    (Some(before), Some(owned)) => {
                        prune(value, before, owned, of_field(fields, name));
                        true
                    }
                    (None, _) => true,
                }
            });
        }
        Parts::List(list, fields) => {
            let steps: Vec<String> = list.into_iter().map(|(step, _)| step).collect();
            let Value::Array(list) = value else { return };
            let mut steps = steps.iter();
            list.retain_mut(|element| {
                let step = steps.next().map_or("", String::as_str);
                match (before.below.get(step), owned.below.get(step)) {
                    (Some(_), None) => false,
                    (Some(before), Some(owned)) => {
                        prune(element, before, owned, of_element(fields));
                        true
                    }
                    (None, _) => true,
                }
            });
        }
        Parts::Whole => {}
    }
}

/// Takes out what is null, which is the same as absent.
pub(super) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}
