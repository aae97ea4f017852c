use proptest::prelude::*;

use super::*;

fn object(kind: Kind, namespace: &str, name: &str, part: Part) -> Result<Target, Unknown> {
    Ok(Target::Object { key: Key::new(kind, namespace, name), part })
}

fn collection(kind: Kind, namespace: Option<&str>) -> Result<Target, Unknown> {
    Ok(Target::Collection { kind, namespace: namespace.map(str::to_owned) })
}

#[test]
fn resources_are_found_in_their_group_and_scope() {
    assert_eq!(parse("/api/v1/namespaces/a/pods/p"), object(Kind::Pod, "a", "p", Part::Whole));
    assert_eq!(parse("/api/v1/namespaces/a/pods/p/log"), object(Kind::Pod, "a", "p", Part::Log));
    assert_eq!(parse("/apis/batch/v1/namespaces/a/jobs/j/status"), object(Kind::Job, "a", "j", Part::Status));
    assert_eq!(parse("/apis/batch/v1/namespaces/a/jobs"), collection(Kind::Job, Some("a")));
    assert_eq!(parse("/apis/batch/v1/jobs/"), collection(Kind::Job, None));
    assert_eq!(parse("/api/v1/nodes/n"), object(Kind::Node, "", "n", Part::Whole));
    assert_eq!(parse("/api/v1/namespaces/a/pods/p/eviction"), object(Kind::Pod, "a", "p", Part::Eviction));
    assert_eq!(
        parse("/apis/authorization.k8s.io/v1/namespaces/a/localsubjectaccessreviews"),
        Ok(Target::Review(Review::LocalSubject("a".to_owned())))
    );
    assert_eq!(parse("/apis/authorization.k8s.io/v1/localsubjectaccessreviews"), Err(Unknown::Resource));
    assert_eq!(
        parse("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
        Ok(Target::Review(Review::Access))
    );
}

#[test]
fn a_namespace_has_its_own_path_and_is_the_prefix_of_its_contents() {
    assert_eq!(parse("/api/v1/namespaces"), collection(Kind::Namespace, None));
    assert_eq!(parse("/api/v1/namespaces/a"), object(Kind::Namespace, "", "a", Part::Whole));
    assert_eq!(parse("/api/v1/namespaces/a/status"), object(Kind::Namespace, "", "a", Part::Status));
    assert_eq!(parse("/api/v1/namespaces/pods"), object(Kind::Namespace, "", "pods", Part::Whole));
    assert_eq!(parse("/api/v1/namespaces/status/pods"), collection(Kind::Pod, Some("status")));
}

#[test]
fn segments_are_decoded() {
    assert_eq!(parse("/api/v1/namespaces/a%2Db/pods"), collection(Kind::Pod, Some("a-b")));
    assert_eq!(parse("/api/v1/namespaces/a/pods/%ff"), Err(Unknown::Page));
}

#[test]
fn unknown_things_in_the_api_differ_from_unknown_pages() {
    for path in [
        "/api/v2",
        "/api/v1/endpoints",
        "/api/v1/namespaces/a/nodes",
        "/api/v1/namespaces//pods",
        "/api/v1/pods/p",
        "/api/v1/namespaces/a/pods/p/binding",
        "/api/v1/namespaces/a/configmaps/c/status",
        "/apis/batch/v1beta1/cronjobs",
        "/apis/apps/v1/deployments",
        "/apis/nothing",
    ] {
        assert_eq!(parse(path), Err(Unknown::Resource), "{path}");
    }
    for path in ["/", "", "/swagger-2.0.0.pb-v1", "/openapi/v4", "/openapi/v3/apis/apps/v1", "/apix"] {
        assert_eq!(parse(path), Err(Unknown::Page), "{path}");
    }
}

proptest! {
    #[test]
    fn any_path_is_answered(path in "(/(api|apis|v1|batch|namespaces|pods|jobs|%[0-9a-f]{0,2}|[^/]{0,8})){0,8}") {
        let _ = parse(&path);
    }
}
