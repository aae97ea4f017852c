//! GET of collections.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    CONFIG_MAPS, JOBS, PODS, config_map,
    harness::{Server, TABLE},
    job, pod,
};

fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap().iter();
    items.map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

async fn with_config_maps(count: usize) -> Server {
    let server = Server::start().await;
    for i in 0..count {
        server.post(CONFIG_MAPS, &config_map(&format!("c{i:02}"), "")).await.expect(201);
    }
    server
}

#[tokio::test]
async fn pages_of_a_list_show_one_state() {
    let server = with_config_maps(5).await;
    let first = server.get(&format!("{CONFIG_MAPS}?limit=2")).await.expect(200);
    assert_eq!(names(&first), ["c00", "c01"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    let revision = &first["metadata"]["resourceVersion"];

    server.post(CONFIG_MAPS, &config_map("c035", "")).await.expect(201);
    server.delete(&format!("{CONFIG_MAPS}/c03"), &json!({})).await.expect(200);
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = server.get(&format!("{CONFIG_MAPS}?limit=2&continue={token}")).await.expect(200);
    assert_eq!(names(&second), ["c02", "c03"]);
    let token = second["metadata"]["continue"].as_str().unwrap();
    let third = server.get(&format!("{CONFIG_MAPS}?limit=2&continue={token}")).await.expect(200);
    assert_eq!(names(&third), ["c04"]);
    assert_eq!((third["metadata"].get("continue"), &third["metadata"]["resourceVersion"]), (None, revision));
    let fresh = server.get(CONFIG_MAPS).await.expect(200);
    assert_eq!(names(&fresh), ["c00", "c01", "c02", "c035", "c04"]);
}

#[tokio::test]
async fn without_its_state_a_list_goes_on_from_where_it_was() {
    let server = with_config_maps(6).await;
    let first = server.get(&format!("{CONFIG_MAPS}?limit=3")).await.expect(200);
    // Other lists push the first one's state out.
    for i in 0..20 {
        server.post(CONFIG_MAPS, &config_map(&format!("other{i:02}"), "")).await.expect(201);
        server.get(&format!("{CONFIG_MAPS}?limit=1")).await.expect(200);
    }
    server.delete(&format!("{CONFIG_MAPS}/c04"), &json!({})).await.expect(200);
    let token = first["metadata"]["continue"].as_str().unwrap();
    let rest = server.get(&format!("{CONFIG_MAPS}?continue={token}")).await.expect(200);
    assert_eq!(names(&rest)[..2], ["c03", "c05"]);
    assert_eq!(names(&rest).len(), 22);
    assert_eq!(rest["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn pages_over_all_namespaces_neither_skip_nor_repeat() {
    let server = Server::start().await;
    for namespace in ["a", "a-b", "b"] {
        let object = json!({"metadata": {"name": namespace}});
        server.post("/api/v1/namespaces", &object).await.expect(201);
        for name in ["x", "y", "z"] {
            let path = format!("/api/v1/namespaces/{namespace}/configmaps");
            server.post(&path, &config_map(name, "")).await.expect(201);
        }
    }
    let mut seen = Vec::new();
    let mut path = "/api/v1/configmaps?limit=2".to_owned();
    loop {
        let page = server.get(&path).await.expect(200);
        for item in page["items"].as_array().unwrap() {
            seen.push(format!("{}/{}", item["metadata"]["namespace"], item["metadata"]["name"]));
        }
        let Some(token) = page["metadata"]["continue"].as_str() else { break };
        path = format!("/api/v1/configmaps?limit=2&continue={token}");
    }
    assert_eq!(seen.len(), 9);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 9);
    let one = server.get("/api/v1/namespaces/a/configmaps").await.expect(200);
    assert_eq!(names(&one), ["x", "y", "z"]);
}

#[tokio::test]
async fn resource_versions_choose_the_state() {
    let server = with_config_maps(2).await;
    let current = server.get(CONFIG_MAPS).await.expect(200)["metadata"]["resourceVersion"].clone();
    let current: u64 = current.as_str().unwrap().parse().unwrap();
    let list = async |query: String| server.get(&format!("{CONFIG_MAPS}?{query}")).await;
    assert_eq!(names(&list("resourceVersion=0&limit=1".into()).await.expect(200)).len(), 2);
    list(format!("resourceVersion={current}")).await.expect(200);
    list(format!("resourceVersion={current}&resourceVersionMatch=Exact")).await.expect(200);
    let old = list("resourceVersion=1&resourceVersionMatch=Exact".into()).await;
    old.refusal(410, "Expired");
    let future = list("resourceVersion=99999999".into()).await;
    assert_eq!(
        future.refusal(504, "Timeout"),
        format!("Timeout: Too large resource version: 99999999, current: {current}")
    );
    assert_eq!(future.json()["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    let get = server.get(&format!("{CONFIG_MAPS}/c00?resourceVersion=99999999")).await;
    get.refusal(504, "Timeout");
    list("resourceVersion=abc".into()).await.refusal(400, "BadRequest");
    list("continue=xyz".into()).await.refusal(400, "BadRequest");
    let page = list("limit=1".into()).await.expect(200);
    let token = page["metadata"]["continue"].as_str().unwrap();
    assert_eq!(
        list(format!("continue={token}&resourceVersion=5")).await.refusal(400, "BadRequest"),
        "specifying resource version is not allowed when using continue"
    );
}

#[tokio::test]
async fn selectors_select() {
    let server = Server::start().await;
    for (name, tier) in [("a", "web"), ("b", "db"), ("c", "web")] {
        let mut job = job(name);
        job["metadata"]["labels"] = json!({"tier": tier});
        server.post(JOBS, &job).await.expect(201);
    }
    let list = async |query: &str| server.get(&format!("{JOBS}?{query}")).await;
    assert_eq!(names(&list("labelSelector=tier%3Dweb").await.expect(200)), ["a", "c"]);
    assert_eq!(
        names(
            &list("labelSelector=tier+in+(web),tier!%3Ddb&fieldSelector=metadata.name%3Dc").await.expect(200)
        ),
        ["c"]
    );
    assert_eq!(names(&list("fieldSelector=metadata.name%3Dnone").await.expect(200)), Vec::<String>::new());
    let page = list("labelSelector=tier%3Dweb&limit=1").await.expect(200);
    assert_eq!(page["metadata"].get("remainingItemCount"), None);
    let token = page["metadata"]["continue"].as_str().unwrap();
    assert_eq!(names(&list(&format!("labelSelector=tier%3Dweb&continue={token}")).await.expect(200)), ["c"]);
    assert_eq!(
        list("labelSelector=!+%3D").await.refusal(400, "BadRequest"),
        "unable to parse requirement: found '=', expected: identifier"
    );
    assert_eq!(
        list("fieldSelector=spec.foo%3D1").await.refusal(400, "BadRequest"),
        "field label \"spec.foo\" not supported for Job"
    );
    assert_eq!(
        list("fieldSelector=x").await.refusal(400, "BadRequest"),
        "invalid selector: 'x'; can't understand 'x'"
    );
}

#[tokio::test]
async fn fields_of_pods_can_be_selected_by() {
    let server = Server::start().await;
    server.post(PODS, &pod("a")).await.expect(201);
    let pending = server.get(&format!("{PODS}?fieldSelector=status.phase%3DPending")).await.expect(200);
    assert_eq!(names(&pending), ["a"]);
    let running = server.get("/api/v1/pods?fieldSelector=status.phase!%3DPending").await.expect(200);
    assert_eq!(names(&running), Vec::<String>::new());
}

#[tokio::test]
async fn lists_are_given_as_tables_and_as_metadata() {
    let server = Server::start().await;
    server.post(JOBS, &job("a")).await.expect(201);
    let table = server.get_as(&format!("{JOBS}?limit=500"), TABLE).await.expect(200);
    assert_eq!((&table["kind"], &table["apiVersion"]), (&json!("Table"), &json!("meta.k8s.io/v1")));
    let columns: Vec<&Value> =
        table["columnDefinitions"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    assert_eq!(columns[..5], ["Name", "Status", "Completions", "Duration", "Age"]);
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(cells[..5], ["a", "Running", "0/1", "", "0s"]);
    let metadata = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let list = server.get_as(JOBS, metadata).await.expect(200);
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][0]["kind"], "PartialObjectMetadata");
    assert_eq!(list["items"][0].get("spec"), None);
    server.get_as(JOBS, "text/html").await.refusal(406, "NotAcceptable");
}
