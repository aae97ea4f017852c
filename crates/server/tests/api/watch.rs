//! GET of collections with `watch`.

use serde_json::{Value, json};

use super::{
    CONFIG_MAPS, JOBS, config_map,
    harness::{Events, MERGE, Server, TABLE},
    job,
};

fn labelled(name: &str, tier: &str) -> Value {
    let mut object = config_map(name, "");
    object["metadata"]["labels"] = json!({"tier": tier});
    object
}

fn revision(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn without_a_revision_a_watch_begins_with_what_is_there() {
    let server = Server::start().await;
    let first = server.post(CONFIG_MAPS, &config_map("a", "1")).await.expect(201);
    for query in ["watch=true", "watch=1&resourceVersion=0"] {
        let mut events = Events::open(&server, &format!("{CONFIG_MAPS}?{query}")).await;
        let event = events.next().await.unwrap();
        assert_eq!((&event["type"], &event["object"]), (&json!("ADDED"), &first));
    }
}

#[tokio::test]
async fn changes_come_in_order_with_their_revisions() {
    let server = Server::start().await;
    let list = server.get(CONFIG_MAPS).await.expect(200);
    let path = format!("{CONFIG_MAPS}?watch=true&resourceVersion={}", revision(&list));
    let mut events = Events::open(&server, &path).await;
    let added = server.post(CONFIG_MAPS, &config_map("a", "1")).await.expect(201);
    let patch = json!({"data": {"key": "2"}});
    let changed = server.patch(&format!("{CONFIG_MAPS}/a"), MERGE, &patch).await.expect(200);
    server.delete(&format!("{CONFIG_MAPS}/a"), &json!({})).await.expect(200);
    assert_eq!(events.next().await.unwrap(), json!({"type": "ADDED", "object": added}));
    assert_eq!(events.next().await.unwrap(), json!({"type": "MODIFIED", "object": changed}));
    let gone = events.next().await.unwrap();
    assert_eq!((&gone["type"], &gone["object"]["data"]), (&json!("DELETED"), &changed["data"]));
    assert_eq!(revision(&gone["object"]), revision(&changed) + 1, "a deletion has a revision of its own");
}

#[tokio::test]
async fn a_selector_makes_objects_come_and_go() {
    let server = Server::start().await;
    let mut events =
        Events::open(&server, &format!("{CONFIG_MAPS}?watch=true&labelSelector=tier%3Dweb")).await;
    let path = format!("{CONFIG_MAPS}/a");
    let tier = |tier: &str| json!({"metadata": {"labels": {"tier": tier}}});
    server.post(CONFIG_MAPS, &labelled("a", "db")).await.expect(201);
    let in_sight = server.patch(&path, MERGE, &tier("web")).await.expect(200);
    server.patch(&path, MERGE, &json!({"data": {"key": "2"}})).await.expect(200);
    let out_of_sight = server.patch(&path, MERGE, &tier("db")).await.expect(200);
    server.delete(&path, &json!({})).await.expect(200);
    server.post(CONFIG_MAPS, &labelled("b", "web")).await.expect(201);

    assert_eq!(events.next_short().await, ("ADDED".into(), "a".into(), revision(&in_sight)));
    assert_eq!(events.next_short().await.0, "MODIFIED");
    let gone = events.next().await.unwrap();
    assert_eq!(gone["type"], "DELETED");
    assert_eq!(gone["object"]["metadata"]["labels"]["tier"], "web", "the state that was last in sight");
    assert_eq!(revision(&gone["object"]), revision(&out_of_sight));
    assert_eq!(events.next_short().await.1, "b", "what is out of sight goes unnoticed");
}

#[tokio::test]
async fn one_object_can_be_watched_by_name() {
    let server = Server::start().await;
    server.post(CONFIG_MAPS, &config_map("a", "1")).await.expect(201);
    server.post(CONFIG_MAPS, &config_map("b", "1")).await.expect(201);
    let path = format!("{CONFIG_MAPS}?watch=true&fieldSelector=metadata.name%3Db");
    let mut events = Events::open(&server, &path).await;
    server.delete(&format!("{CONFIG_MAPS}/a"), &json!({})).await.expect(200);
    server.delete(&format!("{CONFIG_MAPS}/b"), &json!({})).await.expect(200);
    assert_eq!(events.next_short().await.0, "ADDED");
    let (event, name, _) = events.next_short().await;
    assert_eq!((event.as_str(), name.as_str()), ("DELETED", "b"));
}

#[tokio::test]
async fn a_watch_sees_its_namespace_and_its_kind_only() {
    let server = Server::start().await;
    server.post("/api/v1/namespaces", &json!({"metadata": {"name": "other"}})).await.expect(201);
    let mut one = Events::open(&server, "/api/v1/namespaces/other/configmaps?watch=1").await;
    let mut all = Events::open(&server, "/api/v1/configmaps?watch=1").await;
    server.post(CONFIG_MAPS, &config_map("a", "")).await.expect(201);
    server.post(JOBS, &job("j")).await.expect(201);
    server.post("/api/v1/namespaces/other/configmaps", &config_map("b", "")).await.expect(201);
    assert_eq!(one.next_short().await.1, "b");
    assert_eq!(all.next_short().await.1, "a");
    assert_eq!(all.next_short().await.1, "b");
}

#[tokio::test]
async fn the_end_of_the_initial_events_is_marked() {
    let server = Server::start().await;
    for i in 0..3 {
        server.post(JOBS, &job(&format!("j{i}"))).await.expect(201);
    }
    let current = revision(&server.get(JOBS).await.expect(200));
    let query =
        "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    for form in ["application/json", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"] {
        let mut events = Events::open_as(&server, &format!("{JOBS}?{query}"), form).await;
        for i in 0..3 {
            let (event, name, _) = events.next_short().await;
            assert_eq!((event, name), ("ADDED".to_owned(), format!("j{i}")));
        }
        let bookmark = events.next().await.unwrap();
        assert_eq!(bookmark["type"], "BOOKMARK");
        let metadata = &bookmark["object"]["metadata"];
        assert_eq!(metadata["annotations"], json!({"k8s.io/initial-events-end": "true"}));
        assert_eq!(revision(&bookmark["object"]), current);
    }
    let mut empty = Events::open(&server, &format!("/api/v1/pods?{query}")).await;
    assert_eq!(empty.next_short().await.0, "BOOKMARK");
}

#[tokio::test]
async fn initial_events_may_be_declined() {
    let server = Server::start().await;
    server.post(CONFIG_MAPS, &config_map("a", "")).await.expect(201);
    let query = "watch=true&sendInitialEvents=false&resourceVersionMatch=NotOlderThan";
    let mut events = Events::open(&server, &format!("{CONFIG_MAPS}?{query}")).await;
    server.post(CONFIG_MAPS, &config_map("b", "")).await.expect(201);
    assert_eq!(events.next_short().await.1, "b");
}

#[tokio::test]
async fn options_of_a_watch_are_checked() {
    let server = Server::start().await;
    let open = async |query: &str| server.get(&format!("{JOBS}?watch=true&{query}")).await;
    assert_eq!(
        open("sendInitialEvents=true").await.refusal(422, "Invalid"),
        "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting \
         resourceVersionMatch to NotOlderThan"
    );
    open("resourceVersionMatch=NotOlderThan").await.refusal(422, "Invalid");
    open("labelSelector=!+%3D").await.refusal(400, "BadRequest");
    let future = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=99999999";
    open(future).await.refusal(504, "Timeout");
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_when_its_time_is_over() {
    let server = Server::start().await;
    let current = revision(&server.get(JOBS).await.expect(200));
    let path =
        format!("{JOBS}?watch=true&timeoutSeconds=90&resourceVersion={current}&allowWatchBookmarks=true");
    let mut events = Events::open(&server, &path).await;
    assert_eq!(events.next_short().await, ("BOOKMARK".into(), String::new(), current), "after a minute");
    assert_eq!(events.next_short().await, ("BOOKMARK".into(), String::new(), current), "just before the end");
    assert_eq!(events.next().await, None);
    let mut silent = Events::open(&server, &format!("{JOBS}?watch=true&timeoutSeconds=90")).await;
    assert_eq!(silent.next().await, None, "bookmarks come only if asked for");
}

#[tokio::test(start_paused = true)]
async fn bookmarks_advance_with_the_whole_store() {
    let server = Server::start().await;
    let path = format!("{JOBS}?watch=true&allowWatchBookmarks=true");
    let mut events = Events::open(&server, &path).await;
    let other = server.post(CONFIG_MAPS, &config_map("a", "")).await.expect(201);
    let (event, _, bookmark) = events.next_short().await;
    assert_eq!((event.as_str(), bookmark), ("BOOKMARK", revision(&other)));
}

#[tokio::test]
async fn a_watch_ends_when_the_server_stops() {
    let server = Server::start().await;
    let mut events = Events::open(&server, &format!("{JOBS}?watch=true")).await;
    server.api.close();
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_revision_that_has_left_the_history_is_gone() {
    let server = Server::start().await;
    let path = format!("{CONFIG_MAPS}/a");
    server.post(CONFIG_MAPS, &config_map("a", "")).await.expect(201);
    let mut slow = Events::open(&server, &format!("{CONFIG_MAPS}?watch=true&resourceVersion=2")).await;
    for i in 0..=cronlet_store::limits::WATCH_HISTORY_CHANGES_MAX {
        server.patch(&path, MERGE, &json!({"data": {"key": i.to_string()}})).await.expect(200);
    }
    let gone = server.get(&format!("{CONFIG_MAPS}?watch=true&resourceVersion=2")).await;
    assert!(gone.refusal(410, "Expired").starts_with("too old resource version: 2 ("));
    // A watch that was opened in time and read too late learns it by an event.
    let event = slow.next().await.unwrap();
    assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert_eq!((&event["object"]["kind"], &event["object"]["reason"]), (&json!("Status"), &json!("Expired")));
    assert_eq!(slow.next().await, None);
}

#[tokio::test]
async fn tables_have_their_columns_once() {
    let server = Server::start().await;
    server.post(JOBS, &job("a")).await.expect(201);
    let mut events = Events::open_as(&server, &format!("{JOBS}?watch=true"), TABLE).await;
    server.post(JOBS, &job("b")).await.expect(201);
    let first = events.next().await.unwrap();
    assert_eq!((&first["type"], &first["object"]["kind"]), (&json!("ADDED"), &json!("Table")));
    assert!(first["object"]["columnDefinitions"].is_array());
    assert_eq!(first["object"]["rows"].as_array().unwrap().len(), 1);
    let second = events.next().await.unwrap();
    assert_eq!(second["object"]["columnDefinitions"], Value::Null);
    assert_eq!(second["object"]["rows"][0]["cells"][0], "b");
    assert!(revision(&second["object"]) > revision(&first["object"]));
}
