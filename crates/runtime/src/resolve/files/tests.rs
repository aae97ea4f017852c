use serde_json::{Value, json};

use super::super::tests::World;
use super::*;

/// The pod's files by their names.
fn texts(world: &World, pod: &api::Pod) -> Vec<(String, String)> {
    texts_in(world, pod, &Sandbox::default())
}

fn texts_in(world: &World, pod: &api::Pod, sandbox: &Sandbox) -> Vec<(String, String)> {
    let Plan::Files(files) = network(&world.inputs(pod), pod.spec.as_ref().unwrap(), sandbox).plan else {
        panic!("they are files");
    };
    assert!(files.iter().all(|file| file.mode == 0o644));
    files.into_iter().map(|file| (file.path, String::from_utf8(file.data).unwrap())).collect()
}

#[test]
fn in_the_hosts_network_a_pod_has_the_hosts_name() {
    let world = World::new();
    let mut pod = world.pod("command: [x]");
    let seen = |pod: &api::Pod| {
        let env = super::super::resolve(world.inputs(pod)).unwrap().spec.containers.remove(0).env;
        let variable = env.into_iter().find(|(name, _)| name == "HOSTNAME").unwrap().1;
        (texts(&world, pod)[1].1.clone(), variable)
    };
    assert_eq!(seen(&pod), ("p\n".to_owned(), "p".to_owned()));
    pod.spec.as_mut().unwrap().host_network = Some(true);
    assert_eq!(seen(&pod), ("machine\n".to_owned(), "machine".to_owned()));
}

#[test]
fn the_hosts_of_the_machine_come_before_the_pods_aliases() {
    let mut world = World::new();
    world.network("127.0.0.1 localhost\n", "");
    let mut pod = world.pod("");
    let aliases = json!([{ "ip": "10.0.0.9", "hostnames": ["a", "b.c"] }]);
    pod.spec.as_mut().unwrap().host_aliases = serde_json::from_value(aliases).unwrap();
    let expected = "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n\n\
                    # Entries added by HostAliases.\n10.0.0.9\ta\tb.c\n";
    assert_eq!(texts(&world, &pod)[0], ("hosts".to_owned(), expected.to_owned()));
}

#[test]
fn names_are_looked_up_as_the_machine_does_unless_the_pod_says_otherwise() {
    let mut world = World::new();
    let of_machine = "search a b\nnameserver 10.0.0.1\nnameserver 10.0.0.2\noptions ndots:2 edns0\n";
    world.network("", &format!("# made by hand\ndomain old\n{of_machine}"));
    let text = |policy: &str, config: &Value| {
        let mut pod = world.pod("");
        let spec = pod.spec.as_mut().unwrap();
        spec.dns_policy = Some(policy.to_owned());
        spec.dns_config = serde_json::from_value(config.clone()).unwrap();
        texts(&world, &pod).remove(2).1
    };
    for policy in ["Default", "ClusterFirst", "ClusterFirstWithHostNet"] {
        assert_eq!(text(policy, &Value::Null), of_machine, "{policy}");
    }
    let own = json!({
        "nameservers": ["10.0.0.2", "10.0.0.3"], "searches": ["b", "c"],
        "options": [{ "name": "ndots", "value": "5" }, { "name": "debug" }],
    });
    let added = "search a b c\nnameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n\
                 options edns0 ndots:5 debug\n";
    assert_eq!(text("Default", &own), added);
    let alone = "search b c\nnameserver 10.0.0.2\nnameserver 10.0.0.3\noptions ndots:5 debug\n";
    assert_eq!(text("None", &own), alone);
}

#[test]
fn a_pod_with_an_address_of_its_own_has_the_kubelets_file() {
    let mut world = World::new();
    world.network("10.0.0.1 of.the.machine\n", "");
    let mut pod = world.pod("");
    let attachment: crate::spec::Attachment = serde_json::from_value(json!({
        "bridge": "b", "interface": "i", "address": "10.244.0.2", "gateway": "10.244.0.1", "prefix_bits": 24,
    }))
    .unwrap();
    let sandbox = |pod: &api::Pod| Sandbox {
        bridge: Some(attachment.clone()),
        peer: network::peer(pod, "10.244.0.2"),
        ..Sandbox::default()
    };
    let head = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n\
                ::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\n\
                fe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n";
    assert_eq!(texts_in(&world, &pod, &sandbox(&pod))[0].1, format!("{head}10.244.0.2\tp\n"));
    let spec = pod.spec.as_mut().unwrap();
    spec.subdomain = Some("sub".into());
    let aliases = json!([{ "ip": "10.0.0.9", "hostnames": ["a", "b.c"] }]);
    spec.host_aliases = serde_json::from_value(aliases).unwrap();
    let expected = format!(
        "{head}10.244.0.2\tp.sub.ns.svc.cluster.local\tp\n\n# Entries added by HostAliases.\n10.0.0.9\ta\tb.c\n\n\
         # Pods of this subdomain.\n# End of the pods of this subdomain.\n"
    );
    assert_eq!(texts_in(&world, &pod, &sandbox(&pod))[0].1, expected);
    // In the host's network it is the host's, with a place for those of the subdomain, too.
    let in_host = Sandbox { bridge: None, ..sandbox(&pod) };
    let text = texts_in(&world, &pod, &in_host)[0].1.clone();
    assert!(text.contains("(host network).\n10.0.0.1 of.the.machine\n"), "{text}");
    assert!(text.ends_with("# Pods of this subdomain.\n# End of the pods of this subdomain.\n"), "{text}");
}
