//! All objects at one revision, as a value: persistent maps that share structure with their predecessors.

use std::{ops::Bound, sync::Arc};

use rpds::{HashTrieMapSync, RedBlackTreeMapSync, RedBlackTreeSetSync};

use crate::{Key, Kind, Object, Resource};

/// An immutable state of the whole store. Cloning it costs a few reference counts.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    revision: u64,
    objects: RedBlackTreeMapSync<Key, Arc<Object>>,
    /// Owner UID → the objects that name it in `metadata.ownerReferences`.
    dependents: HashTrieMapSync<Arc<str>, RedBlackTreeSetSync<Key>>,
    /// The pods without a controller. They are few, and every Job must look at them for pods to adopt.
    uncontrolled_pods: RedBlackTreeSetSync<Key>,
}

impl Snapshot {
    /// The revision of the last commit this state includes.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The object a key names.
    pub fn get(&self, key: &Key) -> Option<&Arc<Object>> {
        self.objects.get(key)
    }

    /// The object a key names, in its typed form. The key's kind is that of `T`.
    pub fn decode<T: Resource>(&self, namespace: &str, name: &str) -> Option<T> {
        self.get(&Key::new(T::OBJECT_KIND, namespace, name)).map(|object| object.decode())
    }

    /// All objects of a kind in list order.
    pub fn list(&self, kind: Kind) -> impl Iterator<Item = &Arc<Object>> {
        self.list_from(Key::new(kind, "", ""))
    }

    /// The objects of a kind that do not sort before `start`, which is of that kind, in list order.
    pub fn list_from(&self, start: Key) -> impl Iterator<Item = &Arc<Object>> {
        let kind = start.kind;
        self.objects
            .range((Bound::Included(start), Bound::Unbounded))
            .map(|(_, object)| object)
            .take_while(move |object| object.kind() == kind)
    }

    /// The objects of a kind in one namespace, in list order.
    pub fn list_namespace<'a>(
        &'a self,
        kind: Kind,
        namespace: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Object>> {
        self.list_from(Key::new(kind, namespace, ""))
            .take_while(move |object| object.namespace() == namespace)
    }

    /// The objects that name `uid` as one of their owners, by kind and then in list order.
    pub fn dependents(&self, uid: &str) -> impl Iterator<Item = &Arc<Object>> {
        self.dependents.get(uid).into_iter().flat_map(|keys| keys.iter()).filter_map(|key| self.get(key))
    }

    /// The pods of a namespace that no controller manages, in list order.
    pub fn uncontrolled_pods<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Arc<Object>> {
        self.uncontrolled_pods
            .range(Key::new(Kind::Pod, namespace, "")..)
            .take_while(move |key| key.namespace.as_ref() == namespace)
            .filter_map(|key| self.get(key))
    }

    /// Whether objects can be created in a namespace: it exists and is not being deleted.
    pub fn namespace_is_open(&self, namespace: &str) -> bool {
        self.get(&Key::new(Kind::Namespace, "", namespace))
            .is_some_and(|namespace| namespace.meta().deleted.is_none())
    }

    /// All objects, by kind and then in list order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.objects.values()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.objects.size()
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Adds or replaces an object; its revision becomes that of the snapshot.
    pub fn insert(&mut self, object: Arc<Object>) {
        self.revision = object.revision();
        let key = object.key().clone();
        if is_uncontrolled_pod(&object) {
            self.uncontrolled_pods.insert_mut(key.clone());
        } else if key.kind == Kind::Pod {
            self.uncontrolled_pods.remove_mut(&key);
        }
        if let Some(old) = self.objects.get(&key).cloned() {
            if owner_uids(&old).eq(owner_uids(&object)) {
                self.objects.insert_mut(key, object);
                return;
            }
            self.unlink(&old);
        }
        for uid in owner_uids(&object) {
            let mut keys = self.dependents.get(uid).cloned().unwrap_or_else(RedBlackTreeSetSync::new_sync);
            keys.insert_mut(key.clone());
            self.dependents.insert_mut(uid.clone(), keys);
        }
        self.objects.insert_mut(key, object);
    }

    /// Removes an object and moves to `revision`, that of the removal. Returns the object's last state.
    pub fn remove(&mut self, key: &Key, revision: u64) -> Option<Arc<Object>> {
        let old = self.objects.get(key).cloned()?;
        self.revision = revision;
        self.unlink(&old);
        self.uncontrolled_pods.remove_mut(key);
        self.objects.remove_mut(key);
        Some(old)
    }

    /// Moves to a later revision at which nothing changed: the state read back from disk may end with a removal.
    pub fn advance(&mut self, revision: u64) {
        self.revision = self.revision.max(revision);
    }

    fn unlink(&mut self, object: &Object) {
        for uid in owner_uids(object) {
            let Some(mut keys) = self.dependents.get(uid).cloned() else { continue };
            keys.remove_mut(object.key());
            if keys.is_empty() {
                self.dependents.remove_mut(uid);
            } else {
                self.dependents.insert_mut(uid.clone(), keys);
            }
        }
    }
}

fn is_uncontrolled_pod(object: &Object) -> bool {
    object.kind() == Kind::Pod && object.meta().controller().is_none()
}

fn owner_uids(object: &Object) -> impl Iterator<Item = &Arc<str>> {
    object.meta().owners.iter().map(|owner| &owner.uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Draft,
        api::{ConfigMap, OwnerReference, Pod},
    };

    fn object(namespace: &str, name: &str, owner: Option<&str>, revision: u64) -> Arc<Object> {
        let mut object = ConfigMap::default();
        object.metadata.namespace = Some(namespace.into());
        object.metadata.name = Some(name.into());
        object.metadata.owner_references =
            owner.map(|uid| vec![OwnerReference { uid: uid.into(), ..Default::default() }]);
        Arc::new(Draft::of(&object).seal(revision))
    }

    fn names<'a>(objects: impl Iterator<Item = &'a Arc<Object>>) -> Vec<String> {
        objects.map(|object| format!("{}/{}", object.namespace(), object.name())).collect()
    }

    #[test]
    fn a_snapshot_is_not_changed_by_what_comes_after() {
        let mut now = Snapshot::default();
        now.insert(object("a", "x", None, 1));
        let before = now.clone();
        now.insert(object("a", "y", None, 2));
        now.remove(&Key::new(Kind::ConfigMap, "a", "x"), 3);
        assert_eq!((before.revision(), names(before.list(Kind::ConfigMap))), (1, vec!["a/x".to_owned()]));
        assert_eq!((now.revision(), names(now.list(Kind::ConfigMap))), (3, vec!["a/y".to_owned()]));
    }

    #[test]
    fn lists_are_bounded_by_kind_and_namespace() {
        let mut snapshot = Snapshot::default();
        for (ns, name) in [("b", "z"), ("a", "y"), ("a", "x"), ("a-b", "w")] {
            snapshot.insert(object(ns, name, None, 1));
        }
        assert_eq!(names(snapshot.list(Kind::ConfigMap)), ["a-b/w", "a/x", "a/y", "b/z"]);
        assert_eq!(names(snapshot.list_namespace(Kind::ConfigMap, "a")), ["a/x", "a/y"]);
        assert_eq!(names(snapshot.list_namespace(Kind::Secret, "a")), Vec::<String>::new());
        assert_eq!(names(snapshot.list_from(Key::new(Kind::ConfigMap, "a", "y"))), ["a/y", "b/z"]);
    }

    #[test]
    fn dependents_follow_owner_references() {
        let mut snapshot = Snapshot::default();
        snapshot.insert(object("a", "x", Some("u1"), 1));
        snapshot.insert(object("a", "y", Some("u1"), 2));
        assert_eq!(names(snapshot.dependents("u1")), ["a/x", "a/y"]);
        snapshot.insert(object("a", "x", Some("u2"), 3));
        assert_eq!(names(snapshot.dependents("u1")), ["a/y"]);
        snapshot.remove(&Key::new(Kind::ConfigMap, "a", "y"), 4);
        assert_eq!(names(snapshot.dependents("u1")), Vec::<String>::new());
        assert_eq!(names(snapshot.dependents("u2")), ["a/x"]);
    }

    #[test]
    fn pods_without_a_controller_are_known() {
        let pod = |namespace: &str, controller: Option<bool>, revision| {
            let mut pod = Pod::default();
            pod.metadata.namespace = Some(namespace.into());
            pod.metadata.name = Some("p".into());
            pod.metadata.owner_references = controller
                .map(|_| vec![OwnerReference { uid: "u".into(), controller, ..Default::default() }]);
            Arc::new(Draft::of(&pod).seal(revision))
        };
        let mut snapshot = Snapshot::default();
        snapshot.insert(pod("a", None, 1));
        snapshot.insert(pod("b", Some(false), 2));
        snapshot.insert(pod("c", Some(true), 3));
        let known = |snapshot: &Snapshot, namespace| names(snapshot.uncontrolled_pods(namespace));
        assert_eq!(known(&snapshot, "a"), ["a/p"]);
        assert_eq!(known(&snapshot, "b"), ["b/p"]);
        assert_eq!(known(&snapshot, "c"), Vec::<String>::new());
        snapshot.insert(pod("b", Some(true), 4));
        snapshot.remove(&Key::new(Kind::Pod, "a", "p"), 5);
        snapshot.insert(pod("c", None, 6));
        assert_eq!((known(&snapshot, "a"), known(&snapshot, "b")), (vec![], vec![]));
        assert_eq!(known(&snapshot, "c"), ["c/p"]);
    }
}
