use cronlet_object::api;
use serde_json::{Value, json};

use super::*;
use crate::{
    resolve::{Blocked, Profiles, resolve, tests::World},
    spec::Container,
};

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:App:/srv/app:/bin/sh\n";
const GROUP: &str = "root:x:0:\napp:x:1001:\nextra:x:2000:app,other\n";

fn image() -> Image {
    Image {
        repo_digest: "registry.example/app@sha256:1".into(),
        entrypoint: vec!["/entry".into()],
        cmd: vec!["serve".into()],
        env: vec!["PATH=/app/bin".into(), "MODE=image".into()],
        working_dir: "/srv".into(),
        layers: vec!["/layers/a".into()],
        passwd: PASSWD.into(),
        group: GROUP.into(),
        ..Image::default()
    }
}

/// What becomes of a pod whose one container is `container` and has `image`.
fn resolved(
    container: impl Into<Value>,
    pod: impl Into<Value>,
    image: Image,
) -> Result<Container, Vec<Blocked>> {
    let (container, pod) = (container.into(), pod.into());
    let mut spec = json!({ "containers": [container] });
    spec["containers"][0]["name"] = json!("main");
    spec["containers"][0]["image"] = json!("app");
    spec.as_object_mut().unwrap().extend(pod.as_object().cloned().unwrap_or_default());
    let pod: api::Pod = serde_json::from_value(
        json!({ "metadata": { "name": "pod", "namespace": "ns", "uid": "u" }, "spec": spec }),
    )
    .unwrap();
    let world = World::new();
    let images = [("app".to_owned(), ImageState::Ready(Arc::new(image)))].into();
    let resolved = resolve(Inputs { images: Some(&images), ..world.inputs(&pod) })?;
    Ok(resolved.spec.containers.into_iter().next().unwrap())
}

fn container(container: Value) -> Container {
    resolved(container, json!({}), image()).unwrap()
}

fn refusal(what: Value, image: Image) -> String {
    match resolved(what, json!({}), image).unwrap_err().remove(0) {
        Blocked::Container { message, .. }
        | Blocked::Pod { message, .. }
        | Blocked::Volume { message, .. } => message,
    }
}

#[test]
fn command_and_args_stand_in_for_what_the_image_says() {
    let argv = |own: Value| container(own).argv;
    assert_eq!(argv(json!({})), ["/entry", "serve"]);
    assert_eq!(argv(json!({ "args": ["once"] })), ["/entry", "once"]);
    assert_eq!(argv(json!({ "command": ["/bin/sh"] })), ["/bin/sh"]);
    assert_eq!(argv(json!({ "command": ["/bin/sh"], "args": ["-c", "x"] })), ["/bin/sh", "-c", "x"]);
    let empty = Image { entrypoint: Vec::new(), cmd: Vec::new(), ..image() };
    assert_eq!(refusal(json!({}), empty), "no command specified");
}

#[test]
fn what_the_image_executes_is_not_expanded() {
    let entrypoint = vec!["sh".into(), "-c".into(), "kill $$ $(A)".into()];
    let image = Image { entrypoint, cmd: vec!["$(A)".into()], ..image() };
    let mut own = json!({ "env": [{ "name": "A", "value": "a" }] });
    assert_eq!(resolved(own.clone(), json!({}), image.clone()).unwrap().argv[2..], ["kill $$ $(A)", "$(A)"]);
    own["args"] = json!(["$(A)", "$$"]);
    assert_eq!(resolved(own, json!({}), image).unwrap().argv[2..], ["kill $$ $(A)", "a", "$"]);
}

#[test]
fn the_image_names_the_signal_that_ends_it() {
    let signal = |name: &str| {
        let image = Image { stop_signal: Some(name.into()), ..image() };
        resolved(json!({}), json!({}), image).unwrap().stop_signal
    };
    for (name, number) in [
        ("SIGINT", 2),
        ("QUIT", 3),
        ("sigabrt", 6),
        ("15", 15),
        ("SIGSTOP", 19),
        ("RTMIN", 34),
        ("SIGRTMIN+3", 37),
        ("37", 37),
        ("SIGRTMAX-1", 63),
        ("SIGRTMAX", 64),
    ] {
        assert_eq!(signal(name), Some(number), "{name}");
    }
    assert_eq!(container(json!({})).stop_signal, None);
    for unknown in ["", "0", "65", "-1", "SIGRTMIN+31", "SIGRTMIN-1", "SIGRTMIN3", "SIGNAL"] {
        assert_eq!(signal(unknown), None, "{unknown}");
    }
}

#[test]
fn the_containers_directory_outranks_the_images() {
    assert_eq!(container(json!({ "workingDir": "/own" })).cwd, "/own");
    let nowhere = Image { working_dir: String::new(), ..image() };
    assert_eq!(resolved(json!({}), json!({}), nowhere).unwrap().cwd, "/");
}

#[test]
fn the_pods_groups_come_besides_the_images() {
    let pod = json!({ "securityContext": { "supplementalGroups": [6], "fsGroup": 5 } });
    let image = Image { user: "app".into(), ..image() };
    assert_eq!(resolved(json!({}), pod, image).unwrap().identity.unwrap().groups, [5, 6, 2000]);
}

#[test]
fn the_images_variables_are_defaults() {
    let own = container(
        json!({ "env": [{ "name": "MODE", "value": "own" }, { "name": "SEEN", "value": "$(PATH)" }] }),
    );
    let get = |name: &str| own.env.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!(get("MODE"), Some("own"));
    assert_eq!(get("PATH"), Some("/app/bin"));
    // Upstream expands references before the image is known.
    assert_eq!(get("SEEN"), Some("$(PATH)"));
    assert_eq!(get("HOSTNAME"), Some("pod"));
    assert_eq!(own.cwd, "/srv");
}

#[test]
fn the_user_is_found_in_the_image() {
    let run_as = |user: &str, security: Value| {
        let image = Image { user: user.into(), ..image() };
        let identity = resolved(json!({ "securityContext": security }), json!({}), image).unwrap().identity;
        let Identity { uid, gid, groups } = identity.unwrap();
        (uid, gid, groups)
    };
    assert_eq!(run_as("", json!({})), (0, 0, vec![]));
    assert_eq!(run_as("app", json!({})), (1000, 1001, vec![2000]));
    assert_eq!(run_as("app:extra", json!({})), (1000, 2000, vec![2000]));
    assert_eq!(run_as("4000", json!({})), (4000, 0, vec![]));
    assert_eq!(run_as("app", json!({ "runAsUser": 7, "runAsGroup": 8 })), (7, 8, vec![]));
    let unknown = Image { user: "nobody-here".into(), ..image() };
    assert!(refusal(json!({}), unknown).contains("unable to find user nobody-here"));
}

#[test]
fn root_is_refused_where_it_may_not_be() {
    let strict = json!({ "securityContext": { "runAsNonRoot": true } });
    assert!(
        refusal(strict.clone(), image()).starts_with("container has runAsNonRoot and image will run as root")
    );
    let named = Image { user: "app".into(), ..image() };
    assert!(refusal(strict.clone(), named).contains("non-numeric user (app)"));
    let numbered = Image { user: "1000".into(), ..image() };
    assert_eq!(resolved(strict, json!({}), numbered).unwrap().identity.unwrap().uid, 1000);
}

#[test]
fn limits_become_what_the_kernel_takes() {
    let limited = json!({ "resources": {
        "limits": { "cpu": "500m", "memory": "64Mi" }, "requests": { "cpu": "250m" } } });
    let resources = container(limited).root.unwrap().resources;
    let expected = Resources {
        pod_pids_max: Some(4096),
        pids_max: None,
        cpu_shares: Some(256),
        cpu_quota_micros: Some(50_000),
        memory_bytes_max: Some(64 << 20),
        oom_score_adj: None,
    };
    assert_eq!(resources, expected);
}

#[test]
fn the_least_that_is_granted_is_what_the_kubelet_grants() {
    let of = |resources: Value| container(json!({ "resources": resources })).root.unwrap().resources;
    let tiny = of(json!({ "limits": { "cpu": "1m" } }));
    assert_eq!((tiny.cpu_shares, tiny.cpu_quota_micros), (Some(2), Some(1000)));
    // A limit stands in for a missing request.
    assert_eq!(of(json!({ "limits": { "cpu": "2" } })).cpu_shares, Some(2048));
}

/// The scores of a pod's containers for when memory runs out, on a node with 8 GiB.
fn oom_scores(class: &str, spec: &Value) -> Vec<Option<i32>> {
    let pod: api::Pod = serde_json::from_value(json!({
        "metadata": { "name": "pod", "namespace": "ns", "uid": "u" },
        "spec": spec,
        "status": { "qosClass": class },
    }))
    .unwrap();
    let mut world = World::new();
    world.node(&[("memory", "8Gi")]);
    let images = [("app".to_owned(), ImageState::Ready(Arc::new(image())))].into();
    let resolved = resolve(Inputs { images: Some(&images), ..world.inputs(&pod) }).unwrap();
    let roots = resolved.spec.containers.into_iter().map(|container| container.root.unwrap());
    roots.map(|root| root.resources.oom_score_adj).collect()
}

#[test]
fn who_has_asked_for_less_goes_first_when_memory_runs_out() {
    let one = |resources: Value| json!({ "containers": [{ "name": "main", "image": "app", "resources": resources }] });
    assert_eq!(oom_scores("BestEffort", &one(json!({}))), [Some(1000)]);
    // The class is told by amounts, not by how they are written.
    let guaranteed = json!({ "limits": { "cpu": "1", "memory": "1Gi" },
        "requests": { "cpu": "1000m", "memory": "1024Mi" } });
    assert_eq!(oom_scores("Guaranteed", &one(guaranteed)), [Some(-997)]);
    for (memory, score) in [("2Gi", 750), ("1Mi", 999), ("8Gi", 3), ("1Ti", 3)] {
        let resources = json!({ "requests": { "memory": memory } });
        assert_eq!(oom_scores("Burstable", &one(resources)), [Some(score)], "{memory}");
    }
    assert_eq!(oom_scores("Burstable", &one(json!({ "requests": { "cpu": "1" } }))), [Some(999)]);
    // A sidecar does not go before those that it serves.
    let container = |name: &str, memory: &str| json!({ "name": name, "image": "app", "resources": { "requests": { "memory": memory } } });
    let mut sidecar = container("side", "1Gi");
    sidecar["restartPolicy"] = json!("Always");
    let pod =
        json!({ "initContainers": [sidecar], "containers": [container("a", "4Gi"), container("b", "2Gi")] });
    assert_eq!(oom_scores("Burstable", &pod), [Some(750), Some(500), Some(750)]);
}

#[test]
fn the_networks_files_are_mounted_unless_the_pod_has_its_own() {
    let targets = |own: Value, pod: Value| -> Vec<String> {
        let mounts = resolved(own, pod, image()).unwrap().mounts;
        mounts.iter().map(|mount| mount.target.display().to_string()).collect()
    };
    assert_eq!(targets(json!({}), json!({})), ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"]);
    let mount = json!({ "volumeMounts": [{ "name": "v", "mountPath": "/etc/hosts" }] });
    let volume = json!({ "volumes": [{ "name": "v", "emptyDir": {} }] });
    assert_eq!(targets(mount, volume), ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"]);
}

#[test]
fn an_image_that_is_not_there_blocks_its_container() {
    let pod: api::Pod = serde_json::from_value(json!({
        "metadata": { "name": "pod", "namespace": "ns", "uid": "u" },
        "spec": { "containers": [{ "name": "main", "image": "app" }] },
    }))
    .unwrap();
    let missing = ImageState::Missing { reason: "ErrImagePull", message: "no such image".into() };
    let images = [("app".to_owned(), missing)].into();
    let world = World::new();
    let blocked = resolve(Inputs { images: Some(&images), ..world.inputs(&pod) }).unwrap_err();
    let expected = Blocked::Container {
        container: "main".into(),
        reason: "ErrImagePull",
        message: "no such image".into(),
    };
    assert_eq!(blocked, [expected]);
}

#[test]
fn a_profile_of_the_nodes_says_which_system_calls_may_be_made() {
    let world = World::new();
    let of = |profiles: &Profiles, security: Value| {
        let container =
            json!({ "name": "main", "image": "app", "command": ["x"], "securityContext": security });
        let pod = json!({
            "metadata": { "name": "pod", "namespace": "ns", "uid": "u" }, "spec": { "containers": [container] },
        });
        let pod: api::Pod = serde_json::from_value(pod).unwrap();
        let images = [("app".to_owned(), ImageState::Ready(Arc::new(image())))].into();
        let inputs = Inputs { images: Some(&images), profiles: Some(profiles), ..world.inputs(&pod) };
        resolve(inputs).map(|mut all| all.spec.containers.remove(0).root.unwrap().system_calls)
    };
    let local = json!({ "seccompProfile": { "type": "Localhost", "localhostProfile": "own/p.json" } });
    let with = |file: Result<&str, &str>| -> Profiles {
        let file = file.map(|text| text.as_bytes().to_vec()).map_err(str::to_owned);
        [("own/p.json".to_owned(), file)].into()
    };
    let text = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{ "names": ["read"], "action": "SCMP_ACT_ALLOW" }] }"#;
    let found = of(&with(Ok(text)), local.clone()).unwrap().unwrap();
    assert_eq!(found.rules[0].calls, ["read"]);
    let privileged = json!({
        "privileged": true, "seccompProfile": { "type": "Localhost", "localhostProfile": "own/p.json" },
    });
    assert_eq!(of(&with(Ok(text)), privileged), Ok(None));
    let refused = |profiles: Profiles| match of(&profiles, local.clone()).unwrap_err().remove(0) {
        Blocked::Container { reason, message, .. } => (reason, message),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refused(with(Err("open /data/seccomp/own/p.json: no such file or directory"))),
        (
            "CreateContainerError",
            "cannot load seccomp profile \"/data/seccomp/own/p.json\": open /data/seccomp/own/p.json: no such file or \
             directory"
                .to_owned()
        )
    );
    let (reason, message) = refused(with(Ok("{}")));
    assert_eq!(reason, "CreateContainerError");
    assert!(
        message.starts_with("decoding seccomp profile failed \"/data/seccomp/own/p.json\": "),
        "{message}"
    );
}
