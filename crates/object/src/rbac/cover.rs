//! Whether some rules include others, and the rules that a ClusterRole gathers from others.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::ALL;
use crate::{Kind, Object, Snapshot, api::ClusterRole, selector::Selector};

/// Those of `wanted`, taken apart to one verb of one resource each, that none of `owned` includes.
pub(super) fn missing(owned: &[PolicyRule], wanted: &[PolicyRule]) -> Vec<PolicyRule> {
    let parts = wanted.iter().flat_map(break_down);
    parts.filter(|part| !owned.iter().any(|rule| covers(rule, part))).collect()
}

fn list(list: &Option<Vec<String>>) -> &[String] {
    list.as_deref().unwrap_or_default()
}

fn one(text: &str) -> Option<Vec<String>> {
    Some(vec![text.to_owned()])
}

/// How many parts some rules have.
pub(super) fn combinations(rules: &[PolicyRule]) -> usize {
    let of_rule = |rule: &PolicyRule| {
        let named = list(&rule.resource_names).len().max(1);
        let resources = list(&rule.api_groups).len().saturating_mul(list(&rule.resources).len());
        let all = resources.saturating_mul(named).saturating_add(list(&rule.non_resource_urls).len());
        all.saturating_mul(rule.verbs.len())
    };
    rules.iter().map(of_rule).fold(0, usize::saturating_add)
}

fn break_down(rule: &PolicyRule) -> Vec<PolicyRule> {
    let mut parts = Vec::new();
    for verb in &rule.verbs {
        let verbs = || vec![verb.clone()];
        for group in list(&rule.api_groups) {
            for resource in list(&rule.resources) {
                let whole = PolicyRule {
                    api_groups: one(group),
                    resources: one(resource),
                    verbs: verbs(),
                    ..PolicyRule::default()
                };
                match list(&rule.resource_names) {
                    [] => parts.push(whole),
                    names => parts.extend(
                        names.iter().map(|name| PolicyRule { resource_names: one(name), ..whole.clone() }),
                    ),
                }
            }
        }
        let urls = list(&rule.non_resource_urls).iter();
        parts.extend(urls.map(|url| PolicyRule {
            non_resource_urls: one(url),
            verbs: verbs(),
            ..PolicyRule::default()
        }));
    }
    parts
}

/// Whether a rule includes a part, which has one element in each of its lists at most.
fn covers(rule: &PolicyRule, part: &PolicyRule) -> bool {
    let includes = |owned: &[String], wanted: &[String]| {
        owned.iter().any(|item| item == ALL) || wanted.iter().all(|item| owned.contains(item))
    };
    let resource = |wanted: &String| {
        let owned = list(&rule.resources);
        owned.iter().any(|item| item == ALL || item == wanted)
            || wanted.split_once('/').is_some_and(|(_, part)| owned.contains(&format!("*/{part}")))
    };
    let url = |wanted: &String| {
        let matches = |owned: &String| {
            owned == wanted || owned.ends_with('*') && wanted.starts_with(owned.trim_end_matches('*'))
        };
        list(&rule.non_resource_urls).iter().any(matches)
    };
    let names = list(&rule.resource_names);
    let wanted_names = list(&part.resource_names);
    includes(&rule.verbs, &part.verbs)
        && includes(list(&rule.api_groups), list(&part.api_groups))
        && list(&part.resources).iter().all(resource)
        && list(&part.non_resource_urls).iter().all(url)
        && (names.is_empty()
            || !wanted_names.is_empty() && wanted_names.iter().all(|name| names.contains(name)))
}

/// Rules as a message names them: what differs in the verb alone is one line, and lines are sorted.
pub(super) fn describe(rules: &[PolicyRule]) -> Vec<String> {
    let mut compact: Vec<PolicyRule> = Vec::new();
    for rule in rules {
        let is_simple = rule.resource_names.is_none() && rule.non_resource_urls.is_none();
        let same = |other: &PolicyRule| {
            other.resource_names.is_none()
                && (&other.api_groups, &other.resources) == (&rule.api_groups, &rule.resources)
        };
        match compact.iter().position(same).filter(|_| is_simple) {
            Some(at) => compact[at].verbs.extend(rule.verbs.clone()),
            None => compact.push(rule.clone()),
        }
    }
    let lines: BTreeSet<String> = compact.iter().map(line).collect();
    lines.into_iter().collect()
}

fn line(rule: &PolicyRule) -> String {
    let parts = [
        ("APIGroups", list(&rule.api_groups)),
        ("Resources", list(&rule.resources)),
        ("NonResourceURLs", list(&rule.non_resource_urls)),
        ("ResourceNames", list(&rule.resource_names)),
        ("Verbs", rule.verbs.as_slice()),
    ];
    let given = parts.iter().filter(|(_, items)| !items.is_empty());
    format!(
        "{{{}}}",
        given.map(|(name, items)| format!("{name}:{}", quoted(items))).collect::<Vec<_>>().join(", ")
    )
}

/// A list as Go prints it with `%q`.
pub(super) fn quoted(items: &[String]) -> String {
    format!("[{}]", items.iter().map(|item| format!("{item:?}")).collect::<Vec<_>>().join(" "))
}

/// What a ClusterRole with an aggregation rule becomes: the rules of all others that its selectors select, each once.
/// Nothing if it has none or nothing changes.
pub fn aggregate(snapshot: &Snapshot, object: &Object) -> Option<ClusterRole> {
    let role: ClusterRole = object.decode();
    let selectors = role.aggregation_rule.as_ref()?.cluster_role_selectors.as_deref().unwrap_or_default();
    let mut rules: Vec<PolicyRule> = Vec::new();
    for selector in selectors {
        let Ok(selector) = Selector::from_label_selector(Some(selector)) else { continue };
        let others = snapshot.list(Kind::ClusterRole).filter(|other| other.name() != object.name());
        for other in others.filter(|other| selector.matches(|key| other.meta().labels.get(key))) {
            for rule in other.decode::<ClusterRole>().rules.unwrap_or_default() {
                if !rules.contains(&rule) {
                    rules.push(rule);
                }
            }
        }
    }
    let differs = role.rules.as_deref().unwrap_or_default() != rules;
    differs.then_some(ClusterRole { rules: Some(rules), ..role })
}
