//! The life of a namespace: what a new one is given, and the removal of everything in one that ends.

use cronlet_object::{
    Ids, Key, Kind, Object, Typed, Write, admit,
    api::{ConfigMap, Namespace, ObjectMeta, ServiceAccount},
    deletion::replace,
};

use crate::{
    Plan, View,
    deletion::{self, Propagation},
    limits::BATCH_OBJECTS_MAX,
};

/// The account of pods that name none.
pub(crate) const DEFAULT_SERVICE_ACCOUNT: &str = "default";
/// The ConfigMap with the certificate by which pods know the API server.
pub(crate) const ROOT_CA_CONFIG_MAP: &str = "kube-root-ca.crt";
/// The key of the certificate in it.
const ROOT_CA_KEY: &str = "ca.crt";

/// Looks at one namespace.
pub fn reconcile(view: &View, key: &Key, ids: &mut Ids) -> Plan {
    match view.snapshot.get(key) {
        Some(namespace) if namespace.meta().deleted.is_some() => empty(view, namespace),
        Some(namespace) => furnish(view, namespace.name(), ids),
        None => Plan::default(),
    }
}

/// Gives a namespace what clients expect in every one.
fn furnish(view: &View, namespace: &str, ids: &mut Ids) -> Plan {
    let mut plan = Plan::default();
    let metadata = |name: &str| ObjectMeta {
        namespace: Some(namespace.to_owned()),
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    };
    let mut create = |object: Typed| {
        let mut context = admit::Context { now: view.now, ids };
        admit::create(object, &mut context).ok().map(|admitted| Write::Create(admitted.draft))
    };
    let writes = &mut plan.transaction.writes;
    if view.snapshot.get(&Key::new(Kind::ServiceAccount, namespace, DEFAULT_SERVICE_ACCOUNT)).is_none() {
        let metadata = metadata(DEFAULT_SERVICE_ACCOUNT);
        writes.extend(create(ServiceAccount { metadata, ..ServiceAccount::default() }.into()));
    }
    if let Some(certificate) = &view.settings.cluster_ca {
        let data = Some([(ROOT_CA_KEY.to_owned(), certificate.clone())].into());
        match view.snapshot.get(&Key::new(Kind::ConfigMap, namespace, ROOT_CA_CONFIG_MAP)) {
            None => {
                let metadata = metadata(ROOT_CA_CONFIG_MAP);
                writes.extend(create(ConfigMap { metadata, data, ..ConfigMap::default() }.into()));
            }
            Some(stored) if stored.meta().deleted.is_none() => {
                let wanted = ConfigMap { data, ..stored.decode() };
                writes.extend(replace(stored, &wanted.into()));
            }
            Some(_) => {}
        }
    }
    plan
}

/// Deletes what is in a namespace that ends, and at last the namespace.
fn empty(view: &View, namespace: &Object) -> Plan {
    let mut plan = Plan::default();
    let name = namespace.name();
    let kinds = Kind::ALL.iter().filter(|kind| kind.descriptor().namespaced);
    let mut content = kinds.flat_map(|kind| view.snapshot.list_namespace(*kind, name)).peekable();
    if content.peek().is_none() {
        plan.transaction.writes.extend(finalize(namespace));
        return plan;
    }
    // What cannot be deleted yet is waited for: its removal brings the namespace up again.
    let mut deletions = content
        .filter(|object| object.meta().deleted.is_none())
        .filter_map(|object| deletion::write(object, Propagation::Background, view.now).ok().flatten());
    plan.transaction.writes.extend(deletions.by_ref().take(BATCH_OBJECTS_MAX));
    plan.wake_at = deletions.next().map(|_| view.now);
    plan
}

/// The write that ends a namespace without content, or leaves it to those whose finalizers it still has.
fn finalize(object: &Object) -> Option<Write> {
    let mut namespace = object.decode::<Namespace>();
    namespace.spec.get_or_insert_default().finalizers = None;
    replace(object, &namespace.into())
}

#[cfg(test)]
mod tests;
