use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::{ApiError, Draft, Object, Typed, document};

fn typed(manifest: &Value) -> Typed {
    let kind = Kind::ALL.iter().copied().find(|kind| kind.descriptor().kind == manifest["kind"]).unwrap();
    with_kind!(kind, T => document::decode::<T>(manifest).unwrap().object.into())
}

fn with(objects: impl IntoIterator<Item = Typed>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for object in objects {
        snapshot.insert(Arc::new(Draft::new(&object).seal(snapshot.revision() + 1)));
    }
    snapshot
}

/// The default roles, those that gather from others filled, and some more objects.
fn cluster(more: &[Value]) -> Snapshot {
    let mut snapshot = with(default_objects().into_iter().chain(more.iter().map(typed)));
    loop {
        let roles: Vec<_> = snapshot.list(Kind::ClusterRole).cloned().collect();
        let Some(fuller) = roles.iter().find_map(|role| aggregate(&snapshot, role)) else { return snapshot };
        let revision = snapshot.revision() + 1;
        snapshot.insert(Arc::new(Draft::of(&fuller).seal(revision)));
    }
}

fn binding(kind: &str, name: &str, namespace: &str, role: [&str; 2], subject: &Value) -> Value {
    let mut binding = json!({
        "kind": kind, "metadata": {"name": name},
        "roleRef": {"apiGroup": GROUP, "kind": role[0], "name": role[1]}, "subjects": [subject],
    });
    if !namespace.is_empty() {
        binding["metadata"]["namespace"] = json!(namespace);
    }
    binding
}

fn user(name: &str) -> Value {
    json!({"kind": "User", "apiGroup": GROUP, "name": name})
}

fn role(name: &str, namespace: &str, rules: &Value) -> Value {
    json!({"kind": "Role", "metadata": {"name": name, "namespace": namespace}, "rules": rules})
}

/// `verb group/resource/part name@namespace`, asked by a user of these groups.
fn may(
    snapshot: &Snapshot,
    name: &str,
    groups: &[&str],
    verb: &str,
    what: [&str; 3],
    place: [&str; 2],
) -> bool {
    let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
    let [group, resource, subresource] = what;
    let [name_asked, namespace] = place;
    let action = ResourceAction { verb, group, resource, subresource, name: name_asked, namespace };
    decide(snapshot, Asker { name, groups: &groups }, &Action::Resource(action)).allowed
}

const PODS: [&str; 3] = ["", "pods", ""];

#[test]
fn nobody_may_do_anything_without_a_rule_but_the_masters() {
    let snapshot = Snapshot::default();
    assert!(!may(&snapshot, "u", &[AUTHENTICATED], "list", PODS, ["", "a"]));
    assert!(may(&snapshot, "u", &[MASTERS], "list", PODS, ["", "a"]));
}

#[test]
fn bindings_hold_where_they_are() {
    let snapshot = cluster(&[
        binding("RoleBinding", "b", "a", ["ClusterRole", "view"], &user("ann")),
        binding(
            "ClusterRoleBinding",
            "c",
            "",
            ["ClusterRole", "edit"],
            &json!({"kind": "Group", "name": "ops"}),
        ),
    ]);
    let ann = |verb, what, place| may(&snapshot, "ann", &[], verb, what, place);
    assert!(ann("list", PODS, ["", "a"]) && ann("get", ["", "pods", "log"], ["p", "a"]));
    assert!(!ann("list", PODS, ["", "b"]) && !ann("list", PODS, ["", ""]));
    assert!(!ann("delete", PODS, ["p", "a"]), "who views changes nothing");
    assert!(!ann("get", ["", "secrets", ""], ["s", "a"]), "who views sees no secrets");
    let ops = |verb, what, place| may(&snapshot, "x", &["ops"], verb, what, place);
    assert!(
        ops("create", ["batch", "cronjobs", ""], ["", "b"]) && ops("get", ["", "secrets", ""], ["s", "b"])
    );
    assert!(ops("list", PODS, ["", ""]), "edit has the rules of view, everywhere");
    assert!(!ops("create", [GROUP, "rolebindings", ""], ["", "b"]));
    assert!(!ops("list", ["", "nodes", ""], ["", ""]));
}

#[test]
fn accounts_are_those_of_their_namespace() {
    let account = json!({"kind": "ServiceAccount", "name": "robot"});
    let snapshot = cluster(&[binding("RoleBinding", "b", "a", ["ClusterRole", "admin"], &account)]);
    let may = |name| may(&snapshot, name, &[], "create", [GROUP, "rolebindings", ""], ["", "a"]);
    assert!(may("system:serviceaccount:a:robot"));
    assert!(!may("system:serviceaccount:b:robot") && !may("robot"));
}

#[test]
fn rules_name_parts_and_objects() {
    let rules = json!([
        {"apiGroups": [""], "resources": ["*/log"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["one"], "verbs": ["get", "update"]},
        {"apiGroups": ["batch"], "resources": ["*"], "verbs": ["*"]},
    ]);
    let snapshot = with(
        [role("r", "a", &rules), binding("RoleBinding", "b", "a", ["Role", "r"], &user("u"))]
            .iter()
            .map(typed),
    );
    let may = |verb, what, name| may(&snapshot, "u", &[], verb, what, [name, "a"]);
    assert!(may("get", ["", "pods", "log"], "p") && !may("get", PODS, "p"));
    assert!(may("update", ["", "configmaps", ""], "one") && !may("update", ["", "configmaps", ""], "two"));
    assert!(!may("list", ["", "configmaps", ""], ""), "a rule for one does not allow all");
    assert!(
        may("deletecollection", ["batch", "jobs", ""], "") && may("patch", ["batch", "jobs", "status"], "j")
    );
}

#[test]
fn paths_have_rules_of_their_own() {
    let snapshot = cluster(&[]);
    let may = |groups: &[&str], path| {
        let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        decide(&snapshot, Asker { name: "u", groups: &groups }, &Action::Path { verb: "get", path }).allowed
    };
    assert!(may(&[AUTHENTICATED], "/apis/batch/v1") && may(&[AUTHENTICATED], "/openapi/v3"));
    assert!(!may(&[AUTHENTICATED], "/metrics") && !may(&[UNAUTHENTICATED], "/apis"));
    assert!(may(&[UNAUTHENTICATED], "/healthz"));
}

#[test]
fn the_answer_says_by_what_and_what_is_missing() {
    let snapshot = with(
        [
            binding("RoleBinding", "b", "a", ["Role", "gone"], &user("u")),
            binding("ClusterRoleBinding", "c", "", ["ClusterRole", "r"], &user("v")),
            json!({"kind": "ClusterRole", "metadata": {"name": "r"},
                "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}),
        ]
        .iter()
        .map(typed),
    );
    let action =
        ResourceAction { verb: "get", resource: "pods", namespace: "a", ..ResourceAction::default() };
    let decision = |name| decide(&snapshot, Asker { name, groups: &[] }, &Action::Resource(action));
    assert_eq!(decision("u").reason, "RBAC: role.rbac.authorization.k8s.io \"gone\" not found");
    let by = "RBAC: allowed by ClusterRoleBinding \"c\" of ClusterRole \"r\" to User \"v\"";
    assert_eq!((decision("v").allowed, decision("v").reason.as_str()), (true, by));
    let words = Action::Resource(ResourceAction { subresource: "log", ..action }).refusal("u");
    assert_eq!(words, "User \"u\" cannot get resource \"pods/log\" in API group \"\" in the namespace \"a\"");
}

#[test]
fn nobody_gives_what_they_do_not_have() {
    let bound = |role: &str| binding("RoleBinding", "mine", "a", ["ClusterRole", role], &user("ann"));
    let snapshot = cluster(&[bound("admin")]);
    let groups = [AUTHENTICATED.to_owned()];
    let ann = Asker { name: "ann", groups: &groups };
    let check = |old: Option<&Object>, new: Value| check_escalation(&snapshot, ann, old, &typed(&new));
    let refusal = |answer: Result<(), ApiError>| answer.unwrap_err().message().to_owned();

    check(None, binding("RoleBinding", "x", "a", ["ClusterRole", "edit"], &user("bob"))).unwrap();
    let all = binding("RoleBinding", "x", "a", ["ClusterRole", "cluster-admin"], &user("bob"));
    assert_eq!(
        refusal(check(None, all.clone())),
        "rolebindings.rbac.authorization.k8s.io \"x\" is forbidden: user \"ann\" (groups=[\"system:authenticated\"]) is \
         attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"*\"], Resources:[\"*\"], \
         Verbs:[\"*\"]}\n{NonResourceURLs:[\"*\"], Verbs:[\"*\"]}"
    );
    let rules = json!([{"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list"]}]);
    assert_eq!(
        refusal(check(None, role("r", "a", &rules))),
        "roles.rbac.authorization.k8s.io \"r\" is forbidden: user \"ann\" (groups=[\"system:authenticated\"]) is \
         attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"nodes\"], \
         Verbs:[\"get\" \"list\"]}"
    );
    let missing = binding("RoleBinding", "x", "a", ["Role", "gone"], &user("bob"));
    assert_eq!(check(None, missing).unwrap_err().code(), 404);

    // What is there already may get another owner.
    let stored = Draft::new(&typed(&all)).seal(9);
    let mut owned = all.clone();
    owned["metadata"]["finalizers"] = json!(["example.com/x"]);
    check(Some(&stored), owned).unwrap();
    let mut wider = all;
    wider["subjects"] = json!([user("bob"), user("eve")]);
    assert_eq!(check(Some(&stored), wider).unwrap_err().code(), 403);
}

#[test]
fn rules_with_very_many_combinations_are_not_compared() {
    let many: Vec<String> = (0..2_000).map(|number| format!("x{number}")).collect();
    let rules = json!([{"apiGroups": many, "resources": many, "verbs": many}]);
    let refused = check_escalation(
        &cluster(&[]),
        Asker { name: "ann", groups: &[] },
        None,
        &typed(&role("r", "a", &rules)),
    );
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), 403);
    assert!(refused.message().contains("8000000000 combinations"), "{}", refused.message());
}

#[test]
fn who_may_bind_or_escalate_needs_no_more() {
    let rules = json!([
        {"apiGroups": [GROUP], "resources": ["clusterroles"], "resourceNames": ["cluster-admin"], "verbs": ["bind"]},
        {"apiGroups": [GROUP], "resources": ["roles"], "verbs": ["escalate"]},
    ]);
    let snapshot =
        cluster(&[role("r", "a", &rules), binding("RoleBinding", "b", "a", ["Role", "r"], &user("ann"))]);
    let check =
        |new: Value| check_escalation(&snapshot, Asker { name: "ann", groups: &[] }, None, &typed(&new));
    check(binding("RoleBinding", "x", "a", ["ClusterRole", "cluster-admin"], &user("bob"))).unwrap();
    check(binding("RoleBinding", "x", "a", ["ClusterRole", "view"], &user("bob"))).unwrap_err();
    check(role("y", "a", &json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]))).unwrap();
    let gathers = json!({
        "kind": "ClusterRole", "metadata": {"name": "z"},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]},
    });
    assert_eq!(
        check(gathers).unwrap_err().message(),
        "clusterroles.rbac.authorization.k8s.io \"z\" is forbidden: must have cluster-admin privileges to use the \
         aggregationRule"
    );
}

#[test]
fn roles_are_gathered_by_label() {
    let more = json!({
        "kind": "ClusterRole",
        "metadata": {"name": "more", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
        "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}],
    });
    let snapshot = cluster(&[more]);
    let rules = |name: &str| snapshot.decode::<ClusterRole>("", name).unwrap().rules.unwrap();
    let lists_nodes = |name: &str| {
        rules(name).iter().any(|rule| rule.resources.as_deref() == Some(&["nodes".to_owned()][..]))
    };
    assert!(lists_nodes("view") && lists_nodes("edit") && lists_nodes("admin"));
    assert!(rules("admin").len() > rules("edit").len() && rules("edit").len() > rules("view").len());
    let settled = snapshot.get(&crate::Key::new(Kind::ClusterRole, "", "admin")).unwrap();
    assert_eq!(aggregate(&snapshot, settled), None, "nothing is written twice");
}
