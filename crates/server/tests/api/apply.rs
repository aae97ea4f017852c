//! PATCH by server-side apply.

use http::{Method, header};
use serde_json::{Value, json};

use super::{
    JOBS,
    harness::{JSON, MERGE, Server},
    job,
};

const APPLY: &str = "application/apply-patch+yaml";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn config(data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data})
}

fn managers(object: &Value) -> Vec<(&str, &str)> {
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    entries.iter().map(|e| (e["manager"].as_str().unwrap(), e["operation"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn what_is_applied_is_created_changed_and_taken_back() {
    let server = Server::start().await;
    let path = format!("{MAPS}/c?fieldManager=A");
    let created = server.patch(&path, APPLY, &config(&json!({"a": "1", "b": "2"}))).await.expect(201);
    assert_eq!(managers(&created), [("A", "Apply")]);
    let entry = &created["metadata"]["managedFields"][0];
    assert_eq!(
        (&entry["apiVersion"], &entry["fieldsType"], &entry["fieldsV1"]),
        (&json!("v1"), &json!("FieldsV1"), &json!({"f:data": {"f:a": {}, "f:b": {}}}))
    );
    let again = server.patch(&path, APPLY, &config(&json!({"a": "1", "b": "2"}))).await.expect(200);
    assert_eq!(again["metadata"]["resourceVersion"], created["metadata"]["resourceVersion"]);
    let less = server.patch(&path, APPLY, &config(&json!({"a": "2"}))).await.expect(200);
    assert_eq!(less["data"], json!({"a": "2"}));

    // As YAML, of which JSON is a part; and nothing is stored by a dry run.
    let yaml = "apiVersion: v1\nkind: ConfigMap\ndata:\n  a: \"3\"\n";
    let dry = format!("{path}&dryRun=All");
    let shown = server.write(Method::PATCH, &dry, APPLY, yaml).await.expect(200);
    assert_eq!(shown["data"]["a"], "3");
    assert_eq!(server.get(&format!("{MAPS}/c")).await.expect(200)["data"]["a"], "2");
    let dry = format!("{MAPS}/new?fieldManager=A&dryRun=All");
    server.write(Method::PATCH, &dry, APPLY, yaml).await.expect(201);
    server.get(&format!("{MAPS}/new")).await.refusal(404, "NotFound");
}

#[tokio::test]
async fn other_writes_change_owners_too() {
    let server = Server::start().await;
    let path = format!("{MAPS}/c");
    server.patch(&format!("{path}?fieldManager=A"), APPLY, &config(&json!({"a": "1"}))).await.expect(201);
    let patched = super::harness::request(Method::PATCH, &path)
        .header(header::CONTENT_TYPE, MERGE)
        .header(header::USER_AGENT, "editor/1.0 (linux)")
        .body(json!({"data": {"b": "2"}}).to_string().into())
        .unwrap();
    let patched = server.send(patched).await.expect(200);
    assert_eq!(managers(&patched), [("A", "Apply"), ("editor", "Update")]);
    let mut whole = config(&json!({"a": "9", "b": "2"}));
    whole["metadata"]["namespace"] = json!("default");
    let put = server.write(Method::PUT, &format!("{path}?fieldManager=put"), JSON, whole.to_string()).await;
    assert_eq!(managers(&put.expect(200)), [("editor", "Update"), ("put", "Update")]);
    let refused = server.patch(&format!("{path}?fieldManager=A"), APPLY, &config(&json!({"a": "1"}))).await;
    let words = "Apply failed with 1 conflict: conflict with \"put\" using v1: .data.a";
    assert_eq!(refused.refusal(409, "Conflict"), words);
    let forced =
        server.patch(&format!("{path}?fieldManager=A&force=true"), APPLY, &config(&json!({"a": "1"}))).await;
    assert_eq!(managers(&forced.expect(200)), [("A", "Apply"), ("editor", "Update")]);
    let reset = json!({"metadata": {"managedFields": [{}]}});
    let reset = server.patch(&path, MERGE, &reset).await.expect(200);
    assert_eq!(reset["metadata"].get("managedFields"), None);
}

#[tokio::test]
async fn a_status_is_applied_by_itself() {
    let server = Server::start().await;
    server.post(JOBS, &job("a")).await.expect(201);
    let status = json!({"apiVersion": "batch/v1", "kind": "Job", "status": {"active": 3}});
    let path = format!("{JOBS}/a/status?fieldManager=S");
    let answer = server.patch(&path, APPLY, &status).await.expect(200);
    assert_eq!(answer["status"]["active"], 3);
    let missing = server.patch(&format!("{JOBS}/none/status?fieldManager=S"), APPLY, &status).await;
    missing.refusal(404, "NotFound");
}

#[tokio::test]
async fn what_cannot_be_applied_is_refused() {
    let server = Server::start().await;
    let path = format!("{MAPS}/c");
    let anonymous = server.patch(&path, APPLY, &config(&json!({}))).await.refusal(422, "Invalid");
    let words =
        "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch";
    assert_eq!(anonymous, words);
    let force = server.patch(&format!("{path}?force=true"), MERGE, &json!({})).await.refusal(422, "Invalid");
    assert!(force.contains("may not be specified for non-apply patch"), "{force}");
    let path = format!("{path}?fieldManager=A");
    let kindless = server.patch(&path, APPLY, &json!({"data": {}})).await.refusal(400, "BadRequest");
    assert_eq!(kindless, "invalid object type: /, Kind=");
    let mut owned = config(&json!({}));
    owned["metadata"]["managedFields"] = json!([{"manager": "x"}]);
    let owned = server.patch(&path, APPLY, &owned).await.refusal(400, "BadRequest");
    assert_eq!(owned, "metadata.managedFields must be nil");
    let mut other = config(&json!({}));
    other["metadata"]["name"] = json!("d");
    let other = server.patch(&path, APPLY, &other).await.refusal(400, "BadRequest");
    assert!(other.contains("does not match the name on the URL (c)"), "{other}");
    let mut unknown = config(&json!({}));
    unknown["bogus"] = json!(1);
    let unknown = server.patch(&path, APPLY, &unknown).await.refusal(400, "BadRequest");
    assert!(unknown.ends_with(".bogus: field not declared in schema"), "{unknown}");
    let broken = server.write(Method::PATCH, &path, APPLY, "a: [").await.refusal(400, "BadRequest");
    assert!(broken.starts_with("error decoding YAML: "), "{broken}");
    let mut stale = config(&json!({"a": "1"}));
    server.patch(&path, APPLY, &stale).await.expect(201);
    stale["metadata"]["resourceVersion"] = json!("1");
    server.patch(&path, APPLY, &stale).await.refusal(409, "Conflict");
    let mut gone = config(&json!({}));
    gone["metadata"] = json!({"name": "gone", "uid": "u"});
    let gone = server.patch(&format!("{MAPS}/gone?fieldManager=A"), APPLY, &gone).await;
    assert!(gone.refusal(409, "Conflict").contains("uid mismatch"));
}
