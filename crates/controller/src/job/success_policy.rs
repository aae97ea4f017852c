//! `spec.successPolicy`: which succeeded indexes suffice for the whole Job.

use cronlet_object::api::{SuccessPolicy, SuccessPolicyRule};

use super::indexes::Indexes;

/// The message that names the first rule which the succeeded indexes meet; none if they meet no rule.
pub(super) fn met(policy: &SuccessPolicy, completions: u32, succeeded: &Indexes) -> Option<String> {
    if succeeded.is_empty() {
        return None;
    }
    let at = policy.rules.iter().position(|rule| is_met(rule, completions, succeeded))?;
    Some(format!("Matched rules at index {at}"))
}

fn is_met(rule: &SuccessPolicyRule, completions: u32, succeeded: &Indexes) -> bool {
    let wanted = rule.succeeded_count.and_then(|count| usize::try_from(count).ok());
    let Some(text) = &rule.succeeded_indexes else {
        return wanted.is_some_and(|wanted| succeeded.len() >= wanted);
    };
    let listed = Indexes::parse(text, completions);
    let done = listed.overlap(succeeded);
    !listed.is_empty() && (done == listed.len() || wanted.is_some_and(|wanted| done >= wanted))
}
