//! Nobody gives what they do not have: what is asked of writes of roles and bindings besides the right to write them.

use k8s_openapi::api::rbac::v1::{PolicyRule, RoleRef};

use super::{Action, Asker, GROUP, ResourceAction, cover, decide, everything, rules_of, rules_of_role};
use crate::{ApiError, Kind, Object, Snapshot, Typed, limits::RULE_COMBINATIONS_MAX, validate::equal};

/// Checks a write of a role or binding; `old` is absent for a new one. Other kinds are none of its business.
///
/// # Errors
/// 403 in upstream's words if the user would give rights that they do not have; 404 if the role that a binding names is
/// not there, so that nobody knows what it gives.
pub fn check_escalation(
    snapshot: &Snapshot,
    asker: Asker<'_>,
    old: Option<&Object>,
    new: &Typed,
) -> Result<(), ApiError> {
    let is_about_access = matches!(
        new,
        Typed::Role(_) | Typed::ClusterRole(_) | Typed::RoleBinding(_) | Typed::ClusterRoleBinding(_)
    );
    if !is_about_access || asker.may_do_everything() || old.is_some_and(|old| gives_the_same(old, new)) {
        return Ok(());
    }
    let write = Write { snapshot, asker, new };
    match new {
        Typed::Role(role) => write.of_role(role.rules.as_deref().unwrap_or_default()),
        Typed::ClusterRole(role) if role.aggregation_rule.is_some() => {
            write.of_role(role.rules.as_deref().unwrap_or_default())?;
            let owned = rules_of(snapshot, asker, "");
            let full = cover::missing(&owned, &everything()).is_empty();
            let why = "must have cluster-admin privileges to use the aggregationRule";
            if full { Ok(()) } else { Err(write.refused(why)) }
        }
        Typed::ClusterRole(role) => write.of_role(role.rules.as_deref().unwrap_or_default()),
        Typed::RoleBinding(binding) => write.of_binding(&binding.role_ref),
        Typed::ClusterRoleBinding(binding) => write.of_binding(&binding.role_ref),
        _ => Ok(()),
    }
}

/// Whether a write changes nothing but who owns the object and what holds it back.
fn gives_the_same(old: &Object, new: &Typed) -> bool {
    let bare = |mut object: Typed| {
        let metadata = object.metadata_mut();
        metadata.owner_references = None;
        metadata.finalizers = None;
        metadata.managed_fields = None;
        metadata.resource_version = None;
        with_typed!(object, object => serde_json::to_value(object.as_ref())).ok()
    };
    equal(&bare(old.typed()), &bare(new.clone()))
}

/// A write of a role or binding.
struct Write<'a> {
    snapshot: &'a Snapshot,
    asker: Asker<'a>,
    new: &'a Typed,
}

impl Write<'_> {
    fn kind(&self) -> Kind {
        self.new.kind()
    }

    fn namespace(&self) -> &str {
        self.new.metadata().namespace.as_deref().unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.new.metadata().name.as_deref().unwrap_or_default()
    }

    fn refused(&self, why: &str) -> ApiError {
        ApiError::forbidden(self.kind(), self.name(), why)
    }

    fn may(&self, verb: &str, resource: &str, name: &str) -> bool {
        let namespace = self.namespace();
        let action = ResourceAction { verb, group: GROUP, resource, subresource: "", name, namespace };
        decide(self.snapshot, self.asker, &Action::Resource(action)).allowed
    }

    fn of_role(&self, rules: &[PolicyRule]) -> Result<(), ApiError> {
        if self.may("escalate", self.kind().descriptor().plural, self.name()) {
            return Ok(());
        }
        self.has(rules)
    }

    fn of_binding(&self, role: &RoleRef) -> Result<(), ApiError> {
        let resource = if role.kind == "Role" { "roles" } else { "clusterroles" };
        if self.may("bind", resource, &role.name) {
            return Ok(());
        }
        let kind = if role.kind == "Role" { Kind::Role } else { Kind::ClusterRole };
        let rules = rules_of_role(self.snapshot, role, self.namespace());
        self.has(&rules.map_err(|_| ApiError::not_found(kind, &role.name))?)
    }

    fn has(&self, rules: &[PolicyRule]) -> Result<(), ApiError> {
        let combinations = cover::combinations(rules);
        if combinations > RULE_COMBINATIONS_MAX {
            return Err(self.refused(&format!(
                "its rules have {combinations} combinations of verb, group, resource and name, which are too many to be \
                 held against your own ({RULE_COMBINATIONS_MAX} at most): write several roles, or use \"*\""
            )));
        }
        let missing = cover::missing(&rules_of(self.snapshot, self.asker, self.namespace()), rules);
        if missing.is_empty() {
            return Ok(());
        }
        Err(self.refused(&format!(
            "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
            self.asker.name,
            cover::quoted(self.asker.groups),
            cover::describe(&missing).join("\n")
        )))
    }
}
