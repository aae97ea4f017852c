//! Filters of system calls in the form of the OCI runtime specification.

use serde_json::{Value, json};

use crate::spec::{Answer, CallCondition, CallRule, Comparison, SystemCalls};

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
