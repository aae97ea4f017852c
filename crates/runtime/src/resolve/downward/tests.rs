use super::super::tests::World;
use super::*;

#[test]
fn fields_of_the_pod() {
    let world = World::new();
    let pod = world.pod("");
    let value = |path| field(&world.inputs(&pod), path);
    for (path, expected) in [
        ("metadata.name", "p"),
        ("metadata.namespace", "ns"),
        ("metadata.uid", "u"),
        ("metadata.labels['app']", "web"),
        ("metadata.labels['none']", ""),
        ("metadata.annotations['a.b/c']", "line\n\"two\""),
        ("metadata.annotations", "a.b/c=\"line\\n\\\"two\\\"\"\nz=\"\\x01ü\\\\\""),
        ("metadata.labels", "app=\"web\""),
        ("spec.nodeName", "here"),
        ("spec.serviceAccountName", ""),
        ("status.podIP", "127.0.0.1"),
        ("status.hostIPs", "127.0.0.1"),
    ] {
        assert_eq!(value(path).as_deref(), Ok(expected), "{path}");
    }
    assert_eq!(value("spec.containers"), Err("unsupported fieldPath: spec.containers".to_owned()));
}

fn of(
    world: &World,
    pod: &cronlet_object::api::Pod,
    selector: &ResourceFieldSelector,
) -> Result<String, String> {
    resource(&world.inputs(pod), selector, "c")
}

#[test]
fn resources_are_rounded_up_to_their_divisor() {
    let mut world = World::new();
    world.node(&[("cpu", "2"), ("memory", "3Gi"), ("ephemeral-storage", "10Gi")]);
    let pod = world.pod("resources: {limits: {cpu: 1100m, memory: 100Mi}, requests: {cpu: 10m}}");
    let value = |resource: &str, divisor: Option<&str>| {
        let divisor = divisor.map(|divisor| resource::Quantity(divisor.into()));
        let selector = ResourceFieldSelector { container_name: None, divisor, resource: resource.into() };
        of(&world, &pod, &selector)
    };
    for (resource, divisor, expected) in [
        ("limits.cpu", None, "2"),
        ("limits.cpu", Some("0"), "2"),
        ("limits.cpu", Some("1m"), "1100"),
        ("limits.cpu", Some("1"), "2"),
        ("limits.memory", None, "104857600"),
        ("limits.memory", Some("1Gi"), "1"),
        ("limits.memory", Some("1Mi"), "100"),
        ("requests.cpu", Some("1m"), "10"),
        ("requests.memory", None, "0"),
        ("limits.ephemeral-storage", Some("1Gi"), "10"),
        ("requests.ephemeral-storage", None, "0"),
    ] {
        assert_eq!(value(resource, divisor).as_deref(), Ok(expected), "{resource} {divisor:?}");
    }
    let unlimited = world.pod("");
    let selector = ResourceFieldSelector { resource: "limits.memory".into(), ..Default::default() };
    // What has no limit may use what the node has.
    assert_eq!(of(&world, &unlimited, &selector).as_deref(), Ok("3221225472"));
    assert!(value("cpu", None).is_err() && value("limits.cpu", Some("x")).is_err());
}
