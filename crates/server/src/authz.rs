//! Who may send a request: what its path asks for, as rules name it, and whether the sender has a rule for it.

use std::{borrow::Cow, sync::Arc};

use cronlet_object::{
    ApiError, Key,
    rbac::{self, Action, Asker, ResourceAction},
};
use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;

use crate::{api::Shared, authn::User, query::Query};

/// Parts of a namespace that have paths of their own; everything else below one is in it.
const NAMESPACE_PARTS: [&str; 2] = ["status", "finalize"];
/// Parts of pods that a program or a port is reached by. Whoever comes by GET needs to be allowed to create them, too.
const ENTRANCES: [&str; 3] = ["attach", "exec", "portforward"];
/// Headers by which somebody acts as somebody else begin with this.
const IMPERSONATE: &str = "impersonate-";
const EXTRA: &str = "impersonate-extra-";
/// The user whom nobody is.
const ANONYMOUS: &str = "system:anonymous";
const ACCOUNT: &str = "system:serviceaccount:";

/// Checks that a request may be made by its sender.
///
/// # Errors
/// 403 in upstream's words.
pub(crate) fn check(
    api: &Shared,
    user: &User,
    method: &Method,
    path: &str,
    query: &Query,
) -> Result<(), ApiError> {
    if user.asker().may_do_everything() {
        return Ok(());
    }
    with_action(method, path, query, |action| check_action(api, user, &action))
}

/// What a request asks for, by its path alone.
pub(crate) fn with_action<T>(
    method: &Method,
    path: &str,
    query: &Query,
    use_it: impl FnOnce(Action<'_>) -> T,
) -> T {
    let segments: Vec<Cow<'_, str>> = path
        .trim_matches('/')
        .split('/')
        .map(|segment| percent_decode_str(segment).decode_utf8_lossy())
        .collect();
    let selected = name_of_selector(query);
    use_it(action_of(&segments, method, path, query, &selected))
}

fn check_action(api: &Shared, user: &User, action: &Action<'_>) -> Result<(), ApiError> {
    permit(api, user, action)?;
    match *action {
        Action::Resource(action) if action.verb == "get" && ENTRANCES.contains(&action.subresource) => {
            permit(api, user, &Action::Resource(ResourceAction { verb: "create", ..action }))
        }
        _ => Ok(()),
    }
}

/// Checks that somebody may create an object: asked where the request itself is for something else.
///
/// # Errors
/// As [`check`].
pub(crate) fn permit_create(api: &Shared, user: &User, key: &Key) -> Result<(), ApiError> {
    let d = key.kind.descriptor();
    let action = ResourceAction {
        verb: "create",
        group: d.group,
        resource: d.plural,
        subresource: "",
        name: &key.name,
        namespace: &key.namespace,
    };
    permit(api, user, &Action::Resource(action))
}

fn permit(api: &Shared, user: &User, action: &Action<'_>) -> Result<(), ApiError> {
    let decision = rbac::decide(&api.store.snapshot(), user.asker(), action);
    if decision.allowed {
        return Ok(());
    }
    let mut why = action.refusal(&user.name);
    if !decision.reason.is_empty() {
        why = format!("{why}: {}", decision.reason);
    }
    let (group, resource, name) = match action {
        Action::Resource(action) => (action.group, action.resource, action.name),
        Action::Path { .. } => ("", "", ""),
    };
    Err(ApiError::forbidden_as(group, resource, name, &why))
}

/// What a request asks for, by its path alone: also of what is not served, so that nobody learns what is.
fn action_of<'a>(
    segments: &'a [Cow<'_, str>],
    method: &Method,
    path: &'a str,
    query: &Query,
    selected: &'a str,
) -> Action<'a> {
    let texts: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    let (group, rest) = match texts.as_slice() {
        ["api", _version, rest @ ..] if !rest.is_empty() => ("", rest.to_vec()),
        ["apis", group, _version, rest @ ..] if !rest.is_empty() => (*group, rest.to_vec()),
        _ => return Action::Path { verb: path_verb(method), path },
    };
    let (namespace, rest) = match rest.as_slice() {
        ["namespaces", namespace, inner, ..] if !NAMESPACE_PARTS.contains(inner) => {
            (*namespace, rest[2..].to_vec())
        }
        ["namespaces", namespace, ..] => (*namespace, rest.clone()),
        _ => ("", rest.clone()),
    };
    let at = |index: usize| rest.get(index).copied().unwrap_or_default();
    let (resource, mut name, subresource) = (at(0), at(1), at(2));
    let verb = verb(method, name.is_empty(), query.flag("watch"));
    if name.is_empty() && matches!(verb, "list" | "watch" | "deletecollection") {
        name = selected;
    }
    Action::Resource(ResourceAction { verb, group, resource, subresource, name, namespace })
}

fn verb(method: &Method, all: bool, watch: bool) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if all => "deletecollection",
        Method::DELETE => "delete",
        Method::GET | Method::HEAD if !all => "get",
        Method::GET | Method::HEAD if watch => "watch",
        Method::GET | Method::HEAD => "list",
        _ => "",
    }
}

fn path_verb(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        Method::HEAD => "head",
        Method::OPTIONS => "options",
        _ => "",
    }
}

/// The name that a field selector asks for: a rule for one name is enough for a list of one.
fn name_of_selector(query: &Query) -> String {
    let selector = query.text("fieldSelector").unwrap_or_default();
    let name = selector.split(',').find_map(|term| term.trim().strip_prefix("metadata.name="));
    name.map(|name| name.trim_start_matches('=').to_owned()).unwrap_or_default()
}

/// Who a request is for: its sender, or whom the sender acts as (`kubectl --as`).
///
/// # Errors
/// 403 if the sender may not act as that; 500, as upstream, for groups of nobody.
pub(crate) fn acting_as(api: &Shared, user: Arc<User>, headers: &HeaderMap) -> Result<Arc<User>, ApiError> {
    if !headers.keys().any(|name| name.as_str().starts_with(IMPERSONATE)) {
        return Ok(user);
    }
    let all = |name: &str| -> Vec<String> {
        headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(str::to_owned).collect()
    };
    let name = all("impersonate-user").into_iter().next().unwrap_or_default();
    let mut groups = all("impersonate-group");
    if name.is_empty() {
        return Err(ApiError::internal(
            "Internal Server Error: requested impersonation of groups, a UID or extras without impersonating a user",
        ));
    }
    let permit = |group: &str, resource: &str, subresource: &str, name: &str, namespace: &str| {
        let action = ResourceAction { verb: "impersonate", group, resource, subresource, name, namespace };
        permit(api, &user, &Action::Resource(action))
    };
    let account = name.strip_prefix(ACCOUNT).and_then(|rest| rest.split_once(':'));
    match account {
        Some((namespace, account)) => permit("", "serviceaccounts", "", account, namespace)?,
        None => permit("", "users", "", &name, "")?,
    }
    for group in &groups {
        permit("", "groups", "", group, "")?;
    }
    for uid in all("impersonate-uid") {
        permit("authentication.k8s.io", "uids", "", &uid, "")?;
    }
    for header in headers.keys().filter(|header| header.as_str().starts_with(EXTRA)) {
        for value in all(header.as_str()) {
            permit("authentication.k8s.io", "userextras", &header.as_str()[EXTRA.len()..], &value, "")?;
        }
    }
    if let Some((namespace, _)) = account.filter(|_| groups.is_empty()) {
        groups.extend(User::account_groups(namespace));
    }
    let everybody = if name == ANONYMOUS { rbac::UNAUTHENTICATED } else { rbac::AUTHENTICATED };
    if !groups.iter().any(|group| [rbac::AUTHENTICATED, rbac::UNAUTHENTICATED].contains(&group.as_str())) {
        groups.push(everybody.to_owned());
    }
    Ok(Arc::new(User { name, uid: String::new(), groups, extra: Vec::new() }))
}

impl User {
    /// The user as rules know them.
    pub(crate) fn asker(&self) -> Asker<'_> {
        Asker { name: &self.name, groups: &self.groups }
    }

    /// The groups that the service accounts of a namespace are in.
    pub(crate) fn account_groups(namespace: &str) -> [String; 2] {
        ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &Method, path: &str, query: &str) -> String {
        let segments: Vec<Cow<'_, str>> = path.trim_matches('/').split('/').map(Cow::from).collect();
        let query = Query::parse(query);
        let selected = name_of_selector(&query);
        let action = action_of(&segments, method, path, &query, &selected);
        let name = match action {
            Action::Resource(action) => action.name,
            Action::Path { .. } => "",
        };
        format!("{} | {name}", action.refusal("u"))
    }

    #[test]
    fn paths_are_read_as_upstream_does() {
        let expected = [
            (
                Method::GET,
                "/api/v1/namespaces/a/pods",
                "",
                "list resource \"pods\" in API group \"\" in the namespace \"a\" | ",
            ),
            (
                Method::GET,
                "/api/v1/namespaces/a/pods/p/log",
                "",
                "get resource \"pods/log\" in API group \"\" in the namespace \"a\" | p",
            ),
            (
                Method::DELETE,
                "/apis/batch/v1/namespaces/a/jobs",
                "",
                "deletecollection resource \"jobs\" in API group \"batch\" in the namespace \"a\" | ",
            ),
            (
                Method::GET,
                "/apis/batch/v1/jobs",
                "watch=1",
                "watch resource \"jobs\" in API group \"batch\" at the cluster scope | ",
            ),
            (
                Method::GET,
                "/api/v1/namespaces/a",
                "",
                "get resource \"namespaces\" in API group \"\" in the namespace \"a\" | a",
            ),
            (
                Method::PUT,
                "/api/v1/namespaces/a/status",
                "",
                "update resource \"namespaces/status\" in API group \"\" in the namespace \"a\" | a",
            ),
            (
                Method::GET,
                "/api/v1/namespaces",
                "",
                "list resource \"namespaces\" in API group \"\" at the cluster scope | ",
            ),
            (
                Method::GET,
                "/api/v1/pods",
                "fieldSelector=metadata.name%3Dx",
                "list resource \"pods\" in API group \"\" at the cluster scope | x",
            ),
            (
                Method::GET,
                "/apis/nobody.example/v1/things/t",
                "",
                "get resource \"things\" in API group \"nobody.example\" at the cluster scope | t",
            ),
            (Method::GET, "/apis/batch/v1", "", "get path \"/apis/batch/v1\" | "),
            (Method::POST, "/metrics", "", "post path \"/metrics\" | "),
        ];
        for (method, path, query, words) in expected {
            assert_eq!(of(&method, path, query), format!("User \"u\" cannot {words}"));
        }
    }
}
