//! `spec.podFailurePolicy`: what the failure of a pod means for its Job.

use cronlet_object::api::{
    PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule,
};

use super::pod::{ContainerStatus, Pod, PodCondition};

/// The action of the first rule that matches a failed pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// The Job fails; the message says why.
    FailJob(String),
    /// The pod's index fails, whatever retries it has left.
    FailIndex,
    /// The failure is not counted.
    Ignore,
    /// The failure is counted, as without a policy.
    Count,
}

/// The action for a failed pod; none if no rule matches, which means to count it.
pub(super) fn action(policy: &PodFailurePolicy, pod: &Pod<'_>) -> Option<Action> {
    policy.rules.iter().enumerate().find_map(|(at, rule)| match rule.action.as_str() {
        "FailJob" => matched(rule, pod).map(|cause| Action::FailJob(message(&cause, pod, at))),
        "FailIndex" => matched(rule, pod).map(|_| Action::FailIndex),
        "Ignore" => matched(rule, pod).map(|_| Action::Ignore),
        "Count" => matched(rule, pod).map(|_| Action::Count),
        _ => None,
    })
}

/// Whether a failed pod counts towards the limits.
pub(super) fn counts(policy: Option<&PodFailurePolicy>, pod: &Pod<'_>) -> bool {
    policy.is_none_or(|policy| action(policy, pod) != Some(Action::Ignore))
}

/// What made a rule match.
enum Cause<'a> {
    ExitCode(&'a ContainerStatus, i32),
    Condition(&'a PodCondition),
}

fn message(cause: &Cause<'_>, pod: &Pod<'_>, rule: usize) -> String {
    let (namespace, name) = (pod.object.namespace(), pod.object.name());
    match cause {
        Cause::ExitCode(container, code) => format!(
            "Container {} for pod {namespace}/{name} failed with exit code {code} matching FailJob rule at index {rule}",
            container.name
        ),
        Cause::Condition(condition) => format!(
            "Pod {namespace}/{name} has condition {} matching FailJob rule at index {rule}",
            condition.type_
        ),
    }
}

fn matched<'a>(rule: &PodFailurePolicyRule, pod: &'a Pod<'_>) -> Option<Cause<'a>> {
    let status = &pod.view.status;
    if let Some(requirement) = &rule.on_exit_codes {
        let mut containers = status.container_statuses.iter().chain(&status.init_container_statuses);
        containers.find_map(|container| {
            let code = failed_with(container)?;
            matches_exit_code(requirement, container, code).then_some(Cause::ExitCode(container, code))
        })
    } else {
        let patterns = rule.on_pod_conditions.as_deref()?;
        let condition =
            status.conditions.iter().find(|c| patterns.iter().any(|p| matches_condition(p, c)))?;
        Some(Cause::Condition(condition))
    }
}

/// The exit code of a container that ended in failure. One that still runs has none, and 0 never matches a rule.
fn failed_with(container: &ContainerStatus) -> Option<i32> {
    container.terminated().map(|end| end.exit_code).filter(|code| *code != 0)
}

fn matches_exit_code(
    requirement: &PodFailurePolicyOnExitCodesRequirement,
    container: &ContainerStatus,
    code: i32,
) -> bool {
    let named = requirement.container_name.as_ref().is_none_or(|name| *name == container.name);
    let listed = requirement.values.contains(&code);
    named
        && match requirement.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            _ => false,
        }
}

fn matches_condition(pattern: &PodFailurePolicyOnPodConditionsPattern, condition: &PodCondition) -> bool {
    pattern.type_ == condition.type_ && pattern.status.as_deref().unwrap_or("True") == condition.status
}
