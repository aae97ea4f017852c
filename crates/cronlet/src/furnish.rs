//! The objects that a node has before anybody asks: namespaces, roles, classes, its own Service, and the node itself.
//!
//! What is missing is made anew at every start, as upstream's API server does. What somebody has changed stays so, but for
//! roles and bindings that lack what they are to have (unless their annotation `rbac.authorization.kubernetes.io/autoupdate`
//! says `false`).

use anyhow::Context as _;
use cronlet_controller::claim::class;
use cronlet_object::{
    Ids, Key, Kind, Object, Snapshot, Transaction, Typed, Write,
    admit::{self, Admitted},
    api::{ClusterRole, Namespace, ObjectMeta, Service},
    claim::STORAGE_CLASS,
    deletion, policy, rbac,
};
use cronlet_store::Store;
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use crate::machine::{self, Machine};

/// The namespaces that every cluster has and clients count on.
const NAMESPACES: &[&str] = &["default", "kube-node-lease", "kube-public", "kube-system"];
/// The one of them that says whether the node has had its storage class.
const CLASS_NAMESPACE: &str = "kube-system";
/// The port that clients know the API by where they know a Service.
const SERVICE_PORT: i32 = 443;
/// Roles gather from roles that gather: so many rounds fill them all.
const GATHERING_ROUNDS_MAX: usize = 8;

/// Makes what is missing. `node` is absent where no pods are run; `port` is the API's.
///
/// # Errors
/// If admission refuses something, or it cannot be stored.
pub async fn furnish(
    store: &Store,
    node: Option<Machine<'_>>,
    port: u16,
    now: Timestamp,
    ids: &mut Ids,
) -> anyhow::Result<()> {
    let snapshot = store.snapshot();
    let mut transaction = match node {
        Some(node) => machine::register(&snapshot, node, now, ids)?,
        None => Transaction::default(),
    };
    if has_no_class_yet(&snapshot) {
        transaction.writes.extend(class::first(&snapshot, now, ids)?);
    }
    for name in NAMESPACES {
        transaction.writes.extend(namespace(&snapshot, name, now, ids)?);
    }
    let classes = policy::system_priority_classes().map(Typed::from);
    for object in classes.chain(rbac::default_objects()) {
        let Some(stored) = snapshot.get(&key_of(&object)) else {
            transaction.writes.push(create(object, now, ids)?);
            continue;
        };
        transaction
            .writes
            .extend(rbac::refreshed(stored, &object).and_then(|new| deletion::replace(stored, &new)));
    }
    transaction.writes.extend(service(&snapshot, port, now, ids)?);
    store.commit(transaction).await.context("the first write failed")?;
    gather(store).await
}

/// Fills the roles that gather from others, so that the first request finds them full.
async fn gather(store: &Store) -> anyhow::Result<()> {
    for _ in 0..GATHERING_ROUNDS_MAX {
        let snapshot = store.snapshot();
        let fuller = |object: &std::sync::Arc<Object>| {
            let role: ClusterRole = rbac::aggregate(&snapshot, object)?;
            deletion::replace(object, &role.into())
        };
        let writes: Vec<Write> = snapshot.list(Kind::ClusterRole).filter_map(fuller).collect();
        if writes.is_empty() {
            break;
        }
        let transaction = Transaction { writes, ..Transaction::default() };
        store.commit(transaction).await.context("the cluster roles cannot be written")?;
    }
    Ok(())
}

fn key_of(object: &Typed) -> Key {
    let metadata = object.metadata();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Key::new(object.kind(), text(&metadata.namespace), text(&metadata.name))
}

fn create(object: Typed, now: Timestamp, ids: &mut Ids) -> anyhow::Result<Write> {
    let Admitted { draft, .. } = admit::create(object, &mut admit::Context { now, ids })?;
    Ok(Write::Create(draft))
}

/// Whether this is the first start of a node that gives itself a storage class.
fn has_no_class_yet(snapshot: &Snapshot) -> bool {
    let namespace: Option<Namespace> = snapshot.decode("", CLASS_NAMESPACE);
    let annotations = namespace.and_then(|namespace| namespace.metadata.annotations);
    annotations.is_none_or(|all| !all.contains_key(class::MADE))
}

fn namespace(
    snapshot: &Snapshot,
    name: &str,
    now: Timestamp,
    ids: &mut Ids,
) -> anyhow::Result<Option<Write>> {
    let made = (name == CLASS_NAMESPACE).then(|| (class::MADE.to_owned(), STORAGE_CLASS.to_owned()));
    let Some(old) = snapshot.get(&Key::new(Kind::Namespace, "", name)) else {
        let annotations = made.map(|annotation| [annotation].into());
        let metadata = ObjectMeta { name: Some(name.to_owned()), annotations, ..ObjectMeta::default() };
        return create(Namespace { metadata, ..Namespace::default() }.into(), now, ids).map(Some);
    };
    Ok(made.and_then(|(annotation, value)| {
        let mut namespace: Namespace = old.decode();
        namespace.metadata.annotations.get_or_insert_default().insert(annotation, value);
        deletion::replace(old, &namespace.into())
    }))
}

/// The Service by which clients know the API: `default/kubernetes`. It has no address of its own; its port leads to the
/// one that this node listens on, which may be another at each start.
fn service(snapshot: &Snapshot, port: u16, now: Timestamp, ids: &mut Ids) -> anyhow::Result<Option<Write>> {
    let ports = vec![ServicePort {
        name: Some("https".to_owned()),
        port: SERVICE_PORT,
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::Int(port.into())),
        ..ServicePort::default()
    }];
    if let Some(old) = snapshot.get(&Key::new(Kind::Service, "default", "kubernetes")) {
        let mut service: Service = old.decode();
        service.spec.get_or_insert_default().ports = Some(ports);
        return Ok(deletion::replace(old, &service.into()));
    }
    let labels = [("component", "apiserver"), ("provider", "kubernetes")];
    let service = Service {
        metadata: ObjectMeta {
            namespace: Some("default".to_owned()),
            name: Some("kubernetes".to_owned()),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec { ports: Some(ports), ..ServiceSpec::default() }),
        status: None,
    };
    create(service.into(), now, ids).map(Some)
}
