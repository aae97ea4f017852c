use cronlet_object::{
    Draft,
    api::{ConfigMap, Node, PersistentVolume, PersistentVolumeClaim, Secret},
};
use serde_json::{Value, json};

use super::*;
use crate::spec::{Identity, Mount, Propagation, ReadOnlyBelow};

pub const NAMESPACE: &str = "ns";

/// What is stored, and the node.
pub struct World {
    snapshot: Snapshot,
    facts: NodeFacts,
}

impl World {
    pub fn new() -> Self {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:100:Alice,,,:/home/alice:/bin/sh\nbroken line\n\
                      alias:x:1000:200::/elsewhere:";
        let facts = NodeFacts {
            name: "here".into(),
            ip: "127.0.0.1".into(),
            hostname: "machine".into(),
            pods_dir: "/data/pods".into(),
            volumes_dir: "/data/volumes".into(),
            log_root: "/log".into(),
            seccomp_dir: "/data/seccomp".into(),
            kernel: "6.1.0".into(),
            app_armor: false,
            users: Users::new(0, 0, vec![0], passwd),
            hosts: String::new(),
            resolv_conf: String::new(),
            resolv_conf_elsewhere: String::new(),
            pod_network: PodNetwork::Host,
            pod_pids_max: Some(4096),
            has_ranges: false,
            oci_runtime: None,
            api: Some("127.0.0.1:7443".parse().unwrap()),
            secrets_dir: None,
        };
        World { snapshot: Snapshot::default(), facts }
    }

    pub fn inputs<'a>(&'a self, pod: &'a api::Pod) -> Inputs<'a> {
        Inputs {
            pod,
            snapshot: &self.snapshot,
            node: &self.facts,
            start_time: Timestamp::UNIX_EPOCH,
            images: None,
            profiles: None,
            attachment: None,
        }
    }

    pub fn store<T: cronlet_object::Resource>(&mut self, object: Value) {
        let object: T = serde_json::from_value(object).unwrap();
        let object = Draft::of(&object).seal(self.snapshot.revision() + 1);
        self.snapshot.insert(object.into());
    }

    pub fn config_map(&mut self, name: &str, data: &[(&str, &str)]) {
        let data: Value = data.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        self.store::<ConfigMap>(
            json!({ "metadata": { "name": name, "namespace": NAMESPACE }, "data": data }),
        );
    }

    pub fn secret(&mut self, name: &str, data: &[(&str, &[u8])]) {
        let encode = |value: &[u8]| json!(k8s_openapi::ByteString(value.to_vec()));
        let data: Value = data.iter().map(|(key, value)| ((*key).to_owned(), encode(value))).collect();
        self.store::<Secret>(json!({ "metadata": { "name": name, "namespace": NAMESPACE }, "data": data }));
    }

    pub fn node(&mut self, allocatable: &[(&str, &str)]) {
        let allocatable: Value =
            allocatable.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        self.store::<Node>(
            json!({ "metadata": { "name": "here" }, "status": { "allocatable": allocatable } }),
        );
    }

    /// What the machine has in `/etc/hosts` and `/etc/resolv.conf`.
    pub fn network(&mut self, hosts: &str, resolv_conf: &str) {
        (self.facts.hosts, self.facts.resolv_conf) = (hosts.to_owned(), resolv_conf.to_owned());
    }

    /// A pod with one container `c`, of which some fields are given in YAML.
    pub fn pod(&self, container: &str) -> api::Pod {
        let mut fields: Value = from_yaml(container);
        fields["name"] = json!("c");
        let pod = json!({
            "metadata": {
                "name": "p", "namespace": NAMESPACE, "uid": "u", "labels": { "app": "web" },
                "annotations": { "a.b/c": "line\n\"two\"", "z": "\u{1}ü\\" },
            },
            "spec": { "containers": [fields], "restartPolicy": "OnFailure" },
        });
        serde_json::from_value(pod).unwrap()
    }
}

fn from_yaml(text: &str) -> Value {
    if text.is_empty() { json!({}) } else { serde_saphyr::from_str(text).unwrap() }
}

fn only(world: &World, pod: &api::Pod) -> Container {
    resolve(world.inputs(pod)).unwrap().spec.containers.remove(0)
}

fn config_error(world: &World, pod: &api::Pod) -> String {
    match resolve(world.inputs(pod)).unwrap_err().remove(0) {
        Blocked::Container { container, reason, message } => {
            assert_eq!((container.as_str(), reason), ("c", CONFIG_ERROR));
            message
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pod_is_resolved_whole() {
    let world = World::new();
    let mut pod = world
        .pod("{command: [run, $(HOME), $$x], args: ['$(X)', $(PATH)], env: [{name: X, value: x}], workingDir: srv}");
    let spec = pod.spec.as_mut().unwrap();
    spec.active_deadline_seconds = Some(60);
    spec.init_containers = Some(vec![
        serde_json::from_value(json!({ "name": "s", "command": ["s"], "restartPolicy": "Always" })).unwrap(),
        serde_json::from_value(json!({ "name": "i", "command": ["i"] })).unwrap(),
    ]);
    let resolved = resolve(world.inputs(&pod)).unwrap().spec;
    let roles: Vec<_> = resolved.containers.iter().map(|c| (c.name.as_str(), c.role)).collect();
    assert_eq!(roles, [("s", Role::Sidecar), ("i", Role::Init), ("c", Role::Regular)]);
    let c = &resolved.containers[2];
    // Only what the pod defines is known at that point.
    assert_eq!(c.argv, ["run", "$(HOME)", "$x", "x", "$(PATH)"]);
    assert!(c.env.contains(&("HOME".to_owned(), "/root".to_owned())), "{:?}", c.env);
    assert_eq!(c.restart, None);
    assert_eq!(c.cwd, "/srv");
    assert_eq!(c.identity, None);
    assert!(!c.termination_message.required && !c.no_new_privileges);
    assert_eq!(resolved.deadline, Some(Timestamp::from_second(60).unwrap()));
    assert_eq!((resolved.restart_policy, resolved.grace_seconds), (RestartPolicy::OnFailure, 30));
    assert_eq!(resolved.log_dir, Path::new("/log/pods/ns_p_u"));
}

#[test]
fn a_sub_path_knows_only_what_the_pod_defines() {
    let world = World::new();
    let mut pod =
        world.pod("{command: [x], volumeMounts: [{name: e, mountPath: /e, subPathExpr: $(HOSTNAME)}]}");
    pod.spec.as_mut().unwrap().volumes =
        serde_json::from_value(json!([{ "name": "e", "emptyDir": {} }])).unwrap();
    let message = "missing value for \"HOSTNAME\"".to_owned();
    let expected = Blocked::Container { container: "c".into(), reason: CONFIG_ERROR, message };
    assert_eq!(resolve(world.inputs(&pod)).unwrap_err(), [expected]);
}

#[test]
fn a_containers_own_restart_policy_is_handed_on() {
    let world = World::new();
    let pod = world.pod(
        "{command: [x], restartPolicy: Never, restartPolicyRules: [{action: Restart, exitCodes: {operator: In, \
         values: [42]}}, {action: Restart, exitCodes: {operator: NotIn, values: [1, 2]}}, {action: Other, \
         exitCodes: {operator: In, values: [3]}}]}",
    );
    let codes = |values: &[i32], inverted| ExitCodes { values: values.to_vec(), inverted };
    let rules = vec![codes(&[42], false), codes(&[1, 2], true)];
    assert_eq!(only(&world, &pod).restart, Some(Restart { policy: RestartPolicy::Never, rules }));
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let world = World::new();
    let mut pod = world.pod("{args: [x], image: busybox}");
    let spec = pod.spec.as_mut().unwrap();
    spec.volumes = serde_json::from_value(json!([
        { "name": "m", "configMap": { "name": "none" } },
        { "name": "n", "nfs": { "path": "/", "server": "s" } },
        { "name": "t", "projected": { "sources": [{ "clusterTrustBundle": { "path": "bundle" } }] } },
        { "name": "h", "hostPath": { "path": "/", "type": "Nonsense" } },
        { "name": "p", "emptyDir": { "medium": "HugePages-2Mi" } },
    ]))
    .unwrap();
    let volume =
        |volume: &str, message: &str| Blocked::Volume { volume: volume.into(), message: message.into() };
    let message = "a process pod does not use the image \"busybox\", so `command` is required: set it to a program of \
                   this host";
    let expected = [
        volume("m", "configmap \"none\" not found"),
        volume("n", "this node has no volumes of its type"),
        volume("t", "this node has no projected volumes of its source's type"),
        volume("h", "hostPath type \"Nonsense\" is not known"),
        volume("p", "emptyDir medium \"HugePages-2Mi\": this node has the disk and Memory"),
        Blocked::Container { container: "c".into(), reason: CREATE_ERROR, message: message.into() },
    ];
    assert_eq!(resolve(world.inputs(&pod)).unwrap_err(), expected);
}

#[test]
fn volumes_are_planned_where_they_belong() {
    let world = World::new();
    let mut pod = world.pod(
        "{command: [x], env: [{name: DIR, value: d}], volumeMounts: [{name: e, mountPath: /e//f/, subPathExpr: $(DIR)/s}, \
         {name: h, mountPath: h, readOnly: true}, {name: m, mountPath: /m}]}",
    );
    let spec = pod.spec.as_mut().unwrap();
    spec.volumes = serde_json::from_value(json!([
        { "name": "e", "emptyDir": {} },
        { "name": "h", "hostPath": { "path": "/srv", "type": "" } },
        { "name": "m", "emptyDir": { "medium": "Memory", "sizeLimit": "1Ki" } },
    ]))
    .unwrap();
    let resolved = resolve(world.inputs(&pod)).unwrap();
    let mount = |volume: &str, source: &str, sub_path: Option<&str>, target: &str, read_only| Mount {
        volume: volume.into(),
        source: source.into(),
        sub_path: sub_path.map(str::to_owned),
        target: target.into(),
        read_only,
        read_only_below: ReadOnlyBelow::No,
        propagation: Propagation::None,
    };
    let expected = [
        mount("e", "/data/pods/u/volume-e", Some("d/s"), "/e/f", false),
        mount("h", "/srv", None, "/h", true),
        mount("m", "/data/pods/u/volume-m", None, "/m", false),
    ];
    assert_eq!(resolved.spec.containers[0].mounts, expected);
    assert_eq!(resolved.spec.memory_volumes[0].bytes_max, Some(1024));
    let plans: Vec<_> = resolved.volumes.into_iter().map(|volume| volume.plan).collect();
    let expected =
        [Plan::EmptyDir, Plan::HostPath(HostPathKind::Unset), Plan::Memory { bytes_max: Some(1024) }];
    assert_eq!(plans, expected);
}

#[test]
fn memory_is_no_larger_than_what_the_pod_may_use() {
    let world = World::new();
    for (size, limit, expected) in [
        (json!("1Ki"), Some("2Ki"), Some(1024)),
        (json!("4Ki"), Some("2Ki"), Some(2048)),
        (json!("0"), Some("2Ki"), Some(2048)),
        (json!(null), Some("2Ki"), Some(2048)),
        (json!(null), None, None),
    ] {
        let resources =
            limit.map_or(String::new(), |limit| format!(", resources: {{limits: {{memory: {limit}}}}}"));
        let mut pod = world.pod(&format!("{{command: [x]{resources}}}"));
        let volume = json!([{ "name": "m", "emptyDir": { "medium": "Memory", "sizeLimit": size } }]);
        pod.spec.as_mut().unwrap().volumes = serde_json::from_value(volume).unwrap();
        let resolved = resolve(world.inputs(&pod)).unwrap();
        assert_eq!(resolved.spec.memory_volumes[0].bytes_max, expected, "{size} {limit:?}");
    }
}

/// How the volume of a pod is planned whose claim is bound to a volume.
fn planned_claim(volume: &Value, modes: &Value) -> Result<Volume, String> {
    let mut world = World::new();
    let claim = json!({
        "metadata": { "name": "data", "namespace": NAMESPACE, "uid": "u-1" },
        "spec": { "volumeName": "disk", "accessModes": modes }, "status": { "phase": "Bound" },
    });
    world.store::<PersistentVolumeClaim>(claim);
    let mut all = json!({ "metadata": { "name": "disk" } });
    all.as_object_mut().unwrap().extend(volume.as_object().cloned().unwrap());
    world.store::<PersistentVolume>(all);
    let mut pod = world.pod("{command: [x]}");
    let volumes = json!([{ "name": "v", "persistentVolumeClaim": { "claimName": "data" } }]);
    let spec = pod.spec.as_mut().unwrap();
    spec.volumes = serde_json::from_value(volumes).unwrap();
    match resolve(world.inputs(&pod)) {
        Ok(resolved) => Ok(resolved.volumes.into_iter().next().unwrap()),
        Err(blocked) => Err(match &blocked[0] {
            Blocked::Volume { message, .. } => message.clone(),
            other => panic!("{other:?}"),
        }),
    }
}

#[test]
fn a_claim_is_what_its_volume_is() {
    let modes = json!(["ReadWriteOnce"]);
    let of = |spec: Value| planned_claim(&json!({ "spec": spec }), &modes);
    let host = of(json!({ "hostPath": { "path": "/srv", "type": "Directory" } })).unwrap();
    assert_eq!((host.source, host.plan), ("/srv".into(), Plan::HostPath(HostPathKind::Directory)));
    let local = of(json!({ "local": { "path": "/mnt/disk" } })).unwrap();
    assert_eq!((local.source, local.plan), ("/mnt/disk".into(), Plan::Local { only_on_mismatch: false }));
    let own = json!({ "metadata": {
        "name": "disk", "annotations": { "pv.kubernetes.io/provisioned-by": "cronlet.dev/directory" },
    } });
    let own = planned_claim(&own, &modes).unwrap();
    assert_eq!(
        (own.source, own.read_only),
        ("/data/volumes/disk".into(), false),
        "wherever the node's data is"
    );
    assert_eq!(own.plan, Plan::Claim { only_on_mismatch: false });
    let read =
        planned_claim(&json!({ "spec": { "local": { "path": "/x" } } }), &json!(["ReadOnlyMany"])).unwrap();
    assert!(read.read_only, "that is all that it may be used for");
    for (spec, expected) in [
        (json!({ "nfs": { "server": "s", "path": "/p" } }), "this node mounts no nfs by itself"),
        (json!({ "csi": { "driver": "d", "volumeHandle": "h" } }), "this node has no volumes of its type"),
        (json!({ "local": { "path": "/dev/x" }, "volumeMode": "Block" }), "this node has no block volumes"),
    ] {
        let message = of(spec).unwrap_err();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn mounts_that_make_no_sense_are_refused() {
    let world = World::new();
    for (mount, expected) in [
        ("mountPath: /", "a process pod needs a path below /"),
        ("mountPath: /a/../b", "a process pod needs a path below /"),
        ("mountPath: /a, subPath: ../x", "must be a relative path"),
        ("mountPath: /a, subPath: /x", "must be a relative path"),
        ("mountPath: /a, subPathExpr: $(NO)", "missing value for \"NO\""),
        ("mountPath: /a, mountPropagation: Bidirectional", "is not seen outside of it"),
    ] {
        let mut pod = world.pod(&format!("{{command: [x], volumeMounts: [{{name: e, {mount}}}]}}"));
        pod.spec.as_mut().unwrap().volumes =
            serde_json::from_value(json!([{ "name": "e", "emptyDir": {} }])).unwrap();
        let message = config_error(&world, &pod);
        assert!(message.contains(expected), "{mount}: {message}");
    }
}

/// A pod with security contexts of its own and of its container.
fn secured(world: &World, pod: Value, container: Value) -> api::Pod {
    let mut secured = world.pod("{command: [x]}");
    let spec = secured.spec.as_mut().unwrap();
    spec.security_context = serde_json::from_value(pod).unwrap();
    spec.containers[0].security_context = serde_json::from_value(container).unwrap();
    secured
}

#[test]
fn root_may_run_containers_as_anybody() {
    let world = World::new();
    let identity = |pod, container| only(&world, &secured(&world, pod, container)).identity;
    let who = |uid, gid, groups: &[u32]| Some(Identity { uid, gid, groups: groups.to_vec() });
    assert_eq!(identity(json!({}), json!({})), None);
    assert_eq!(identity(json!({ "runAsUser": 1000 }), json!({})), who(1000, 100, &[]));
    assert_eq!(
        identity(json!({ "runAsUser": 1000 }), json!({ "runAsUser": 7, "runAsGroup": 8 })),
        who(7, 8, &[])
    );
    assert_eq!(identity(json!({ "runAsUser": 7 }), json!({})), who(7, 0, &[]));
    assert_eq!(identity(json!({ "fsGroup": 5, "supplementalGroups": [6] }), json!({})), who(0, 0, &[6, 5]));
    let alice = only(&world, &secured(&world, json!({ "runAsUser": 1000 }), json!({})));
    assert!(alice.env.contains(&("HOME".into(), "/home/alice".into())));
    let nobody = secured(&world, json!({ "runAsUser": 7, "runAsNonRoot": true }), json!({}));
    assert!(only(&world, &nobody).env.contains(&("HOME".into(), "/".into())));
    let strict = secured(&world, json!({}), json!({ "allowPrivilegeEscalation": false }));
    assert!(only(&world, &strict).no_new_privileges);
}

#[test]
fn who_must_not_be_root_is_not() {
    let world = World::new();
    let unset = secured(&world, json!({ "runAsNonRoot": true }), json!({}));
    let message = "container has runAsNonRoot and image will run as root (pod: \"p_ns(u)\", container: c)";
    assert_eq!(config_error(&world, &unset), message);
    let explicit = secured(&world, json!({ "runAsNonRoot": true }), json!({ "runAsUser": 0 }));
    let message = "container's runAsUser breaks non-root policy (pod: \"p_ns(u)\", container: c)";
    assert_eq!(config_error(&world, &explicit), message);
}

#[test]
fn without_root_there_is_one_user() {
    let mut world = World::new();
    world.facts.users = Users::new(1000, 100, vec![100, 101], "");
    let pod = |pod| secured(&world, pod, json!({}));
    let own = json!({ "runAsUser": 1000, "runAsGroup": 100, "supplementalGroups": [101], "fsGroup": 7, "runAsNonRoot": true });
    assert_eq!(only(&world, &pod(own)).identity, None);
    for (other, expected) in [
        (json!({ "runAsUser": 0 }), "runAsUser 0 is not the user 1000 that the node runs as"),
        (json!({ "runAsGroup": 101 }), "runAsGroup 101 is not the group 100 that the node runs as"),
        (json!({ "supplementalGroups": [7] }), "supplementalGroups has 7, which the node is not a member of"),
        (json!({ "runAsUser": -1 }), "-1 is no user or group of this system"),
    ] {
        let message = config_error(&world, &pod(other));
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn app_armor_is_refused_where_there_is_none() {
    let profile = |kind: &str| json!({ "appArmorProfile": { "type": kind } });
    let blocked = |pod: Value, container: Value, has_app_armor: bool| {
        let spec = json!({
            "securityContext": pod,
            "containers": [{ "name": "c", "command": ["true"], "securityContext": container }],
        });
        let pod = json!({ "metadata": { "name": "pod", "namespace": NAMESPACE, "uid": "u" }, "spec": spec });
        let pod: api::Pod = serde_json::from_value(pod).unwrap();
        let mut world = World::new();
        world.facts.app_armor = has_app_armor;
        resolve(world.inputs(&pod)).err()
    };
    let message = "Cannot enforce AppArmor: AppArmor is not enabled on the host".to_owned();
    let refused = Some(vec![Blocked::Pod { reason: "AppArmor", message }]);
    assert_eq!(blocked(json!({}), profile("RuntimeDefault"), false), refused);
    assert_eq!(blocked(profile("Localhost"), json!({}), false), refused);
    assert_eq!(blocked(profile("RuntimeDefault"), profile("Unconfined"), false), None);
    assert_eq!(blocked(profile("RuntimeDefault"), json!({}), true), None);
}
