//! POST to collections.

use http::Method;
use serde_json::json;

use super::{
    CONFIG_MAPS, CRONJOBS, JOBS, NAMESPACES, config_map, cron_job,
    harness::{JSON, Server, TABLE, request},
    job,
};

#[tokio::test]
async fn what_is_created_can_be_read() {
    let server = Server::start().await;
    let created = server.post(JOBS, &job("a")).await.expect(201);
    assert_eq!(created["kind"], "Job");
    let metadata = &created["metadata"];
    assert_eq!((&metadata["namespace"], &metadata["generation"]), (&json!("default"), &json!(1)));
    assert_eq!(metadata["creationTimestamp"], "2026-11-23T02:00:00Z");
    assert_eq!(metadata["uid"].as_str().unwrap().len(), 36);
    assert!(metadata["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(created["spec"]["backoffLimit"], 6);
    assert_eq!(server.get(&format!("{JOBS}/a")).await.expect(200), created);
    assert_eq!(server.get(&format!("{JOBS}/a/status")).await.expect(200), created);
}

#[tokio::test]
async fn a_name_is_given_once() {
    let server = Server::start().await;
    server.post(JOBS, &job("a")).await.expect(201);
    let again = server.post(JOBS, &job("a")).await;
    assert_eq!(again.refusal(409, "AlreadyExists"), "jobs.batch \"a\" already exists");
    assert_eq!(again.json()["details"], json!({"name": "a", "group": "batch", "kind": "jobs"}));
}

#[tokio::test]
async fn names_are_generated() {
    let server = Server::start().await;
    let mut unnamed = job("");
    unnamed["metadata"] = json!({"generateName": "run-"});
    let first = server.post(JOBS, &unnamed).await.expect(201);
    let second = server.post(JOBS, &unnamed).await.expect(201);
    let name = first["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("run-") && name.len() == 9, "{name}");
    assert_ne!(first["metadata"]["name"], second["metadata"]["name"]);
}

#[tokio::test]
async fn the_namespace_must_exist_and_agree() {
    let server = Server::start().await;
    let missing = server.post("/api/v1/namespaces/nonex/configmaps", &config_map("a", "")).await;
    assert_eq!(missing.refusal(404, "NotFound"), "namespaces \"nonex\" not found");
    let mut elsewhere = config_map("a", "");
    elsewhere["metadata"]["namespace"] = json!("other");
    assert_eq!(
        server.post(CONFIG_MAPS, &elsewhere).await.refusal(400, "BadRequest"),
        "the namespace of the provided object does not match the namespace sent on the request"
    );
    assert_eq!(server.post("/api/v1/configmaps", &config_map("a", "")).await.code, 405);
}

#[tokio::test]
async fn nothing_is_created_in_a_namespace_that_is_being_deleted() {
    let server = Server::start().await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "rt"}});
    server.post(NAMESPACES, &namespace).await.expect(201);
    let deleted = server.delete("/api/v1/namespaces/rt", &json!({})).await.expect(200);
    assert_eq!(deleted["status"]["phase"], "Terminating");
    let refused = server.post("/api/v1/namespaces/rt/configmaps", &config_map("zz", "")).await;
    assert_eq!(
        refused.refusal(403, "Forbidden"),
        "configmaps \"zz\" is forbidden: unable to create new content in namespace rt because it is being terminated"
    );
    assert_eq!(refused.json()["details"]["causes"][0]["reason"], "NamespaceTerminating");
}

#[tokio::test]
async fn a_dry_run_stores_nothing() {
    let server = Server::start().await;
    let answer = server.post(&format!("{JOBS}?dryRun=All"), &job("a")).await.expect(201);
    assert_eq!(answer["metadata"].get("resourceVersion"), None);
    assert!(answer["metadata"]["uid"].is_string());
    assert_eq!(server.get(&format!("{JOBS}/a")).await.code, 404);
    server.post(JOBS, &job("a")).await.expect(201);
    server.post(&format!("{JOBS}?dryRun=All"), &job("a")).await.refusal(409, "AlreadyExists");
    assert_eq!(
        server.post(&format!("{JOBS}?dryRun=foo"), &job("b")).await.refusal(422, "Invalid"),
        "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"foo\"]: supported values: \"All\""
    );
}

#[tokio::test]
async fn unknown_fields_are_refused_or_warned_of() {
    let server = Server::start().await;
    let mut odd = job("a");
    odd["spec"]["backofLimit"] = json!(3);
    let strict = server.post(&format!("{JOBS}?fieldValidation=Strict"), &odd).await;
    assert_eq!(
        strict.refusal(400, "BadRequest"),
        "Job in version \"v1\" cannot be handled as a Job: strict decoding error: unknown field \"spec.backofLimit\""
    );
    assert_eq!(server.get(&format!("{JOBS}/a")).await.code, 404);
    let warned = server.post(JOBS, &odd).await;
    assert_eq!(warned.warnings(), ["299 - \"unknown field \\\"spec.backofLimit\\\"\""]);
    assert_eq!(warned.expect(201)["spec"].get("backofLimit"), None);
}

#[tokio::test]
async fn all_mistakes_are_told_at_once_and_nothing_is_left_behind() {
    let server = Server::start().await;
    let mut wrong = cron_job("a");
    wrong["spec"]["schedule"] = json!("bad");
    wrong["spec"]["concurrencyPolicy"] = json!("Foo");
    let refused = server.post(CRONJOBS, &wrong).await;
    let message = refused.refusal(422, "Invalid");
    assert!(message.starts_with("CronJob.batch \"a\" is invalid: ["), "{message}");
    assert!(
        message.contains("spec.schedule: Invalid value: \"bad\": expected exactly 5 fields, found 1: [bad]")
    );
    assert!(message.contains("spec.concurrencyPolicy: Unsupported value: \"Foo\""), "{message}");
    assert_eq!(refused.json()["details"]["causes"].as_array().unwrap().len(), 2);
    let list = server.get(CRONJOBS).await.expect(200);
    assert_eq!(list["items"], json!([]));
}

#[tokio::test]
async fn a_body_of_ten_megabytes_is_refused() {
    let server = Server::start().await;
    let huge = config_map("a", &"x".repeat(10 << 20)).to_string();
    let refused = server.write(Method::POST, CONFIG_MAPS, JSON, huge).await;
    assert_eq!(
        refused.refusal(413, "RequestEntityTooLarge"),
        "Request entity too large: limit is 3145728 bytes"
    );
    assert_eq!(server.get(&format!("{CONFIG_MAPS}/a")).await.code, 404);
}

#[tokio::test]
async fn yaml_is_accepted_and_other_formats_are_not() {
    let server = Server::start().await;
    let yaml = "metadata:\n  name: a\ndata:\n  mode: \"0644\"\n";
    let created = server.write(Method::POST, CONFIG_MAPS, "application/yaml", yaml).await.expect(201);
    assert_eq!(created["data"], json!({"mode": "0644"}));
    let refused = server.write(Method::POST, CONFIG_MAPS, "text/plain", "a").await;
    assert!(
        refused.refusal(415, "UnsupportedMediaType").starts_with("the body of the request was in an unknown")
    );
    // Python's client does not say what it sends.
    let unnamed = request(Method::POST, CONFIG_MAPS).body(config_map("b", "v").to_string().into()).unwrap();
    server.send(unnamed).await.expect(201);
}

/// A field of a protobuf message that has a length.
fn field(number: u8, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    let length = u8::try_from(content.len()).unwrap();
    [&[number << 3 | 2, length], content].concat()
}

#[tokio::test]
async fn protobuf_is_accepted_as_go_clients_send_it() {
    let server = Server::start().await;
    let metadata = [field(1, "a"), field(3, "default")].concat();
    let entry = [field(1, "key"), field(2, "value")].concat();
    let raw = [field(1, metadata), field(2, entry)].concat();
    let type_meta = [field(1, "v1"), field(2, "ConfigMap")].concat();
    let body = [b"k8s\0".to_vec(), field(1, type_meta), field(2, raw), field(3, ""), field(4, "")].concat();
    let created = server
        .write(Method::POST, CONFIG_MAPS, "application/vnd.kubernetes.protobuf", body)
        .await
        .expect(201);
    assert_eq!((&created["metadata"]["name"], &created["data"]), (&json!("a"), &json!({"key": "value"})));
    let garbage = server
        .write(Method::POST, CONFIG_MAPS, "application/vnd.kubernetes.protobuf", "k8s\0\u{1}garbage")
        .await;
    garbage.refusal(400, "BadRequest");
}

#[tokio::test]
async fn the_answer_has_the_form_the_client_asked_for() {
    let server = Server::start().await;
    let table = request(Method::POST, JOBS).header("accept", TABLE).header("content-type", JSON);
    let answer = server.send(table.body(job("a").to_string().into()).unwrap()).await.expect(201);
    assert_eq!((&answer["kind"], &answer["rows"][0]["cells"][0]), (&json!("Table"), &json!("a")));
}
