//! Filters of system calls in the form of the OCI runtime specification, and of the profiles of Docker and Podman, which
//! say besides for whom a rule is.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::privileges;
use crate::spec::{Answer, CallCondition, CallRule, Comparison, SystemCalls};

/// How many arguments a system call has.
const ARGUMENTS: u32 = 6;
/// What a call fails with if a profile does not say (the runtimes' default).
const EPERM: u16 = 1;
/// This architecture as Go calls it, which the profiles follow.
const GO_ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

/// For whom a profile is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Container<'a> {
    /// The numbers of its capabilities.
    pub(crate) capabilities: &'a [u8],
    /// The kernel's version, as `uname` has it.
    pub(crate) kernel: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: String,
    default_errno_ret: Option<u16>,
    #[serde(default)]
    listener_path: String,
    syscalls: Option<Vec<Syscall>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Syscall {
    /// The older form.
    #[serde(default)]
    name: String,
    names: Option<Vec<String>>,
    action: String,
    errno_ret: Option<u16>,
    args: Option<Vec<Argument>>,
    #[serde(default)]
    includes: Filter,
    #[serde(default)]
    excludes: Filter,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u32,
    #[serde(default)]
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

/// For whom a rule is, or is not.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// Reads a profile as it is for a container: rules for other capabilities, architectures and kernels are left out.
///
/// # Errors
/// If it is no such profile, or asks for what the kernel does not do.
pub(crate) fn read(text: &[u8], container: Container<'_>) -> Result<SystemCalls, String> {
    let profile: Profile = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if !profile.listener_path.is_empty() {
        return Err("listenerPath is not supported: nobody would listen there".to_owned());
    }
    let otherwise = read_answer(&profile.default_action, profile.default_errno_ret)?;
    let mut rules = Vec::new();
    for syscall in profile.syscalls.unwrap_or_default() {
        let answer = read_answer(&syscall.action, syscall.errno_ret)?;
        let conditions: Vec<CallCondition> =
            syscall.args.iter().flatten().map(read_condition).collect::<Result<_, _>>()?;
        if !syscall.includes.holds(container)? || syscall.excludes.matches(container)? || answer == otherwise
        {
            continue;
        }
        let mut calls = syscall.names.unwrap_or_default();
        calls.extend(Some(syscall.name).filter(|name| !name.is_empty()));
        rules.extend(split(conditions).into_iter().map(|conditions| CallRule {
            calls: calls.clone(),
            answer,
            conditions,
        }));
    }
    Ok(SystemCalls { otherwise, rules })
}

/// Of conditions about the same argument one is enough; of those about different ones all must hold (runc's reading).
fn split(conditions: Vec<CallCondition>) -> Vec<Vec<CallCondition>> {
    let is_repeated = conditions
        .iter()
        .enumerate()
        .any(|(position, one)| conditions[..position].iter().any(|other| other.argument == one.argument));
    if is_repeated { conditions.into_iter().map(|one| vec![one]).collect() } else { vec![conditions] }
}

impl Filter {
    /// Whether a container is all of what is asked for.
    fn holds(&self, container: Container<'_>) -> Result<bool, String> {
        let kernel =
            self.min_kernel.as_deref().map(|least| is_at_least(container.kernel, least)).transpose()?;
        let caps = self.caps.iter().flatten().all(|name| has(container, name));
        let arches = self.arches.as_deref().is_none_or(|all| all.is_empty() || names_this(all));
        Ok(caps && arches && kernel != Some(false))
    }

    /// Whether it is any of it.
    fn matches(&self, container: Container<'_>) -> Result<bool, String> {
        let kernel =
            self.min_kernel.as_deref().map(|least| is_at_least(container.kernel, least)).transpose()?;
        let caps = self.caps.iter().flatten().any(|name| has(container, name));
        Ok(caps || self.arches.as_deref().is_some_and(names_this) || kernel == Some(true))
    }
}

fn names_this(arches: &[String]) -> bool {
    arches.iter().any(|name| name == GO_ARCHITECTURE)
}

fn has(container: Container<'_>, name: &str) -> bool {
    privileges::names(container.capabilities).iter().any(|known| known == name)
}

/// Whether a kernel's version, such as `6.1.0-13-amd64`, is not older than another, such as `4.8`.
fn is_at_least(kernel: &str, least: &str) -> Result<bool, String> {
    let parse = |text: &str| -> Option<(u32, u32)> {
        let mut parts = text.split('.');
        let major = parts.next()?.parse().ok()?;
        let digits: String = parts.next()?.chars().take_while(char::is_ascii_digit).collect();
        Some((major, digits.parse().ok()?))
    };
    let least_parts = parse(least).ok_or_else(|| format!("minKernel {least:?} is no version"))?;
    Ok(parse(kernel).is_none_or(|own| own >= least_parts))
}

fn read_answer(action: &str, errno: Option<u16>) -> Result<Answer, String> {
    Ok(match action {
        "SCMP_ACT_ALLOW" => Answer::Allow,
        "SCMP_ACT_LOG" => Answer::Log,
        "SCMP_ACT_ERRNO" => Answer::Errno(errno.unwrap_or(EPERM)),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Answer::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Answer::KillProcess,
        "SCMP_ACT_TRAP" => Answer::Trap,
        "SCMP_ACT_TRACE" => Answer::Trace(errno.unwrap_or(EPERM)),
        other => return Err(format!("action {other:?} is not supported")),
    })
}

fn read_condition(argument: &Argument) -> Result<CallCondition, String> {
    let Argument { index, value, value_two, op } = argument;
    if *index >= ARGUMENTS {
        return Err(format!("a system call has no argument {index}: they are numbered from 0 to 5"));
    }
    let (comparison, value) = match op.as_str() {
        "SCMP_CMP_EQ" => (Comparison::Equal, *value),
        "SCMP_CMP_NE" => (Comparison::NotEqual, *value),
        "SCMP_CMP_LT" => (Comparison::Less, *value),
        "SCMP_CMP_LE" => (Comparison::LessOrEqual, *value),
        "SCMP_CMP_GT" => (Comparison::Greater, *value),
        "SCMP_CMP_GE" => (Comparison::GreaterOrEqual, *value),
        "SCMP_CMP_MASKED_EQ" => (Comparison::MaskedEqual { mask: *value }, *value_two),
        other => return Err(format!("operator {other:?} is not supported")),
    };
    Ok(CallCondition { argument: u8::try_from(*index).unwrap_or(u8::MAX), comparison, value })
}

/// The architecture, as libseccomp calls it.
const ARCHITECTURE: &str =
    if cfg!(target_arch = "aarch64") { "SCMP_ARCH_AARCH64" } else { "SCMP_ARCH_X86_64" };

/// As `linux.seccomp` of a bundle has it.
pub(crate) fn write(all: &SystemCalls) -> Value {
    let (action, errno) = of_answer(all.otherwise);
    let mut written = json!({
        "defaultAction": action,
        "architectures": [ARCHITECTURE],
        "syscalls": all.rules.iter().map(rule).collect::<Vec<_>>(),
    });
    if let Some(errno) = errno {
        written["defaultErrnoRet"] = json!(errno);
    }
    written
}

fn rule(rule: &CallRule) -> Value {
    let (action, errno) = of_answer(rule.answer);
    let mut written = json!({
        "names": rule.calls,
        "action": action,
        "args": rule.conditions.iter().map(condition).collect::<Vec<_>>(),
    });
    if let Some(errno) = errno {
        written["errnoRet"] = json!(errno);
    }
    written
}

fn condition(condition: &CallCondition) -> Value {
    let CallCondition { argument, comparison, value } = *condition;
    let (op, value, value_two) = match comparison {
        Comparison::Equal => ("SCMP_CMP_EQ", value, 0),
        Comparison::NotEqual => ("SCMP_CMP_NE", value, 0),
        Comparison::Less => ("SCMP_CMP_LT", value, 0),
        Comparison::LessOrEqual => ("SCMP_CMP_LE", value, 0),
        Comparison::Greater => ("SCMP_CMP_GT", value, 0),
        Comparison::GreaterOrEqual => ("SCMP_CMP_GE", value, 0),
        Comparison::MaskedEqual { mask } => ("SCMP_CMP_MASKED_EQ", mask, value),
    };
    json!({ "index": argument, "op": op, "value": value, "valueTwo": value_two })
}

fn of_answer(answer: Answer) -> (&'static str, Option<u16>) {
    match answer {
        Answer::Allow => ("SCMP_ACT_ALLOW", None),
        Answer::Log => ("SCMP_ACT_LOG", None),
        Answer::Errno(number) => ("SCMP_ACT_ERRNO", Some(number)),
        Answer::KillProcess => ("SCMP_ACT_KILL_PROCESS", None),
        Answer::KillThread => ("SCMP_ACT_KILL_THREAD", None),
        Answer::Trap => ("SCMP_ACT_TRAP", None),
        Answer::Trace(number) => ("SCMP_ACT_TRACE", Some(number)),
    }
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "the values are written where they are passed")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONTAINER: Container<'static> = Container { capabilities: &[5], kernel: "6.1.0-13-amd64" };

    fn rules(syscalls: Value) -> Vec<CallRule> {
        let profile = json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": syscalls }).to_string();
        read(profile.as_bytes(), CONTAINER).unwrap().rules
    }

    fn names(syscalls: Value) -> Vec<String> {
        rules(syscalls).into_iter().flat_map(|rule| rule.calls).collect()
    }

    fn error(profile: Value) -> String {
        read(profile.to_string().as_bytes(), CONTAINER).unwrap_err()
    }

    #[test]
    fn rules_are_for_whom_they_say() {
        let allow = |name: &str, more: Value| {
            let mut rule = json!({ "names": [name], "action": "SCMP_ACT_ALLOW" });
            rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            rule
        };
        let found = names(json!([
            allow("a", json!({ "includes": { "caps": ["CAP_KILL"] } })),
            allow("b", json!({ "includes": { "caps": ["CAP_KILL", "CAP_SYS_ADMIN"] } })),
            allow("c", json!({ "excludes": { "caps": ["CAP_SYS_ADMIN"] } })),
            allow("d", json!({ "excludes": { "caps": ["CAP_KILL"] } })),
            allow("e", json!({ "includes": { "arches": [GO_ARCHITECTURE, "s390x"] } })),
            allow("f", json!({ "includes": { "arches": ["s390x"] } })),
            allow("g", json!({ "includes": { "minKernel": "4.8" } })),
            allow("h", json!({ "includes": { "minKernel": "6.2" } })),
            allow("i", json!({ "excludes": {}, "includes": {}, "args": null, "comment": "x" })),
            json!({ "name": "j", "action": "SCMP_ACT_ALLOW" }),
            json!({ "name": "k", "action": "SCMP_ACT_ERRNO" }),
        ]));
        assert_eq!(found, ["a", "c", "e", "g", "i", "j"]);
    }

    #[test]
    fn conditions_about_one_argument_are_alternatives() {
        let rule = |indexes: [u32; 2]| {
            let args = indexes.map(|index| json!({ "index": index, "value": 1, "op": "SCMP_CMP_EQ" }));
            rules(json!([{ "names": ["a"], "action": "SCMP_ACT_ALLOW", "args": args }])).len()
        };
        assert_eq!((rule([0, 1]), rule([1, 1])), (1, 2));
    }

    #[test]
    fn what_is_wrong_with_a_profile_is_told() {
        assert!(error(json!({})).contains("defaultAction"));
        assert_eq!(
            error(json!({ "defaultAction": "SCMP_ACT_FLY" })),
            "action \"SCMP_ACT_FLY\" is not supported"
        );
        let notify = json!([{ "names": ["a"], "action": "SCMP_ACT_NOTIFY" }]);
        let of = |syscalls: Value| error(json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": syscalls }));
        assert_eq!(of(notify), "action \"SCMP_ACT_NOTIFY\" is not supported");
        let with = |arg: Value| of(json!([{ "names": ["a"], "action": "SCMP_ACT_ERRNO", "args": [arg] }]));
        assert!(with(json!({ "index": 6, "op": "SCMP_CMP_EQ" })).contains("no argument 6"));
        assert!(with(json!({ "index": 0, "op": "~" })).contains("operator \"~\""));
        let old = json!([{ "names": ["a"], "action": "SCMP_ACT_ERRNO", "includes": { "minKernel": "new" } }]);
        assert_eq!(of(old), "minKernel \"new\" is no version");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let own = super::super::profile(&[5]);
        assert_eq!(read(write(&own).to_string().as_bytes(), CONTAINER), Ok(own));
    }

    proptest! {
        #[test]
        fn whatever_is_read_makes_a_filter_or_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes, CONTAINER).and_then(|all| super::super::compile(&all));
        }

        #[test]
        fn so_does_a_profile_that_was_damaged(at in 0usize..1 << 16, byte in any::<u8>()) {
            let mut text = write(&super::super::profile(&[5])).to_string().into_bytes();
            let at = at % text.len();
            text[at] = byte;
            let _ = read(&text, CONTAINER).and_then(|all| super::super::compile(&all));
        }
    }
}
