//! GET of a pod's log.

use serde_json::json;

use super::{
    PODS,
    harness::{MERGE, Server},
    pod,
};

async fn with_running_pod() -> Server {
    let server = Server::start().await;
    server.post(PODS, &pod("p")).await.expect(201);
    let running = json!({"running": {"startedAt": "2026-11-23T01:59:00Z"}});
    let status = json!({"name": "main", "image": "busybox", "imageID": "", "ready": true, "restartCount": 0,
        "state": running});
    let patch = json!({"status": {"phase": "Running", "containerStatuses": [status]}});
    server.patch(&format!("{PODS}/p/status"), MERGE, &patch).await.expect(200);
    server
}

#[tokio::test]
async fn the_log_is_plain_text_of_the_asked_part() {
    let server = with_running_pod().await;
    let query = "container=main&tailLines=10&timestamps=true&follow=true&limitBytes=100&sinceSeconds=60";
    let answer = server.get(&format!("{PODS}/p/log?{query}")).await;
    assert_eq!((answer.code.as_u16(), answer.text().as_str()), (200, "first\nsecond\n"));
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/plain"));
    let requests = server.log_requests.lock().unwrap();
    let [request] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!((request.pod.name(), request.container.as_str()), ("p", "main"));
    assert_eq!((request.tail_lines, request.limit_bytes), (Some(10), Some(100)));
    assert_eq!(request.since, Some("2026-11-23T01:59:00Z".parse().unwrap()));
    assert!(request.follow && request.timestamps && !request.previous);
}

#[tokio::test]
async fn what_has_no_log_is_said() {
    let server = with_running_pod().await;
    server.post(PODS, &pod("new")).await.expect(201);
    assert_eq!(server.get(&format!("{PODS}/new/log")).await.code, 204);
    server.get(&format!("{PODS}/nope/log")).await.refusal(404, "NotFound");
    assert_eq!(
        server.get(&format!("{PODS}/p/log?container=zzz")).await.refusal(400, "BadRequest"),
        "container zzz is not valid for pod p"
    );
    assert_eq!(
        server.get(&format!("{PODS}/p/log?previous=true")).await.refusal(400, "BadRequest"),
        "previous terminated container \"main\" in pod \"p\" not found"
    );
    server.get(&format!("{PODS}/p/log?tailLines=-1")).await.refusal(422, "Invalid");
    assert_eq!(server.post(&format!("{PODS}/p/log"), &json!({})).await.code, 405);
    assert!(server.log_requests.lock().unwrap().is_empty());
}
