//! Who may do what: roles and their bindings, evaluated as upstream does.
//!
//! Rules only ever allow. A user has the rules of all ClusterRoleBindings that name them, and within a namespace those of
//! its RoleBindings. Members of `system:masters` may do everything without any rule.

mod cover;
mod defaults;
mod escalation;

use k8s_openapi::api::rbac::v1::{PolicyRule, RoleRef, Subject};

use crate::{
    Kind, Snapshot,
    api::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
};

pub use cover::aggregate;
pub use defaults::{default_objects, refreshed};
pub use escalation::check_escalation;

/// The API group of roles and bindings.
pub const GROUP: &str = "rbac.authorization.k8s.io";
/// The group whose members may do everything.
pub const MASTERS: &str = "system:masters";
/// The group of everybody who is known.
pub const AUTHENTICATED: &str = "system:authenticated";
/// The group of everybody else.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
const ALL: &str = "*";

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The user's name.
    pub name: &'a str,
    /// The groups that the user is in.
    pub groups: &'a [String],
}

impl Asker<'_> {
    /// Whether rules do not matter for this user.
    pub fn may_do_everything(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Something with objects.
    Resource(ResourceAction<'a>),
    /// A path that names no resource: `/version`.
    Path {
        /// The method of the request in lower case.
        verb: &'a str,
        /// The path.
        path: &'a str,
    },
}

/// A verb for a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResourceAction<'a> {
    /// `get`, `list`, `watch`, `create`, …
    pub verb: &'a str,
    /// API group; empty for the core group.
    pub group: &'a str,
    /// The resource by its plural: `pods`.
    pub resource: &'a str,
    /// A part of it such as `log`; empty for the whole.
    pub subresource: &'a str,
    /// The object; empty for all.
    pub name: &'a str,
    /// The namespace; empty for all, and for resources without.
    pub namespace: &'a str,
}

impl Action<'_> {
    fn namespace(&self) -> &str {
        match self {
            Action::Resource(action) => action.namespace,
            Action::Path { .. } => "",
        }
    }

    /// What the user is told who may not, in upstream's words.
    pub fn refusal(&self, user: &str) -> String {
        match self {
            Action::Path { verb, path } => format!("User {user:?} cannot {verb} path {path:?}"),
            Action::Resource(action) => {
                let part = if action.subresource.is_empty() { "" } else { "/" };
                let resource = format!("{}{part}{}", action.resource, action.subresource);
                let place = match action.namespace {
                    "" => "at the cluster scope".to_owned(),
                    namespace => format!("in the namespace {namespace:?}"),
                };
                let (verb, group) = (action.verb, action.group);
                format!("User {user:?} cannot {verb} resource {resource:?} in API group {group:?} {place}")
            }
        }
    }
}

/// The answer to whether somebody may do something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is allowed.
    pub allowed: bool,
    /// By what; or which bindings name roles that are not there.
    pub reason: String,
}

/// Whether somebody may do something.
pub fn decide(snapshot: &Snapshot, asker: Asker<'_>, action: &Action<'_>) -> Decision {
    if asker.may_do_everything() {
        return Decision { allowed: true, reason: String::new() };
    }
    let mut missing = Vec::new();
    for granted in granted(snapshot, asker, action.namespace()) {
        match &granted.rules {
            Ok(rules) if rules.iter().any(|rule| allows(rule, action)) => {
                let reason = format!("RBAC: allowed by {}", granted.source);
                return Decision { allowed: true, reason };
            }
            Ok(_) => {}
            Err(why) => missing.push(why.clone()),
        }
    }
    let reason = match missing.as_slice() {
        [] => String::new(),
        [one] => format!("RBAC: {one}"),
        several => format!("RBAC: [{}]", several.join(", ")),
    };
    Decision { allowed: false, reason }
}

/// All rules that somebody has: everywhere, and in a namespace if one is named.
pub fn rules_of(snapshot: &Snapshot, asker: Asker<'_>, namespace: &str) -> Vec<PolicyRule> {
    let own = granted(snapshot, asker, namespace).filter_map(|granted| granted.rules.ok()).flatten();
    let mut rules = if asker.may_do_everything() { everything() } else { Vec::new() };
    for rule in own {
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    rules
}

/// The rules that allow everything.
fn everything() -> Vec<PolicyRule> {
    let all = || vec![ALL.to_owned()];
    vec![
        PolicyRule { api_groups: Some(all()), resources: Some(all()), verbs: all(), ..Default::default() },
        PolicyRule { non_resource_urls: Some(all()), verbs: all(), ..Default::default() },
    ]
}

/// What one binding gives.
struct Granted {
    /// The binding, the role and the subject, for people.
    source: String,
    /// The rules; or why there are none.
    rules: Result<Vec<PolicyRule>, String>,
}

fn granted<'a>(
    snapshot: &'a Snapshot,
    asker: Asker<'a>,
    namespace: &'a str,
) -> impl Iterator<Item = Granted> + 'a {
    let everywhere = snapshot.list(Kind::ClusterRoleBinding).filter_map(move |object| {
        let binding: ClusterRoleBinding = object.decode();
        let subject = subject_for(asker, binding.subjects.as_deref().unwrap_or_default(), "")?;
        let source = source("ClusterRoleBinding", object.name(), &binding.role_ref, subject, "");
        Some(Granted { source, rules: rules_of_role(snapshot, &binding.role_ref, "") })
    });
    let bindings = (!namespace.is_empty()).then(|| snapshot.list_namespace(Kind::RoleBinding, namespace));
    let here = bindings.into_iter().flatten().filter_map(move |object| {
        let binding: RoleBinding = object.decode();
        let subject = subject_for(asker, binding.subjects.as_deref().unwrap_or_default(), namespace)?;
        let name = format!("{}/{namespace}", object.name());
        let source = source("RoleBinding", &name, &binding.role_ref, subject, namespace);
        Some(Granted { source, rules: rules_of_role(snapshot, &binding.role_ref, namespace) })
    });
    everywhere.chain(here)
}

fn source(kind: &str, name: &str, role: &RoleRef, subject: &Subject, namespace: &str) -> String {
    let of = match subject.kind.as_str() {
        "ServiceAccount" => {
            let own = subject.namespace.as_deref().filter(|own| !own.is_empty()).unwrap_or(namespace);
            format!("{}/{own}", subject.name)
        }
        _ => subject.name.clone(),
    };
    format!("{kind} {name:?} of {} {:?} to {} {of:?}", role.kind, role.name, subject.kind)
}

/// The first of the subjects that is, or holds, the user.
fn subject_for<'s>(asker: Asker<'_>, subjects: &'s [Subject], namespace: &str) -> Option<&'s Subject> {
    subjects.iter().find(|subject| match subject.kind.as_str() {
        "User" => asker.name == subject.name,
        "Group" => asker.groups.contains(&subject.name),
        "ServiceAccount" => {
            let own = subject.namespace.as_deref().filter(|own| !own.is_empty()).unwrap_or(namespace);
            !own.is_empty()
                && asker.name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'))
                    == Some((own, subject.name.as_str()))
        }
        _ => false,
    })
}

/// The rules of the role that a binding names; `namespace` is the binding's.
fn rules_of_role(snapshot: &Snapshot, role: &RoleRef, namespace: &str) -> Result<Vec<PolicyRule>, String> {
    let (resource, rules) = match role.kind.as_str() {
        "Role" => {
            let found: Option<Role> = snapshot.decode(namespace, &role.name);
            ("role", found.map(|role| role.rules))
        }
        "ClusterRole" => {
            let found: Option<ClusterRole> = snapshot.decode("", &role.name);
            ("clusterrole", found.map(|role| role.rules))
        }
        kind => return Err(format!("unsupported role reference kind: {kind:?}")),
    };
    match rules {
        Some(rules) => Ok(rules.unwrap_or_default()),
        None => Err(format!("{resource}.{GROUP} {:?} not found", role.name)),
    }
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == ALL || item == wanted)
}

/// Whether one rule allows something.
fn allows(rule: &PolicyRule, action: &Action<'_>) -> bool {
    match action {
        Action::Resource(action) => {
            let names = rule.resource_names.as_deref().unwrap_or_default();
            has(&rule.verbs, action.verb)
                && has(rule.api_groups.as_deref().unwrap_or_default(), action.group)
                && names_resource(rule.resources.as_deref().unwrap_or_default(), action)
                && (names.is_empty() || names.iter().any(|name| name == action.name))
        }
        Action::Path { verb, path } => {
            let matches = |url: &String| {
                url == ALL || url == path || url.ends_with('*') && path.starts_with(url.trim_end_matches('*'))
            };
            has(&rule.verbs, verb) && rule.non_resource_urls.iter().flatten().any(matches)
        }
    }
}

fn names_resource(resources: &[String], action: &ResourceAction<'_>) -> bool {
    resources.iter().any(|named| match (named.as_str(), action.subresource) {
        (ALL, _) => true,
        (named, "") => named == action.resource,
        (named, part) => named
            .split_once('/')
            .is_some_and(|(of, named)| named == part && (of == ALL || of == action.resource)),
    })
}

#[cfg(test)]
mod tests;
