//! PUT of objects and of their status.

use serde_json::json;

use super::{CONFIG_MAPS, CRONJOBS, JOBS, config_map, cron_job, harness::Server, job};

#[tokio::test]
async fn an_object_is_replaced_if_it_is_as_it_was_read() {
    let server = Server::start().await;
    let path = format!("{CONFIG_MAPS}/a");
    let mut object = server.post(CONFIG_MAPS, &config_map("a", "1")).await.expect(201);
    object["data"]["key"] = json!("2");
    let replaced = server.put(&path, &object).await.expect(200);
    assert_ne!(replaced["metadata"]["resourceVersion"], object["metadata"]["resourceVersion"]);
    object["data"]["key"] = json!("3");
    let stale = server.put(&path, &object).await;
    assert_eq!(
        stale.refusal(409, "Conflict"),
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to \
         the latest version and try again"
    );
    object["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    assert_eq!(server.put(&path, &object).await.expect(200)["data"]["key"], "3");
}

#[tokio::test]
async fn a_replacement_that_changes_nothing_is_no_change() {
    let server = Server::start().await;
    let object = server.post(CONFIG_MAPS, &config_map("a", "1")).await.expect(201);
    assert_eq!(server.put(&format!("{CONFIG_MAPS}/a"), &object).await.expect(200), object);
    assert_eq!(server.get(&format!("{CONFIG_MAPS}/a")).await.expect(200), object);
}

#[tokio::test]
async fn the_path_and_the_body_must_name_the_same_object() {
    let server = Server::start().await;
    server.post(CONFIG_MAPS, &config_map("a", "1")).await.expect(201);
    let path = format!("{CONFIG_MAPS}/a");
    let put = async |object| server.put(&path, &object).await.refusal(400, "BadRequest");
    assert_eq!(
        put(config_map("zz", "1")).await,
        "the name of the object (zz) does not match the name on the URL (a)"
    );
    assert_eq!(
        put(json!({"data": {}})).await,
        "the name of the object (a based on URL) was undeterminable: name must be provided"
    );
    let mut elsewhere = config_map("a", "1");
    elsewhere["metadata"]["namespace"] = json!("other");
    assert_eq!(
        put(elsewhere).await,
        "the namespace of the provided object does not match the namespace sent on the request"
    );
    let missing = server.put(&format!("{CONFIG_MAPS}/b"), &config_map("b", "1")).await;
    assert_eq!(missing.refusal(404, "NotFound"), "configmaps \"b\" not found");
}

#[tokio::test]
async fn spec_and_status_are_written_separately() {
    let server = Server::start().await;
    let mut object = server.post(CRONJOBS, &cron_job("a")).await.expect(201);
    object["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    object["spec"]["suspend"] = json!(true);
    object["status"] = json!({"lastScheduleTime": "2026-11-23T01:00:00Z"});
    let main = server.put(&format!("{CRONJOBS}/a"), &object).await.expect(200);
    assert_eq!((&main["spec"]["suspend"], main["status"].get("lastScheduleTime")), (&json!(true), None));
    assert_eq!(main["metadata"]["generation"], 2);
    object["spec"]["suspend"] = json!(false);
    let status = server.put(&format!("{CRONJOBS}/a/status"), &object).await.expect(200);
    assert_eq!(status["spec"]["suspend"], true);
    assert_eq!(status["status"]["lastScheduleTime"], "2026-11-23T01:00:00Z");
    assert_eq!(status["metadata"]["generation"], 2);
}

#[tokio::test]
async fn what_cannot_change_does_not() {
    let server = Server::start().await;
    let mut object = server.post(JOBS, &job("a")).await.expect(201);
    object["spec"]["completions"] = json!(5);
    assert_eq!(
        server.put(&format!("{JOBS}/a"), &object).await.refusal(422, "Invalid"),
        "Job.batch \"a\" is invalid: spec.completions: Invalid value: 5: field is immutable"
    );
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let server = Server::start().await;
    let mut object = server.post(CONFIG_MAPS, &config_map("a", "1")).await.expect(201);
    object["data"]["key"] = json!("2");
    let answer = server.put(&format!("{CONFIG_MAPS}/a?dryRun=All"), &object).await.expect(200);
    assert_eq!(answer["data"]["key"], "2");
    assert_eq!(answer["metadata"]["resourceVersion"], object["metadata"]["resourceVersion"]);
    assert_eq!(server.get(&format!("{CONFIG_MAPS}/a")).await.expect(200)["data"]["key"], "1");
}
