use http_body_util::BodyExt as _;

use super::*;

async fn body(response: Response) -> Value {
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

#[tokio::test]
async fn the_legacy_documents_list_every_resource_and_its_parts() {
    let discovery = Discovery::new();
    let core = body(discovery.core(DiscoveryForm::Legacy, &HeaderMap::new())).await;
    assert_eq!(core["versions"], json!(["v1"]));
    assert_eq!(core.get("apiVersion"), None);

    let groups = body(discovery.groups(DiscoveryForm::Legacy, &HeaderMap::new())).await;
    let names: Vec<&Value> =
        groups["groups"].as_array().unwrap().iter().map(|group| &group["name"]).collect();
    let expected = [
        "authentication.k8s.io",
        "authorization.k8s.io",
        "batch",
        "coordination.k8s.io",
        "metrics.k8s.io",
        "node.k8s.io",
        "rbac.authorization.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
    ];
    assert_eq!(names, expected);
    assert_eq!(groups["groups"][2]["preferredVersion"], json!({"groupVersion": "batch/v1", "version": "v1"}));

    let batch = body(discovery.resources("batch", "v1")).await;
    assert_eq!((&batch["groupVersion"], &batch["apiVersion"]), (&json!("batch/v1"), &json!("v1")));
    let names: Vec<&Value> =
        batch["resources"].as_array().unwrap().iter().map(|entry| &entry["name"]).collect();
    assert_eq!(names, ["cronjobs", "cronjobs/status", "jobs", "jobs/status"]);
    assert_eq!(batch["resources"][0]["shortNames"], json!(["cj"]));

    let storage = body(discovery.resources("storage.k8s.io", "v1")).await;
    let class = &storage["resources"][0];
    assert_eq!((&class["name"], &class["namespaced"]), (&json!("storageclasses"), &json!(false)));
    assert_eq!(class["shortNames"], json!(["sc"]));

    let core = body(discovery.resources("", "v1")).await;
    let entry =
        |name: &str| core["resources"].as_array().unwrap().iter().find(|e| e["name"] == name).unwrap();
    assert_eq!(entry("pods/log")["verbs"], json!(["get"]));
    assert!(!entry("namespaces")["verbs"].as_array().unwrap().contains(&json!("deletecollection")));
    assert_eq!(core.get("apiVersion"), None);

    let group = body(discovery.group("batch")).await;
    assert_eq!((&group["kind"], &group["name"]), (&json!("APIGroup"), &json!("batch")));
}

#[tokio::test]
async fn the_aggregated_documents_have_the_shape_clients_expect() {
    let discovery = Discovery::new();
    let response = discovery.groups(DiscoveryForm::V2, &HeaderMap::new());
    let content_type = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    assert_eq!(response.headers()[header::CONTENT_TYPE], content_type);
    assert_eq!(response.headers()[header::VARY], "Accept");
    let document = body(response).await;
    assert_eq!(document["apiVersion"], "apidiscovery.k8s.io/v2");
    let batch = &document["items"][2];
    assert_eq!(batch["metadata"]["name"], "batch");
    assert_eq!(batch["versions"][0]["freshness"], "Current");
    let job = &batch["versions"][0]["resources"][1];
    let status = json!({
        "subresource": "status",
        "responseKind": {"group": "", "version": "", "kind": "Job"},
        "verbs": ["get", "patch", "update"],
    });
    assert_eq!((&job["resource"], &job["scope"]), (&json!("jobs"), &json!("Namespaced")));
    assert_eq!(job["categories"], json!(["all"]));
    assert_eq!(job["subresources"], json!([status]));

    let core = body(discovery.core(DiscoveryForm::V2Beta1, &HeaderMap::new())).await;
    assert_eq!(core["apiVersion"], "apidiscovery.k8s.io/v2beta1");
    assert_eq!(core["items"][0]["metadata"], json!({}));
    let access = &document["items"][1]["versions"][0]["resources"][1];
    assert_eq!(
        (&access["resource"], &access["verbs"]),
        (&json!("selfsubjectaccessreviews"), &json!(["create"]))
    );
}

#[tokio::test]
async fn a_client_that_has_the_document_is_not_sent_it_again() {
    let discovery = Discovery::new();
    let first = discovery.groups(DiscoveryForm::V2, &HeaderMap::new());
    let tag = first.headers()[header::ETAG].clone();
    let mut headers = HeaderMap::new();
    headers.insert(header::IF_NONE_MATCH, tag.clone());
    let again = discovery.groups(DiscoveryForm::V2, &headers);
    assert_eq!(again.status(), http::StatusCode::NOT_MODIFIED);
    assert_eq!(again.headers()[header::ETAG], tag);
    let other = discovery.core(DiscoveryForm::V2, &headers);
    assert_eq!(other.status(), http::StatusCode::OK);
}

#[test]
fn only_served_groups_and_versions_are_known() {
    assert_eq!(group_version("", "v1"), Some(("", "v1")));
    assert_eq!(group_version("batch", "v1"), Some(("batch", "v1")));
    assert_eq!(group_version("batch", "v1beta1"), None);
    assert_eq!(group("authorization.k8s.io"), Some("authorization.k8s.io"));
    assert_eq!(group(""), None);
}
