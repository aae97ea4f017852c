//! What is not about objects: identity, health, discovery, reviews, methods and paths that do not exist.

use axum::body::Body;
use http::{Method, Request};
use serde_json::json;

use super::{
    CONFIG_MAPS, JOBS,
    harness::{JSON, Server, request},
};

fn anonymous(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn strangers_may_ask_for_health_and_version_only() {
    let server = Server::start().await;
    for path in ["/healthz", "/livez", "/readyz"] {
        let answer = server.send(anonymous(path)).await;
        assert_eq!((answer.code.as_u16(), answer.text().as_str()), (200, "ok"), "{path}");
    }
    let verbose = server.send(anonymous("/readyz?verbose")).await;
    assert_eq!(verbose.text(), "[+]ping ok\n[+]store ok\n[+]shutdown ok\nreadyz check passed\n");
    let version = server.send(anonymous("/version")).await.expect(200);
    assert_eq!((&version["major"], &version["minor"]), (&json!("1"), &json!("36")));
    assert_eq!(version["gitVersion"], "v1.36.0+cronlet.0.1.0");
    assert_eq!(server.send(anonymous("/version/")).await.expect(200), version);
    for path in ["/api", "/apis", JOBS, "/openapi/v3", "/nothing"] {
        assert_eq!(server.send(anonymous(path)).await.refusal(401, "Unauthorized"), "Unauthorized", "{path}");
    }
}

#[tokio::test]
async fn a_server_that_is_about_to_stop_is_not_ready() {
    let server = Server::start().await;
    server.api.close();
    let answer = server.get("/readyz").await;
    assert_eq!(answer.code, 500);
    assert!(answer.text().contains("[-]shutdown failed"), "{}", answer.text());
    assert_eq!(server.get("/livez").await.code, 200);
}

#[tokio::test]
async fn documents_are_found_where_clients_look_for_them() {
    let server = Server::start().await;
    assert_eq!(server.get("/api?timeout=32s").await.expect(200)["kind"], "APIVersions");
    assert_eq!(server.get("/apis").await.expect(200)["kind"], "APIGroupList");
    assert_eq!(server.get("/apis/batch").await.expect(200)["kind"], "APIGroup");
    assert_eq!(server.get("/apis/batch/v1").await.expect(200)["kind"], "APIResourceList");
    let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    assert_eq!(server.get_as("/apis", aggregated).await.expect(200)["kind"], "APIGroupDiscoveryList");
    let index = server.get("/openapi/v3").await.expect(200);
    for (path, entry) in index["paths"].as_object().unwrap() {
        let document = server.get(entry["serverRelativeURL"].as_str().unwrap()).await.expect(200);
        assert_eq!(document["openapi"], "3.0.0", "{path}");
    }
    let protobuf = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    assert_eq!(server.get_as("/openapi/v2", protobuf).await.code, 200);
}

#[tokio::test]
async fn everything_discovery_lists_is_served() {
    let server = Server::start().await;
    for group_version in ["/api/v1", "/apis/batch/v1"] {
        let list = server.get(group_version).await.expect(200);
        for resource in list["resources"].as_array().unwrap() {
            let (name, verbs) = (resource["name"].as_str().unwrap(), resource["verbs"].as_array().unwrap());
            if verbs.contains(&json!("list")) {
                let path = format!("{group_version}/{name}");
                assert!(server.get(&path).await.expect(200)["items"].is_array(), "{path}");
                let watch = server
                    .open(request(Method::GET, &format!("{path}?watch=1")).body(Body::empty()).unwrap());
                assert_eq!(watch.await.status(), 200, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn questions_about_oneself_are_answered() {
    let server = Server::start().await;
    let access = json!({"spec": {"resourceAttributes": {"verb": "create", "resource": "jobs"}}});
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let answer = server.post(path, &access).await.expect(201);
    assert_eq!(
        (&answer["kind"], &answer["status"]["allowed"]),
        (&json!("SelfSubjectAccessReview"), &json!(true))
    );
    assert_eq!(answer["spec"]["resourceAttributes"]["resource"], "jobs");

    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let answer = server.post(path, &json!({"spec": {"namespace": "default"}})).await.expect(201);
    assert_eq!(answer["status"]["resourceRules"][0]["verbs"], json!(["*"]));
    assert_eq!(answer["status"]["incomplete"], false);

    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let answer = server.post(path, &json!({})).await.expect(201);
    assert_eq!(answer["status"]["userInfo"]["username"], "kubernetes-admin");
    assert_eq!(answer["status"]["userInfo"]["groups"], json!(["system:masters", "system:authenticated"]));
    assert_eq!(server.get(path).await.code, 405);
}

#[tokio::test]
async fn what_does_not_exist_is_told_apart() {
    let server = Server::start().await;
    for path in
        ["/api/v1/endpoints", "/apis/apps/v1/deployments", "/api/v1/namespaces/default/pods/p/binding"]
    {
        assert_eq!(
            server.get(path).await.refusal(404, "NotFound"),
            "the server could not find the requested resource",
            "{path}"
        );
    }
    let missing = server.get(&format!("{JOBS}/nope")).await;
    assert_eq!(missing.refusal(404, "NotFound"), "jobs.batch \"nope\" not found");
    let outside = server.get("/swagger-2.0.0.pb-v1").await;
    assert_eq!((outside.code.as_u16(), outside.text().as_str()), (404, "404 page not found\n"));
}

#[tokio::test]
async fn methods_that_do_not_fit_are_refused() {
    let server = Server::start().await;
    for (method, path) in [
        (Method::OPTIONS, CONFIG_MAPS),
        (Method::PUT, CONFIG_MAPS),
        (Method::PATCH, CONFIG_MAPS),
        (Method::POST, "/api/v1/namespaces/default/configmaps/a"),
        (Method::DELETE, "/api/v1/namespaces/default/pods/a/status"),
        (Method::POST, "/api"),
        (Method::from_bytes(b"BREW").unwrap(), CONFIG_MAPS),
    ] {
        let answer = server.write(method.clone(), path, JSON, "{}").await;
        assert_eq!(
            answer.refusal(405, "MethodNotAllowed"),
            "the server does not allow this method on the requested resource",
            "{method} {path}"
        );
    }
    // The answer to HEAD has no body.
    assert_eq!(server.write(Method::HEAD, CONFIG_MAPS, JSON, "").await.code, 405);
}
