//! Tokens of service accounts: asked for, used in place of a certificate, and reviewed.

use std::sync::Arc;

use axum::body::Body;
use cronlet_server::{ISSUER, Tokens};
use http::{Request, header};
use serde_json::{Value, json};

use super::{
    CONFIG_MAPS, PODS,
    harness::{Answer, Server},
    pod,
};

const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";
const WHOAMI: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

async fn server() -> Server {
    let server = Server::start().await;
    server.api.use_tokens(Arc::new(Tokens::ephemeral().unwrap()));
    server.post(ACCOUNTS, &json!({"metadata": {"name": "robot"}})).await.expect(201);
    server
}

async fn ask(server: &Server, spec: Value) -> Answer {
    server.post(&format!("{ACCOUNTS}/robot/token"), &json!({"spec": spec})).await
}

async fn token(server: &Server, spec: Value) -> String {
    ask(server, spec).await.expect(201)["status"]["token"].as_str().unwrap().to_owned()
}

/// Sends a request with a token and without a certificate.
async fn bearing(server: &Server, token: &str, path: &str) -> Answer {
    let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
    server.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_token_is_as_good_as_a_certificate() {
    let server = server().await;
    let answer = ask(&server, json!({})).await.expect(201);
    assert_eq!((&answer["kind"], &answer["spec"]["audiences"]), (&json!("TokenRequest"), &json!([ISSUER])));
    assert_eq!(answer["status"]["expirationTimestamp"], "2026-11-23T03:00:00Z");
    let token = answer["status"]["token"].as_str().unwrap();
    let refused = bearing(&server, token, CONFIG_MAPS).await.refusal(403, "Forbidden");
    assert!(refused.contains("User \"system:serviceaccount:default:robot\" cannot list"), "{refused}");

    let role = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]);
    server.post(role, &json!({"metadata": {"name": "r"}, "rules": rules})).await.expect(201);
    let binding = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
    let bound = json!({
        "metadata": {"name": "r"}, "roleRef": {"kind": "Role", "name": "r"},
        "subjects": [{"kind": "ServiceAccount", "name": "robot"}],
    });
    server.post(binding, &bound).await.expect(201);
    bearing(&server, token, CONFIG_MAPS).await.expect(200);
    bearing(&server, token, "/api/v1/configmaps").await.expect(403);

    let request = Request::post(WHOAMI).header(header::AUTHORIZATION, format!("Bearer {token}"));
    let refused = server.send(request.body("{}".into()).unwrap()).await.refusal(403, "Forbidden");
    assert!(refused.contains("selfsubjectreviews"), "no role says that everybody may ask: {refused}");

    server.delete(&format!("{ACCOUNTS}/robot"), &json!({})).await.expect(200);
    bearing(&server, token, CONFIG_MAPS).await.refusal(401, "Unauthorized");
}

#[tokio::test]
async fn who_shows_no_good_token_is_nobody() {
    let server = server().await;
    let good = token(&server, json!({})).await;
    for bad in ["", "x", "a.b.c", &good[..good.len() - 2], &format!("{good}x")] {
        bearing(&server, bad, CONFIG_MAPS).await.refusal(401, "Unauthorized");
    }
    let vault = token(&server, json!({"audiences": ["vault"]})).await;
    bearing(&server, &vault, CONFIG_MAPS).await.refusal(401, "Unauthorized");
    let request = Request::get(CONFIG_MAPS).header(header::AUTHORIZATION, format!("Basic {good}"));
    server.send(request.body(Body::empty()).unwrap()).await.refusal(401, "Unauthorized");
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_refused() {
    let server = server().await;
    let short = ask(&server, json!({"expirationSeconds": 599})).await;
    assert_eq!(
        short.refusal(422, "Invalid"),
        "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 599: may not \
         specify a duration less than 10 minutes"
    );
    server.post(&format!("{ACCOUNTS}/nobody/token"), &json!({"spec": {}})).await.refusal(404, "NotFound");
    let bind = |kind: &str, name: &str, uid: &str| json!({"boundObjectRef": {"apiVersion": "v1", "kind": kind, "name": name, "uid": uid}});
    ask(&server, bind("Pod", "p", "")).await.refusal(404, "NotFound");
    server.post(PODS, &pod("p")).await.expect(201);
    assert_eq!(
        ask(&server, bind("Pod", "p", "")).await.refusal(400, "BadRequest"),
        "cannot bind token for serviceaccount \"robot\" to pod running with different serviceaccount name."
    );
    ask(&server, bind("Node", "p", "")).await.refusal(400, "BadRequest");
    server.get(&format!("{ACCOUNTS}/robot/token")).await.expect(405);
}

#[tokio::test]
async fn a_token_goes_with_its_pod() {
    let server = server().await;
    let mut own = pod("own");
    own["spec"]["serviceAccountName"] = json!("robot");
    let uid = server.post(PODS, &own).await.expect(201)["metadata"]["uid"].clone();
    let bound = json!({"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "own", "uid": uid}});
    let token = token(&server, bound).await;
    let review = json!({"spec": {"token": token}});
    let status = server.post(REVIEWS, &review).await.expect(201)["status"].clone();
    assert_eq!(status["authenticated"], true);
    assert_eq!(status["user"]["username"], "system:serviceaccount:default:robot");
    assert_eq!(status["user"]["extra"]["authentication.kubernetes.io/pod-name"], json!(["own"]));
    assert_eq!(status["audiences"], json!([ISSUER]));
    let other = json!({"spec": {"token": token, "audiences": ["vault"]}});
    let status = server.post(REVIEWS, &other).await.expect(201)["status"].clone();
    assert_eq!(status, json!({"error": "the token is for another audience"}));

    server.delete(&format!("{PODS}/own"), &json!({"gracePeriodSeconds": 0})).await.expect(200);
    let status = server.post(REVIEWS, &review).await.expect(201)["status"].clone();
    assert_eq!(status["error"], "the pod that the token is bound to is gone");
    bearing(&server, &token, CONFIG_MAPS).await.refusal(401, "Unauthorized");
}
