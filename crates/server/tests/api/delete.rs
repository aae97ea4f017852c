//! DELETE of objects and of collections.

use http::Method;
use serde_json::json;

use super::{
    CONFIG_MAPS, CRONJOBS, JOBS, NAMESPACES, PODS, config_map, cron_job,
    harness::{MERGE, Server, request},
    job, pod,
};

#[tokio::test]
async fn what_nothing_holds_is_gone_at_once() {
    let server = Server::start().await;
    let created = server.post(CRONJOBS, &cron_job("a")).await.expect(201);
    let path = format!("{CRONJOBS}/a");
    let status = server.delete(&path, &json!({"propagationPolicy": "Background"})).await.expect(200);
    assert_eq!((&status["kind"], &status["status"]), (&json!("Status"), &json!("Success")));
    let uid = &created["metadata"]["uid"];
    assert_eq!(status["details"], json!({"name": "a", "group": "batch", "kind": "cronjobs", "uid": uid}));
    server.get(&path).await.refusal(404, "NotFound");
    server.delete(&path, &json!({})).await.refusal(404, "NotFound");
}

#[tokio::test]
async fn a_job_keeps_its_pods_unless_told_otherwise() {
    let server = Server::start().await;
    server.post(JOBS, &job("a")).await.expect(201);
    let bodyless = request(Method::DELETE, &format!("{JOBS}/a")).body(axum::body::Body::empty()).unwrap();
    let deleted = server.send(bodyless).await;
    let [warning] = deleted.warnings()[..] else { panic!("{:?}", deleted.warnings()) };
    assert!(
        warning.starts_with("299 - \"child pods are preserved by default when jobs are deleted"),
        "{warning}"
    );
    assert_eq!(deleted.expect(200)["metadata"]["finalizers"], json!(["orphan"]));

    server.post(JOBS, &job("b")).await.expect(201);
    let deleted = server.delete(&format!("{JOBS}/b?"), &json!({"propagationPolicy": "Background"})).await;
    assert_eq!(deleted.warnings(), Vec::<&str>::new());
    assert_eq!(deleted.expect(200)["status"], "Success");
}

#[tokio::test]
async fn finalizers_hold_an_object_until_the_last_is_removed() {
    let server = Server::start().await;
    let mut held = config_map("a", "1");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    server.post(CONFIG_MAPS, &held).await.expect(201);
    let path = format!("{CONFIG_MAPS}/a");
    let marked = server.delete(&path, &json!({})).await.expect(200);
    assert_eq!(marked["metadata"]["deletionTimestamp"], "2026-11-23T02:00:00Z");
    assert_eq!(server.delete(&path, &json!({})).await.expect(200), marked, "deleting twice is deleting once");
    let released = server.patch(&path, MERGE, &json!({"metadata": {"finalizers": null}})).await.expect(200);
    assert_eq!(released["metadata"]["name"], "a");
    server.get(&path).await.refusal(404, "NotFound");
}

#[tokio::test]
async fn a_namespace_lingers_until_it_is_empty() {
    let server = Server::start().await;
    server.post(NAMESPACES, &json!({"metadata": {"name": "x"}})).await.expect(201);
    let marked = server.delete("/api/v1/namespaces/x", &json!({})).await.expect(200);
    assert_eq!((&marked["kind"], &marked["status"]["phase"]), (&json!("Namespace"), &json!("Terminating")));
    assert_eq!(server.delete(NAMESPACES, &json!({})).await.code, 405);
}

#[tokio::test]
async fn preconditions_must_hold() {
    let server = Server::start().await;
    server.post(CRONJOBS, &cron_job("a")).await.expect(201);
    let path = format!("{CRONJOBS}/a");
    let wrong_uid = server.delete(&path, &json!({"preconditions": {"uid": "x"}})).await;
    let message = wrong_uid.refusal(409, "Conflict");
    assert!(
        message.starts_with(
            "Operation cannot be fulfilled on CronJob.batch \"a\": the UID in the precondition (x) does not match the \
             UID in record ("
        ),
        "{message}"
    );
    server.delete(&path, &json!({"preconditions": {"resourceVersion": "1"}})).await.refusal(409, "Conflict");
    server.get(&path).await.expect(200);
}

#[tokio::test]
async fn options_come_in_the_body_or_in_the_query() {
    let server = Server::start().await;
    server.post(JOBS, &job("a")).await.expect(201);
    let path = format!("{JOBS}/a");
    let bad = server.delete(&path, &json!({"propagationPolicy": "Foo"})).await;
    assert_eq!(
        bad.refusal(422, "Invalid"),
        "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"Foo\": supported values: \
         \"Foreground\", \"Background\", \"Orphan\", \"nil\""
    );
    let dry = server.delete(&path, &json!({"dryRun": ["All"], "propagationPolicy": "Background"})).await;
    assert_eq!(dry.expect(200)["status"], "Success");
    server.get(&path).await.expect(200);
    let query = request(Method::DELETE, &format!("{path}?propagationPolicy=Foreground"));
    let marked = server.send(query.body(axum::body::Body::empty()).unwrap()).await.expect(200);
    assert_eq!(marked["metadata"]["finalizers"], json!(["foregroundDeletion"]));
}

/// Protobuf as client-go sends it: `propagationPolicy: Background`.
#[tokio::test]
async fn options_may_be_protobuf() {
    let server = Server::start().await;
    server.post(JOBS, &job("a")).await.expect(201);
    let envelope =
        b"k8s\0\x0a\x19\x0a\x08batch/v1\x12\x0dDeleteOptions\x12\x0c\x22\x0aBackground\x1a\0\x22\0";
    let path = format!("{JOBS}/a");
    let protobuf = "application/vnd.kubernetes.protobuf";
    let deleted = server.write(Method::DELETE, &path, protobuf, &envelope[..]).await;
    assert_eq!(deleted.expect(200)["status"], "Success");
    server.post(JOBS, &job("a")).await.expect(201);
    let empty = server.write(Method::DELETE, &path, "text/plain", "").await;
    assert_eq!(empty.expect(200)["metadata"]["finalizers"], json!(["orphan"]), "no body, no format");
    server.write(Method::DELETE, &path, "text/plain", "{}").await.refusal(415, "UnsupportedMediaType");
}

#[tokio::test]
async fn a_pod_that_never_ran_is_gone_at_once_and_shown_a_last_time() {
    let server = Server::start().await;
    server.post(PODS, &pod("a")).await.expect(201);
    let last = server.delete(&format!("{PODS}/a"), &json!({})).await.expect(200);
    assert_eq!((&last["kind"], &last["metadata"]["name"]), (&json!("Pod"), &json!("a")));
    server.get(&format!("{PODS}/a")).await.refusal(404, "NotFound");
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector() {
    let server = Server::start().await;
    for i in 0..100 {
        let mut object = config_map(&format!("c{i:03}"), "");
        object["metadata"]["labels"] = json!({"odd": (i % 2 == 1).to_string()});
        server.post(CONFIG_MAPS, &object).await.expect(201);
    }
    let deleted =
        server.delete(&format!("{CONFIG_MAPS}?labelSelector=odd%3Dtrue"), &json!({})).await.expect(200);
    assert_eq!(deleted["kind"], "ConfigMapList");
    assert_eq!(deleted["items"].as_array().unwrap().len(), 50);
    let rest = server.get(CONFIG_MAPS).await.expect(200);
    assert_eq!(rest["items"].as_array().unwrap().len(), 50);
    assert_eq!(server.delete("/api/v1/configmaps", &json!({})).await.code, 405);
}
