//! An object as it is stored: its JSON text, and the part of its metadata that everything asks for.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{Key, Kind, Resource, Typed};

/// How the metadata begin in the text of every stored object. Serialisation writes fields in the order of their names;
/// what may come before are texts, maps of texts and references, none of which has such a field.
const METADATA_START: &str = "\"metadata\":{";

/// How the status begins in the text of every stored object that has one. It is the last field, no field within it or
/// before it that holds an object has its name, and in texts the quotes would be escaped.
const STATUS_START: &str = ",\"status\":{";

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
        let comma = if tail.starts_with('}') { "" } else { "," };
        let json = format!("{head}\"resourceVersion\":\"{revision}\"{comma}{tail}");
        Object { key: self.key, revision, meta: self.meta, json: json.into() }
    }

    /// The object as a dry run shows it: without a revision, which only a commit gives.
    pub fn unsealed(self) -> Object {
        Object { key: self.key, revision: 0, meta: self.meta, json: self.json.into() }
    }

    /// The text before and after the place of `resourceVersion`.
    fn split(&self) -> (&str, &str) {
        self.json.split_at(inside_metadata(&self.json))
    }
}

/// Where the fields of the metadata begin in the text of an object.
fn inside_metadata(json: &str) -> usize {
    json.find(METADATA_START).expect("serialised objects have metadata") + METADATA_START.len()
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
            Ok(envelope) => {
                Ok(Object { meta: Meta::of(&envelope.metadata), key, revision, json: json.into() })
            }
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

    /// The text of the object's status, if it has one: for who needs a little of it, without decoding the rest.
    pub fn status_json(&self) -> Option<&str> {
        let at = self.json.rfind(STATUS_START)? + STATUS_START.len() - 1;
        Some(&self.json[at..self.json.len() - 1])
    }

    /// The object as it stands in a typed list: JSON text without `apiVersion` and `kind`, which serialisation puts
    /// first, and without the opening brace.
    pub fn json_tail(&self) -> &str {
        const KIND_START: &str = "\"kind\":\"";
        let kind = self.json.find(KIND_START).expect("stored objects say their kind") + KIND_START.len();
        &self.json[kind + self.kind().descriptor().kind.len() + "\",".len()..]
    }

    /// The object's metadata as JSON text.
    pub fn metadata_json(&self) -> &str {
        let start = &self.json[inside_metadata(&self.json) - 1..];
        // Reads no further than the end of the first value.
        let first = serde_json::Deserializer::from_str(start).into_iter::<&RawValue>().next();
        first.and_then(Result::ok).expect("stored objects are JSON").get()
    }

    /// The same state under a later revision: that of the object's removal, say.
    #[must_use]
    pub fn restamped(&self, revision: u64) -> Self {
        let (head, rest) = self.json.split_at(inside_metadata(&self.json));
        let own = format!("\"resourceVersion\":\"{}\"", self.revision);
        let tail =
            rest.strip_prefix(&own).expect("the revision comes first in the metadata of a stored object");
        let json = format!("{head}\"resourceVersion\":\"{revision}\"{tail}");
        Object { key: self.key.clone(), revision, meta: self.meta.clone(), json: json.into() }
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
    use crate::api::{ConfigMap, Job, JobCondition};

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
        assert!(object.metadata_json().starts_with("{\"resourceVersion\":\"42\","));
    }

    #[test]
    fn the_tail_is_everything_but_version_and_kind() {
        for &kind in Kind::ALL {
            let mut typed: Typed = with_kind!(kind, T => T::default().into());
            typed.metadata_mut().name = Some("x".into());
            let object = Draft::new(&typed).seal(1);
            let mut whole = object.value();
            let fields = whole.as_object_mut().unwrap();
            fields.remove("apiVersion");
            fields.remove("kind");
            let tail: Value = serde_json::from_str(&format!("{{{}", object.json_tail())).unwrap();
            assert_eq!(tail, whole, "{kind}");
        }
        let object = Draft::of(&config_map()).seal(1);
        assert!(object.json_tail().contains("\"k\":\"v\""));
    }

    #[test]
    fn a_restamped_object_differs_in_its_revision_only() {
        let mut deceptive = config_map();
        deceptive.data = Some([("resourceVersion".to_owned(), "7".to_owned())].into());
        let object = Draft::of(&deceptive).seal(7);
        let restamped = object.restamped(8);
        assert_eq!(restamped.json(), Draft::of(&deceptive).seal(8).json());
        assert_eq!((restamped.revision(), restamped.meta().uid.clone()), (8, object.meta().uid.clone()));
    }

    #[test]
    fn a_draft_without_metadata_can_be_sealed_and_shown() {
        let empty = Draft::of(&ConfigMap::default());
        assert_eq!(empty.clone().seal(3).metadata_json(), "{\"resourceVersion\":\"3\"}");
        assert_eq!(empty.unsealed().metadata_json(), "{}");
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
    fn the_status_is_found_in_the_text() {
        let mut job = Job::default();
        job.metadata.annotations =
            Some([("status".to_owned(), "{},\"status\":{}".to_owned()), ("x".into(), "y".into())].into());
        assert_eq!(Draft::of(&job).seal(1).status_json(), None);
        job.status.get_or_insert_default().conditions = Some(vec![JobCondition {
            status: "True".into(),
            type_: "Complete".into(),
            ..Default::default()
        }]);
        let object = Draft::of(&job).seal(1);
        let status: Value = serde_json::from_str(object.status_json().unwrap()).unwrap();
        assert_eq!(status, object.value()["status"]);
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
