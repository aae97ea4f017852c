//! Sets of fields, in the form in which `managedFields` keeps them (upstream's `FieldsV1`).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The entry that says that a map or an element is a member itself.
const OWN: &str = ".";

/// A part of an object, and what is below it. What leads to a member is in the tree, too.
///
/// Steps are written as upstream writes them: `f:` and the name of a field, `k:` and the fields that tell the elements of a
/// list apart, `v:` and a scalar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    /// Whether it is a member itself.
    pub(super) is_member: bool,
    pub(super) below: BTreeMap<String, Fields>,
}

impl Fields {
    /// A member with nothing below it.
    pub(super) fn leaf() -> Self {
        Fields { is_member: true, below: BTreeMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.is_member && self.below.is_empty()
    }

    /// Reads a set. What is not one is empty, as upstream has it for clients that write what they like.
    pub(super) fn read(value: &Value) -> Self {
        let entries = value.as_object().into_iter().flatten().filter(|(step, _)| step.as_str() != OWN);
        let below: BTreeMap<String, Fields> =
            entries.map(|(step, value)| (step.clone(), Fields::read(value))).collect();
        let has_own = value.get(OWN).is_some();
        Fields { is_member: has_own || below.is_empty(), below }
    }

    /// Reads a set of a whole object, which is no member itself.
    pub(super) fn read_root(value: &Value) -> Self {
        Fields { is_member: false, ..Fields::read(value) }
    }

    pub(super) fn write(&self) -> Value {
        let mut map = Map::new();
        if self.is_member && !self.below.is_empty() {
            map.insert(OWN.to_owned(), Value::Object(Map::new()));
        }
        map.extend(self.below.iter().map(|(step, fields)| (step.clone(), fields.write())));
        Value::Object(map)
    }

    /// Adds all members of another set.
    pub(super) fn unite(&mut self, other: &Fields) {
        self.is_member |= other.is_member;
        for (step, fields) in &other.below {
            self.below.entry(step.clone()).or_default().unite(fields);
        }
    }

    /// The members that are also in another set.
    pub(super) fn common(&self, other: &Fields) -> Fields {
        let mut common = Fields { is_member: self.is_member && other.is_member, below: BTreeMap::new() };
        for (step, fields) in &self.below {
            if let Some(other) = other.below.get(step) {
                common.insert(step.clone(), fields.common(other));
            }
        }
        common
    }

    /// The members that are not in another set.
    pub(super) fn without(&self, other: &Fields) -> Fields {
        let mut rest = Fields { is_member: self.is_member && !other.is_member, below: BTreeMap::new() };
        for (step, fields) in &self.below {
            let kept = other.below.get(step).map_or_else(|| fields.clone(), |other| fields.without(other));
            rest.insert(step.clone(), kept);
        }
        rest
    }

    /// Puts something below this, unless it is empty.
    pub(super) fn insert(&mut self, step: String, fields: Fields) {
        if !fields.is_empty() {
            self.below.insert(step, fields);
        }
    }

    /// The paths of all members, as upstream shows them: `.spec.containers[name="c"].image`.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect(&mut String::new(), &mut paths);
        paths
    }

    fn collect(&self, path: &mut String, paths: &mut Vec<String>) {
        if self.is_member {
            paths.push(path.clone());
        }
        let length = path.len();
        for (step, fields) in &self.below {
            path.push_str(&shown(step));
            fields.collect(path, paths);
            path.truncate(length);
        }
    }
}

fn shown(step: &str) -> String {
    match step.split_at_checked(2) {
        Some(("f:", name)) => format!(".{name}"),
        Some(("v:", value)) => format!("[={value}]"),
        Some(("k:", keys)) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let keys: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("[{}]", keys.join(","))
        }
        _ => format!("[{step}]"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(value: &Value) -> Fields {
        Fields::read_root(value)
    }

    #[test]
    fn sets_are_read_as_they_were_written() {
        let value = json!({"f:spec": {"f:suspend": {}, "f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:image": {}}}}});
        assert_eq!(set(&value).write(), value);
        assert!(set(&json!({})).is_empty());
        assert!(set(&json!("no set")).is_empty());
    }

    #[test]
    fn sets_are_united_compared_and_subtracted() {
        let one = set(&json!({"f:a": {".": {}, "f:b": {}}, "f:c": {}}));
        let two = set(&json!({"f:a": {"f:b": {}, "f:d": {}}, "f:e": {}}));
        let mut both = one.clone();
        both.unite(&two);
        assert_eq!(both.write(), json!({"f:a": {".": {}, "f:b": {}, "f:d": {}}, "f:c": {}, "f:e": {}}));
        assert_eq!(one.common(&two).write(), json!({"f:a": {"f:b": {}}}));
        assert_eq!(one.without(&two).write(), json!({"f:a": {}, "f:c": {}}), "the map itself is a member");
        assert!(one.without(&one).is_empty());
    }

    #[test]
    fn paths_are_shown_as_upstream_shows_them() {
        let value = json!({
            "f:metadata": {"f:finalizers": {"v:\"x/y\"": {}}},
            "f:spec": {"f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}}}},
        });
        let expected = [
            ".metadata.finalizers[=\"x/y\"]",
            ".spec.ports[containerPort=80,protocol=\"TCP\"]",
            ".spec.ports[containerPort=80,protocol=\"TCP\"].name",
        ];
        assert_eq!(set(&value).paths(), expected);
    }
}
