use super::super::tests::{NAMESPACE, World};
use super::*;

fn variables(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn references_are_expanded_once_and_only_if_they_are_references() {
    let known = variables(&[("VAR", "value"), ("B", "$(VAR)"), ("EMPTY", ""), ("a.b-c", "odd")]);
    for (text, expected) in [
        ("", ""),
        ("plain", "plain"),
        ("$(VAR)", "value"),
        ("x$(VAR)y$(VAR)", "xvalueyvalue"),
        ("$(B)", "$(VAR)"),
        ("$(EMPTY)", ""),
        ("$(a.b-c)", "odd"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$$(VAR)", "$(VAR)"),
        ("$$$(VAR)", "$value"),
        ("$$$$(VAR)", "$$(VAR)"),
        ("$VAR ${VAR}", "$VAR ${VAR}"),
        ("$(VAR", "$(VAR"),
        ("$(VAR$(VAR)", "$(VAR$(VAR)"),
        ("$()", "$()"),
        ("$", "$"),
        ("a$", "a$"),
        ("$$", "$"),
        ("ü$(VAR)ü", "üvalueü"),
    ] {
        assert_eq!(expand(text, &known), expected, "{text}");
    }
}

#[test]
fn a_sub_path_needs_all_its_variables() {
    let known = variables(&[("VAR", "value"), ("EMPTY", "")]);
    assert_eq!(expand_strictly("a/$(VAR)", &known), Ok("a/value".to_owned()));
    assert_eq!(expand_strictly("$$(VAR)", &known), Ok("$(VAR)".to_owned()));
    assert_eq!(expand_strictly("$(NO)/$(NEITHER)", &known), Err("missing value for \"NO\"".to_owned()));
    assert_eq!(expand_strictly("$(EMPTY)", &known), Err("missing value for \"EMPTY\"".to_owned()));
}

fn environment(world: &World, container: &str) -> Result<Variables, String> {
    let pod = world.pod(container);
    let spec = pod.spec.as_ref().unwrap();
    let inputs = world.inputs(&pod);
    let own = resolve(&inputs, &spec.containers[0])?;
    Ok(complete(&inputs, spec, own, [("HOME".to_owned(), "/home".to_owned())]))
}

#[test]
fn later_definitions_win_and_see_earlier_ones() {
    let mut world = World::new();
    world.config_map("one", &[("A", "a1"), ("B", "b1")]);
    world.config_map("two", &[("B", "b2"), ("C", "c2")]);
    let container = "envFrom: [{configMapRef: {name: one}}, {prefix: P_, configMapRef: {name: two}}, \
                     {configMapRef: {name: two}}]\n\
                     env: [{name: X, value: '$(A) $(B) $(P_C) $(Z)'}, {name: Z, value: z}, {name: A, value: '$(A)!'}, \
                     {name: Z, value: '$(Z)2'}, {name: EMPTY}, {name: PATH, value: /bin}]";
    let expected = variables(&[
        ("A", "a1!"),
        ("B", "b2"),
        ("P_B", "b2"),
        ("P_C", "c2"),
        ("C", "c2"),
        ("X", "a1 b2 c2 $(Z)"),
        ("Z", "z2"),
        ("EMPTY", ""),
        ("PATH", "/bin"),
        ("HOME", "/home"),
        ("HOSTNAME", "p"),
    ]);
    assert_eq!(environment(&world, container), Ok(expected));
}

#[test]
fn what_is_missing_is_an_error_unless_it_is_optional() {
    let mut world = World::new();
    world.config_map("have", &[("k", "v")]);
    world.secret("have", &[("k", b"s"), ("binary", &[0xff])]);
    let key = |kind: &str, name: &str, key: &str, optional: bool| {
        let reference = format!("{{name: {name}, key: {key}, optional: {optional}}}");
        environment(&world, &format!("env: [{{name: X, valueFrom: {{{kind}: {reference}}}}}]"))
            .map(|variables| variables.into_iter().find(|(name, _)| name == "X").map(|(_, value)| value))
    };
    for kind in ["configMapKeyRef", "secretKeyRef"] {
        assert_eq!(key(kind, "none", "k", true), Ok(None));
        assert_eq!(key(kind, "have", "none", true), Ok(None));
    }
    assert_eq!(key("configMapKeyRef", "have", "k", false), Ok(Some("v".into())));
    assert_eq!(key("secretKeyRef", "have", "k", false), Ok(Some("s".into())));
    let error = |text: &str| Err(text.to_owned());
    assert_eq!(key("configMapKeyRef", "none", "k", false), error("configmap \"none\" not found"));
    assert_eq!(key("secretKeyRef", "none", "k", false), error("secret \"none\" not found"));
    let place = format!("{NAMESPACE}/have");
    let lost = |kind: &str| error(&format!("couldn't find key none in {kind} {place}"));
    assert_eq!(key("configMapKeyRef", "have", "none", false), lost("ConfigMap"));
    assert_eq!(key("secretKeyRef", "have", "none", false), lost("Secret"));
    assert!(key("secretKeyRef", "have", "binary", false).unwrap_err().contains("is not UTF-8"));
    let from =
        |source: &str| environment(&world, &format!("envFrom: [{source}]")).map(|variables| variables.len());
    assert_eq!(from("{configMapRef: {name: none}}"), Err("configmap \"none\" not found".to_owned()));
    assert_eq!(from("{secretRef: {name: none}}"), Err("secret \"none\" not found".to_owned()));
    assert_eq!(from("{secretRef: {name: none, optional: true}}"), Ok(3));
}

#[test]
fn a_pod_knows_itself() {
    let world = World::new();
    let container = "env: [{name: X, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['app']\"}}}, \
                     {name: Z, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}]\n\
                     resources: {limits: {cpu: 1500m}}";
    let found = environment(&world, container).unwrap();
    assert_eq!(found[..2], variables(&[("X", "web"), ("Z", "2")]));
}

#[test]
fn a_host_name_is_cut_to_what_it_may_be() {
    let world = World::new();
    let mut pod = world.pod("");
    pod.metadata.name = Some(format!("{}.-rest", "x".repeat(61)));
    let name = |pod: &api::Pod| hostname(&world.inputs(pod), pod.spec.as_ref().unwrap());
    assert_eq!(name(&pod), "x".repeat(61));
    pod.spec.as_mut().unwrap().hostname = Some("own".into());
    assert_eq!(name(&pod), "own");
}

#[test]
fn all_keys_of_a_secret_become_variables() {
    let mut world = World::new();
    world.secret("s", &[("A", b"1"), ("B", b"2")]);
    let found = environment(&world, "envFrom: [{prefix: P_, secretRef: {name: s}}]").unwrap();
    assert_eq!(found[..2], variables(&[("P_A", "1"), ("P_B", "2")]));
    world.secret("binary", &[("A", &[0xff])]);
    let error = environment(&world, "envFrom: [{secretRef: {name: binary}}]").unwrap_err();
    assert!(error.contains("is not UTF-8"), "{error}");
}
