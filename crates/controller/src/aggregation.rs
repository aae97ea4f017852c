//! ClusterRoles that gather their rules from others, which their aggregation rules select by labels.

use cronlet_object::{Ids, Key, Kind, Snapshot, deletion::replace, rbac};

use crate::{Plan, View};

/// Looks at one ClusterRole: its rules become those of the roles that it selects.
pub fn reconcile(view: &View<'_>, key: &Key, _: &mut Ids) -> Plan {
    let mut plan = Plan::default();
    let Some(object) = view.snapshot.get(key).filter(|object| object.meta().deleted.is_none()) else {
        return plan;
    };
    if let Some(role) = rbac::aggregate(view.snapshot, object) {
        plan.transaction.writes.extend(replace(object, &role.into()));
    }
    plan
}

/// The roles to look at when one has changed: all that gather.
pub(crate) fn concerned(snapshot: &Snapshot) -> impl Iterator<Item = Key> {
    let roles = snapshot.list(Kind::ClusterRole);
    roles.filter(|role| role.json().contains("\"aggregationRule\"")).map(|role| role.key().clone())
}

#[cfg(test)]
mod tests {
    use cronlet_object::api::ClusterRole;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::World;

    fn role(name: &str, labels: &Value, verb: &str) -> Value {
        let rule = json!({"apiGroups": [""], "resources": ["pods"], "verbs": [verb]});
        json!({"metadata": {"name": name, "labels": labels}, "rules": [rule]})
    }

    fn verbs(world: &World, key: &Key) -> Vec<String> {
        let rules = world.decode::<ClusterRole>(key).rules.unwrap_or_default();
        rules.into_iter().flat_map(|rule| rule.verbs).collect()
    }

    #[test]
    fn roles_follow_those_that_they_select_also_through_others() {
        let mut world = World::new("2026-01-01T00:00:00Z");
        let gathers = |name: &str, from: &str, labels: Value| {
            json!({
                "metadata": {"name": name, "labels": labels},
                "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {from: "yes"}}]},
            })
        };
        let top = world.put_json::<ClusterRole>(gathers("a-top", "for-top", json!({})));
        let middle =
            world.put_json::<ClusterRole>(gathers("middle", "for-middle", json!({"for-top": "yes"})));
        world.put_json::<ClusterRole>(role("one", &json!({"for-middle": "yes"}), "get"));
        let two = world.put_json::<ClusterRole>(role("two", &json!({"for-middle": "yes"}), "list"));
        world.put_json::<ClusterRole>(role("other", &json!({}), "delete"));
        world.settle_all();
        assert_eq!(
            (verbs(&world, &middle), verbs(&world, &top)),
            (verbs_of("get list"), verbs_of("get list"))
        );
        world.remove(&two);
        assert_eq!((verbs(&world, &middle), verbs(&world, &top)), (verbs_of("get"), verbs_of("get")));
    }

    fn verbs_of(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }
}
