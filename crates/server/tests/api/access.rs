//! Who may do what: roles and bindings of people who are not administrators, as the API holds them to it.

use axum::body::Body;
use cronlet_server::{AuditLog, Identity};
use http::{Method, Request, header};
use serde_json::{Value, json};

use super::{
    CONFIG_MAPS, JOBS, PODS, config_map,
    harness::{Answer, JSON, Server, TABLE},
    job, pod,
};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
const ACCESS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// Sends a request as `ann`, who is in no group.
async fn as_ann(server: &Server, method: Method, path: &str, body: &Value) -> Answer {
    with_headers(server, method, path, body, &[]).await
}

async fn with_headers(
    server: &Server,
    method: Method,
    path: &str,
    body: &Value,
    headers: &[(&str, &str)],
) -> Answer {
    let content_type = if method == Method::PATCH { "application/merge-patch+json" } else { JSON };
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .extension(Identity::user("ann", &[]))
        .header(header::CONTENT_TYPE, content_type);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    server.send(request.body(body).unwrap()).await
}

async fn get(server: &Server, path: &str) -> Answer {
    as_ann(server, Method::GET, path, &Value::Null).await
}

fn rule(verbs: &[&str], group: &str, resources: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

fn binding(name: &str, kind: &str, role: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [{"kind": "User", "name": "ann"}],
    })
}

/// Gives `ann` a role in the namespace `default`.
async fn give(server: &Server, name: &str, rules: &[Value]) {
    let role = json!({"metadata": {"name": name}, "rules": rules});
    server.post(ROLES, &role).await.expect(201);
    server.post(BINDINGS, &binding(name, "Role", name)).await.expect(201);
}

#[tokio::test]
async fn who_has_no_role_is_told_what_they_may_not_do() {
    let server = Server::start().await;
    let refusal = get(&server, PODS).await;
    assert_eq!(
        refusal.refusal(403, "Forbidden"),
        "pods is forbidden: User \"ann\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\""
    );
    assert_eq!(refusal.json()["details"], json!({"kind": "pods"}));
    let one = get(&server, &format!("{JOBS}/j")).await;
    assert_eq!(
        one.refusal(403, "Forbidden"),
        "jobs.batch \"j\" is forbidden: User \"ann\" cannot get resource \"jobs\" in API group \"batch\" in the \
         namespace \"default\""
    );
    assert_eq!(one.json()["details"], json!({"name": "j", "group": "batch", "kind": "jobs"}));
    let created = as_ann(&server, Method::POST, CONFIG_MAPS, &config_map("a", "b")).await;
    assert!(created.refusal(403, "Forbidden").contains("cannot create resource \"configmaps\""));
    // What is not served is no different.
    assert!(get(&server, "/apis/apps/v1/deployments").await.refusal(403, "Forbidden").starts_with(
        "deployments.apps is forbidden: User \"ann\" cannot list resource \"deployments\" in API group \"apps\" at the \
         cluster scope"
    ));
    assert_eq!(
        get(&server, "/metrics").await.refusal(403, "Forbidden"),
        "forbidden: User \"ann\" cannot get path \"/metrics\""
    );
}

#[tokio::test]
async fn a_role_allows_what_it_says_and_where() {
    let server = Server::start().await;
    give(&server, "reader", &[rule(&["get", "list", "watch"], "batch", &["jobs"])]).await;
    server.post(JOBS, &job("j")).await.expect(201);
    assert_eq!(get(&server, JOBS).await.expect(200)["items"].as_array().unwrap().len(), 1);
    get(&server, &format!("{JOBS}/j")).await.expect(200);
    get(&server, "/apis/batch/v1/jobs").await.expect(403);
    get(&server, "/apis/batch/v1/namespaces/kube-system/jobs").await.expect(403);
    get(&server, &format!("{JOBS}/j/status")).await.expect(403);
    for (method, path) in [(Method::POST, JOBS.to_owned()), (Method::DELETE, format!("{JOBS}/j"))] {
        as_ann(&server, method, &path, &job("k")).await.expect(403);
    }
    // A right that is taken away is gone at once.
    server.delete(&format!("{BINDINGS}/reader"), &json!({})).await.expect(200);
    get(&server, JOBS).await.expect(403);
}

#[tokio::test]
async fn to_apply_what_is_not_there_is_to_create_it() {
    let server = Server::start().await;
    give(&server, "patcher", &[rule(&["patch"], "", &["configmaps"])]).await;
    let path = format!("{CONFIG_MAPS}/c?fieldManager=ann");
    let apply = async || {
        let request = Request::patch(&path)
            .extension(Identity::user("ann", &[]))
            .header(header::CONTENT_TYPE, "application/apply-patch+yaml");
        server.send(request.body(config_map("c", "v").to_string().into()).unwrap()).await
    };
    assert!(apply().await.refusal(403, "Forbidden").contains("cannot create resource \"configmaps\""));
    server.post(CONFIG_MAPS, &config_map("c", "w")).await.expect(201);
    let stored = apply().await;
    assert!(stored.code == 409 || stored.code == 200, "{}", stored.text());
}

#[tokio::test]
async fn who_enters_a_pod_must_be_allowed_to() {
    let server = Server::start().await;
    give(&server, "looker", &[rule(&["get"], "", &["pods", "pods/exec", "pods/log"])]).await;
    server.post(PODS, &pod("p")).await.expect(201);
    let exec = get(&server, &format!("{PODS}/p/exec?command=id")).await;
    assert!(exec.refusal(403, "Forbidden").contains("cannot create resource \"pods/exec\""));
    let log = get(&server, &format!("{PODS}/p/log")).await;
    assert!(!matches!(log.code.as_u16(), 401 | 403), "{}", log.text());
}

#[tokio::test]
async fn nobody_gives_what_they_do_not_have() {
    let server = Server::start().await;
    let own = [
        rule(&["get"], "", &["pods"]),
        rule(&["*"], "rbac.authorization.k8s.io", &["roles", "rolebindings"]),
    ];
    // The last rule has `escalate` and `bind` in it, too: without the star.
    let writes =
        rule(&["create", "update", "patch", "get"], "rbac.authorization.k8s.io", &["roles", "rolebindings"]);
    give(&server, "keeper", &[own[0].clone(), writes]).await;
    let less = json!({"metadata": {"name": "less"}, "rules": [own[0]]});
    as_ann(&server, Method::POST, ROLES, &less).await.expect(201);
    let more = json!({"metadata": {"name": "more"}, "rules": [rule(&["get", "list"], "", &["secrets"])]});
    let refused = as_ann(&server, Method::POST, ROLES, &more).await.refusal(403, "Forbidden");
    assert!(
        refused.ends_with(
            "is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"secrets\"], \
             Verbs:[\"get\" \"list\"]}"
        ),
        "{refused}"
    );
    let wider = json!({"rules": [rule(&["delete"], "", &["pods"])]});
    as_ann(&server, Method::PATCH, &format!("{ROLES}/less"), &wider).await.expect(403);
    server.post(ROLES, &more).await.expect(201);
    as_ann(&server, Method::POST, BINDINGS, &binding("x", "Role", "more")).await.expect(403);
    as_ann(&server, Method::POST, BINDINGS, &binding("y", "Role", "less")).await.expect(201);
}

#[tokio::test]
async fn reviews_answer_truly() {
    let server = Server::start().await;
    give(&server, "reader", &[rule(&["get"], "", &["pods"])]).await;
    let basic = json!({
        "metadata": {"name": "basic"},
        "rules": [rule(&["create"], "authorization.k8s.io", &["selfsubjectaccessreviews", "selfsubjectrulesreviews"])],
    });
    server.post(&format!("{RBAC}/clusterroles"), &basic).await.expect(201);
    let all = binding("basic", "ClusterRole", "basic");
    server.post(&format!("{RBAC}/clusterrolebindings"), &all).await.expect(201);
    let ask = async |verb: &str, namespace: &str| {
        let asked = json!({"verb": verb, "resource": "pods", "namespace": namespace});
        let review = json!({"spec": {"resourceAttributes": asked}});
        as_ann(&server, Method::POST, ACCESS, &review).await.expect(201)["status"].clone()
    };
    assert_eq!(
        ask("get", "default").await,
        json!({"allowed": true, "reason":
            "RBAC: allowed by RoleBinding \"reader/default\" of Role \"reader\" to User \"ann\""})
    );
    assert_eq!(ask("list", "default").await, json!({"allowed": false}));
    assert_eq!(ask("get", "other").await, json!({"allowed": false}));

    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let rules =
        as_ann(&server, Method::POST, path, &json!({"spec": {"namespace": "default"}})).await.expect(201);
    assert_eq!(rules["status"]["resourceRules"].as_array().unwrap().len(), 2);

    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let about = |user: &str| json!({"spec": {"user": user, "resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}});
    assert_eq!(server.post(path, &about("ann")).await.expect(201)["status"]["allowed"], true);
    assert_eq!(server.post(path, &about("bob")).await.expect(201)["status"]["allowed"], false);
    as_ann(&server, Method::POST, path, &about("ann")).await.expect(403);
    let local = "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews";
    assert_eq!(server.post(local, &about("ann")).await.expect(201)["status"]["allowed"], true);
    let other = "/apis/authorization.k8s.io/v1/namespaces/other/localsubjectaccessreviews";
    assert_eq!(
        server.post(other, &about("ann")).await.refusal(400, "BadRequest"),
        "spec.resourceAttributes.namespace must match namespace: other"
    );
    assert_eq!(
        server.post(path, &json!({"spec": {"user": "ann"}})).await.refusal(422, "Invalid"),
        "SubjectAccessReview.authorization.k8s.io \"\" is invalid: spec.resourceAttributes: Invalid value: null: \
         exactly one of nonResourceAttributes or resourceAttributes must be specified"
    );
}

#[tokio::test]
async fn to_act_as_somebody_is_a_right_of_its_own() {
    let server = Server::start().await;
    let whoami = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let to = [("Impersonate-User", "bob"), ("Impersonate-Group", "ops")];
    let refused = with_headers(&server, Method::POST, whoami, &json!({}), &to).await;
    assert_eq!(
        refused.refusal(403, "Forbidden"),
        "users \"bob\" is forbidden: User \"ann\" cannot impersonate resource \"users\" in API group \"\" at the cluster \
         scope"
    );
    let administrator = |headers: &[(&str, &str)]| {
        let mut request = Request::get(PODS).extension(Identity::user("admin", &["system:masters"]));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        server.send(request.body(Body::empty()).unwrap())
    };
    assert!(
        administrator(&[("Impersonate-User", "bob")])
            .await
            .refusal(403, "Forbidden")
            .contains("User \"bob\" cannot list")
    );
    administrator(&[("Impersonate-User", "bob"), ("Impersonate-Group", "system:masters")]).await.expect(200);
    administrator(&[("Impersonate-Group", "ops")]).await.expect(500);
}

#[tokio::test]
async fn pods_are_evicted() {
    let server = Server::start().await;
    server.post(PODS, &pod("p")).await.expect(201);
    let eviction =
        |name: &str| json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
    let path = format!("{PODS}/p/eviction");
    assert_eq!(
        server.post(&path, &eviction("other")).await.refusal(400, "BadRequest"),
        "name in URL does not match name in Eviction object"
    );
    server.post(&format!("{path}?dryRun=All"), &eviction("p")).await.expect(201);
    server.get(&format!("{PODS}/p")).await.expect(200);
    assert_eq!(server.post(&path, &eviction("p")).await.expect(201)["status"], "Success");
    server.get(&format!("{PODS}/p")).await.expect(404);
    server.post(&path, &eviction("p")).await.expect(404);
    assert_eq!(server.get(&path).await.code, 405);
}

#[tokio::test]
async fn services_and_leases_are_kept() {
    let server = Server::start().await;
    let path = "/api/v1/namespaces/default/services";
    let service =
        json!({"metadata": {"name": "web"}, "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}});
    let stored = server.post(path, &service).await.expect(201);
    assert_eq!(stored["spec"]["clusterIP"], "None");
    assert_eq!(stored["spec"]["ports"], json!([{"port": 80, "protocol": "TCP", "targetPort": 80}]));
    assert_eq!(stored["status"], json!({"loadBalancer": {}}));
    let table = server.get_as(path, TABLE).await.expect(200);
    assert_eq!(
        table["rows"][0]["cells"],
        json!(["web", "ClusterIP", "None", "<none>", "80/TCP", "0s", "a=b"])
    );
    // Who replaces it without its address does not mean to change that.
    server.put(&format!("{path}/web"), &service).await.expect(200);
    let node_port =
        json!({"metadata": {"name": "out"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}});
    let warned = server.post(path, &node_port).await;
    warned.expect(201);
    assert!(warned.warnings()[0].contains("NodePort opens no port here"), "{:?}", warned.warnings());

    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    let lease = json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "me", "leaseDurationSeconds": 15,
        "renewTime": "2026-11-23T02:00:00.123456Z"}});
    let mut stored = server.post(leases, &lease).await.expect(201);
    assert_eq!(stored["spec"]["renewTime"], "2026-11-23T02:00:00.123456Z");
    stored["spec"]["holderIdentity"] = json!("you");
    server.put(&format!("{leases}/l"), &stored).await.expect(200);
    // Two that were made from one state: the second comes too late.
    server.put(&format!("{leases}/l"), &stored).await.refusal(409, "Conflict");
}

#[tokio::test]
async fn every_request_is_told_of() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    server.api.use_audit_log(AuditLog::open(&path).unwrap());
    server.post(CONFIG_MAPS, &config_map("secretive", "do not tell")).await.expect(201);
    get(&server, &format!("{PODS}/p/log")).await.expect(403);
    // The lines are another thread's to write.
    let told = loop {
        let text = std::fs::read_to_string(&path).unwrap();
        if text.lines().count() == 2 && text.ends_with('\n') {
            break text;
        }
        tokio::task::yield_now().await;
    };
    assert!(!told.contains("do not tell"));
    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["kind"], &lines[0]["apiVersion"]), (&json!("Event"), &json!("audit.k8s.io/v1")));
    assert_eq!((&lines[0]["verb"], &lines[0]["responseStatus"]["code"]), (&json!("create"), &json!(201)));
    assert_eq!(lines[0]["user"]["username"], "kubernetes-admin");
    assert_eq!(lines[0]["objectRef"], json!({"resource": "configmaps", "namespace": "default"}));
    assert_eq!(lines[0]["requestReceivedTimestamp"], "2026-11-23T02:00:00.000000Z");
    assert_eq!(
        lines[1]["objectRef"],
        json!({"resource": "pods", "namespace": "default", "name": "p", "subresource": "log"})
    );
    assert_eq!(lines[1]["annotations"], json!({"authorization.k8s.io/decision": "forbid"}));
    assert_ne!(lines[0]["auditID"], lines[1]["auditID"]);
}
