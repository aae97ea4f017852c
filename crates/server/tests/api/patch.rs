//! PATCH of objects and of their status.

use http::Method;
use serde_json::json;

use super::{
    CONFIG_MAPS, CRONJOBS, JOBS, config_map, cron_job,
    harness::{JSON_PATCH, MERGE, STRATEGIC, Server},
    job,
};

#[tokio::test]
async fn each_type_of_patch_does_what_it_says() {
    let server = Server::start().await;
    server.post(CRONJOBS, &cron_job("a")).await.expect(201);
    let path = format!("{CRONJOBS}/a");
    let merged = server.patch(&path, MERGE, &json!({"spec": {"suspend": true}})).await.expect(200);
    assert_eq!(
        (&merged["spec"]["suspend"], &merged["spec"]["schedule"]),
        (&json!(true), &json!("*/5 * * * *"))
    );
    let patch = json!([{"op": "replace", "path": "/spec/schedule", "value": "@daily"}]);
    assert_eq!(server.patch(&path, JSON_PATCH, &patch).await.expect(200)["spec"]["schedule"], "@daily");
    let container = json!({"name": "main", "env": [{"name": "A", "value": "1"}]});
    let patch =
        json!({"spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [container]}}}}}});
    let patched = server.patch(&path, STRATEGIC, &patch).await.expect(200);
    let containers = &patched["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"];
    assert_eq!(
        (&containers[0]["image"], &containers[0]["env"][0]["value"]),
        (&json!("busybox"), &json!("1"))
    );
    assert_eq!(containers.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_patch_that_changes_nothing_is_no_change() {
    let server = Server::start().await;
    let created = server.post(CONFIG_MAPS, &config_map("a", "1")).await.expect(201);
    let path = format!("{CONFIG_MAPS}/a");
    let same = server.patch(&path, MERGE, &json!({"data": {"key": "1"}})).await.expect(200);
    assert_eq!(same["metadata"]["resourceVersion"], created["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn a_patch_may_be_bound_to_a_version() {
    let server = Server::start().await;
    let created = server.post(CONFIG_MAPS, &config_map("a", "1")).await.expect(201);
    let version = &created["metadata"]["resourceVersion"];
    let path = format!("{CONFIG_MAPS}/a");
    let bound = |value: &str| json!({"metadata": {"resourceVersion": version}, "data": {"key": value}});
    server.patch(&path, MERGE, &bound("2")).await.expect(200);
    let stale = server.patch(&path, STRATEGIC, &bound("3")).await;
    assert!(
        stale.refusal(409, "Conflict").starts_with("Operation cannot be fulfilled on configmaps \"a\": ")
    );
    assert_eq!(server.get(&path).await.expect(200)["data"]["key"], "2");
}

#[tokio::test]
async fn concurrent_patches_all_take_effect() {
    let server = Server::start().await;
    server.post(CONFIG_MAPS, &config_map("a", "1")).await.expect(201);
    let path = format!("{CONFIG_MAPS}/a");
    let patches = (0..4).map(|i| {
        let (server, path) = (&server, &path);
        async move { server.patch(path, MERGE, &json!({"data": {format!("k{i}"): "v"}})).await.expect(200) }
    });
    futures_util::future::join_all(patches).await;
    let data = server.get(&path).await.expect(200)["data"].clone();
    assert_eq!(data, json!({"key": "1", "k0": "v", "k1": "v", "k2": "v", "k3": "v"}));
}

#[tokio::test]
async fn the_status_is_patched_separately() {
    let server = Server::start().await;
    server.post(JOBS, &job("a")).await.expect(201);
    let patch = json!({"status": {"active": 1}, "spec": {"suspend": true}});
    let patched = server.patch(&format!("{JOBS}/a/status"), MERGE, &patch).await.expect(200);
    assert_eq!((&patched["status"]["active"], &patched["spec"]["suspend"]), (&json!(1), &json!(false)));
}

#[tokio::test]
async fn patches_that_do_not_fit_are_refused() {
    let server = Server::start().await;
    server.post(JOBS, &job("a")).await.expect(201);
    let path = format!("{JOBS}/a");
    let missing = server.patch(&format!("{JOBS}/nope"), MERGE, &json!({})).await;
    assert_eq!(missing.refusal(404, "NotFound"), "jobs.batch \"nope\" not found");
    let failed = json!([{"op": "test", "path": "/spec/suspend", "value": true}]);
    assert_eq!(
        server.patch(&path, JSON_PATCH, &failed).await.refusal(422, "Invalid"),
        "the server rejected our request due to an error in our request"
    );
    server.patch(&path, JSON_PATCH, &json!({})).await.refusal(400, "BadRequest");
    assert!(
        server
            .write(Method::PATCH, &path, MERGE, "{")
            .await
            .refusal(400, "BadRequest")
            .starts_with("error decoding patch: ")
    );
    let keyless = json!({"spec": {"template": {"spec": {"containers": [{"image": "x"}]}}}});
    assert_eq!(
        server.patch(&path, STRATEGIC, &keyless).await.expect(500)["message"],
        "map: map[image:x] does not contain declared merge key: name"
    );
    let wrong_type =
        server.patch(&path, MERGE, &json!({"spec": {"parallelism": "x"}})).await.refusal(422, "Invalid");
    assert!(wrong_type.starts_with(" \"\" is invalid: patch: Invalid value: \"{"), "{wrong_type}");
    assert!(wrong_type.contains("cannot unmarshal string into Go struct field JobSpec.spec.parallelism"));
    let unsupported = server.patch(&path, "application/json", &json!({})).await;
    let accepted = unsupported.refusal(415, "UnsupportedMediaType");
    assert!(accepted.ends_with("application/apply-patch+yaml"), "{accepted}");
}

#[tokio::test]
async fn unknown_fields_in_a_patch_are_refused_or_warned_of() {
    let server = Server::start().await;
    server.post(JOBS, &job("a")).await.expect(201);
    let patch = json!({"spec": {"bogus": 1}});
    let strict = server.patch(&format!("{JOBS}/a?fieldValidation=Strict"), STRATEGIC, &patch).await;
    assert_eq!(
        strict.refusal(422, "Invalid"),
        " \"\" is invalid: patch: Invalid value: \"map[spec:map[bogus:1]]\": strict decoding error: unknown field \
         \"spec.bogus\""
    );
    let warned = server.patch(&format!("{JOBS}/a"), STRATEGIC, &patch).await;
    warned.expect(200);
    assert_eq!(warned.warnings(), ["299 - \"unknown field \\\"spec.bogus\\\"\""]);
}

#[tokio::test]
async fn a_name_cannot_be_patched() {
    let server = Server::start().await;
    server.post(CONFIG_MAPS, &config_map("a", "1")).await.expect(201);
    let renamed = server.patch(&format!("{CONFIG_MAPS}/a"), MERGE, &json!({"metadata": {"name": "b"}})).await;
    assert!(renamed.code.is_client_error(), "{}", renamed.text());
    assert_eq!(server.get(&format!("{CONFIG_MAPS}/b")).await.code, 404);
}
