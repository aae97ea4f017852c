//! An object as it is stored: its JSON text, and the part of its metadata that everything asks for.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::Deserialize;
use serde_json::Value;

use crate::{Key, Kind, Resource, Typed};

/// Where the text of every stored object goes on after `apiVersion` and `kind`, which serialisation puts first.
const METADATA_START: &str = "\"metadata\":{";

/// Labels, sorted by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(Box<[(Box<str>, Box<str>)]>);

impl Labels {
    /// The value of a label.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.binary_search_by(|(k, _)| k.as_ref().cmp(key)).ok().map(|i| self.0[i].1.as_ref())
    }

    /// All labels in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_ref(), v.as_ref()))
    }
}

/// The owner of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The owner's `apiVersion`.
    pub api_version: Box<str>,
    /// The owner's kind.
    pub kind: Box<str>,
    /// The owner's name; in the same namespace, or without one.
    pub name: Box<str>,
    /// The owner's UID.
    pub uid: Arc<str>,
    /// Whether this owner is the managing controller.
    pub controller: bool,
    /// Whether foreground deletion of the owner waits for this object.
    pub block_owner_deletion: bool,
}

/// Metadata in a compact form that needs no decoding of the object.
#[derive(Clone, Debug)]
pub struct Meta {
    /// `metadata.uid`
    pub uid: Arc<str>,
    /// `metadata.generation`; 0 for kinds that do not count it.
    pub generation: i64,
    /// `metadata.creationTimestamp`
    pub created: Option<Timestamp>,
    /// `metadata.deletionTimestamp`
    pub deleted: Option<Timestamp>,
    /// `metadata.finalizers`
    pub finalizers: Box<[Box<str>]>,
    /// `metadata.labels`
    pub labels: Labels,
    /// `metadata.ownerReferences`
    pub owners: Box<[Owner]>,
}

impl Meta {
    fn of(meta: &ObjectMeta) -> Self {
        let labels = meta.labels.iter().flatten().map(|(k, v)| (k.as_str().into(), v.as_str().into()));
        Meta {
            uid: meta.uid.as_deref().unwrap_or_default().into(),
            generation: meta.generation.unwrap_or_default(),
            created: meta.creation_timestamp.as_ref().map(|t| t.0),
            deleted: meta.deletion_timestamp.as_ref().map(|t| t.0),
            finalizers: meta.finalizers.iter().flatten().map(|f| f.as_str().into()).collect(),
            labels: Labels(labels.collect()),
            owners: meta.owner_references.iter().flatten().map(Owner::of).collect(),
        }
    }

    /// The owner that manages this object, if one does.
    pub fn controller(&self) -> Option<&Owner> {
        self.owners.iter().find(|owner| owner.controller)
    }
}

impl Owner {
    fn of(reference: &OwnerReference) -> Self {
        Owner {
            api_version: reference.api_version.as_str().into(),
            kind: reference.kind.as_str().into(),
            name: reference.name.as_str().into(),
            uid: reference.uid.as_str().into(),
            controller: reference.controller.unwrap_or_default(),
            block_owner_deletion: reference.block_owner_deletion.unwrap_or_default(),
        }
    }
}

/// An object that is to be written: everything but its revision, which the commit assigns.
#[derive(Clone, Debug)]
pub struct Draft {
    key: Key,
    meta: Meta,
    json: String,
}

impl Draft {
    /// The stored form of a typed object. Its `metadata.resourceVersion` is ignored.
    pub fn new(typed: &Typed) -> Self {
        with_typed!(typed, object => Draft::of(object.as_ref()))
    }

    /// The stored form of an object whose type is known. Its `metadata.resourceVersion` is ignored.
    pub fn of<T: Resource>(object: &T) -> Self {
        let metadata = object.metadata();
        let key = Key::new(
            T::OBJECT_KIND,
            metadata.namespace.as_deref().unwrap_or_default(),
            metadata.name.as_deref().unwrap_or_default(),
        );
        let meta = Meta::of(metadata);
        let json = if metadata.resource_version.is_none() {
            to_json(object)
        } else {
            let mut object = object.clone();
            object.metadata_mut().resource_version = None;
            to_json(&object)
        };
        Draft { key, meta, json }
    }

    /// What names the object.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The object's metadata.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Length of the text, in bytes, without the revision that the commit adds.
    pub fn bytes(&self) -> usize {
        self.json.len()
    }

    /// Whether writing this over `stored` would change nothing.
    pub fn is_same_as(&self, stored: &Object) -> bool {
        let (head, tail) = self.split();
        let stored_tail = stored.json.strip_prefix(head).and_then(|rest| {
            rest.strip_prefix("\"resourceVersion\":\"")?.split_once("\",").map(|(_, tail)| tail)
        });
        stored_tail == Some(tail)
    }

    /// The object as of the commit that gave it `revision`.
    pub fn seal(self, revision: u64) -> Object {
        let (head, tail) = self.split();
        let json = format!("{head}\"resourceVersion\":\"{revision}\",{tail}");
        Object { key: self.key, revision, meta: self.meta, json: json.into() }
    }

    /// The text before and after the place of `resourceVersion`.
    fn split(&self) -> (&str, &str) {
        let at = self.json.find(METADATA_START).expect("serialised objects have metadata") + METADATA_START.len();
        self.json.split_at(at)
    }
}

fn to_json<T: serde::Serialize>(object: &T) -> String {
    serde_json::to_string(object).expect("Kubernetes types serialise to JSON")
}

/// A stored object at one revision. Immutable; shared by snapshots and watchers.
#[derive(Clone, Debug)]
pub struct Object {
    key: Key,
    revision: u64,
    meta: Meta,
    json: Box<str>,
}

/// The text that is not an object of the kind it is stored as.
#[derive(Debug, thiserror::Error)]
#[error("stored {key} at revision {revision} cannot be read: {source}")]
pub struct DamagedObject {
    key: Key,
    revision: u64,
    source: serde_json::Error,
}

impl Object {
    /// Takes back what was stored: the inverse of [`Object::json`].
    ///
    /// # Errors
    /// If the text is not JSON with readable metadata.
    pub fn restore(key: Key, revision: u64, json: &str) -> Result<Self, DamagedObject> {
        #[derive(Deserialize)]
        struct Envelope {
            metadata: ObjectMeta,
        }
        match serde_json::from_str::<Envelope>(json) {
            Ok(envelope) => Ok(Object { meta: Meta::of(&envelope.metadata), key, revision, json: json.into() }),
            Err(source) => Err(DamagedObject { key, revision, source }),
        }
    }

    /// What names the object.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The object's kind.
    pub fn kind(&self) -> Kind {
        self.key.kind
    }

    /// The object's namespace; empty for kinds without one.
    pub fn namespace(&self) -> &str {
        &self.key.namespace
    }

    /// The object's name.
    pub fn name(&self) -> &str {
        &self.key.name
    }

    /// The commit that wrote this state; `metadata.resourceVersion`.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The object's metadata.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The whole object as JSON text.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The object as it stands in a typed list: JSON text without `apiVersion` and `kind`, and without the opening
    /// brace.
    pub fn json_tail(&self) -> &str {
        &self.json[self.json.find(METADATA_START).expect("stored objects have metadata")..]
    }

    /// The object as a JSON value.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.json).expect("stored objects are JSON")
    }

    /// The object in its typed form.
    ///
    /// # Panics
    /// If `T` is not the type of this object's kind: asking for it is a mistake in the program.
    pub fn decode<T: Resource>(&self) -> T {
        assert_eq!(T::OBJECT_KIND, self.key.kind, "{} decoded as another kind", self.key);
        serde_json::from_str(&self.json).expect("only decodable objects are stored")
    }

    /// The object in its typed form, whatever its kind.
    pub fn typed(&self) -> Typed {
        with_kind!(self.key.kind, T => self.decode::<T>().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ConfigMap;

    fn config_map() -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.name = Some("settings".into());
        object.metadata.namespace = Some("default".into());
        object.metadata.labels = Some([("b".to_owned(), "2".to_owned()), ("a".into(), "1".into())].into());
        object.data = Some([("k".to_owned(), "v".to_owned())].into());
        object
    }

    #[test]
    fn sealing_writes_the_revision_into_the_text() {
        let object = Draft::of(&config_map()).seal(42);
        assert_eq!(object.value()["metadata"]["resourceVersion"], "42");
        assert_eq!(object.decode::<ConfigMap>().data, config_map().data);
        assert!(object.json_tail().starts_with("\"metadata\":{\"resourceVersion\":\"42\","));
    }

    #[test]
    fn a_restored_object_equals_the_stored_one() {
        let object = Draft::of(&config_map()).seal(7);
        let restored = Object::restore(object.key().clone(), 7, object.json()).unwrap();
        assert_eq!(restored.meta().labels.get("a"), Some("1"));
        assert_eq!(restored.meta().labels.get("c"), None);
        assert_eq!(restored.json(), object.json());
        assert!(Object::restore(object.key().clone(), 7, "{\"metadata\"").is_err());
    }

    #[test]
    fn unchanged_drafts_are_recognised_whatever_their_revision() {
        let object = Draft::of(&config_map()).seal(7);
        assert!(Draft::new(&object.typed()).is_same_as(&object));
        let mut changed = config_map();
        changed.data = None;
        assert!(!Draft::of(&changed).is_same_as(&object));
    }
}
