//! Makes a filter that the kernel runs out of what is said about system calls.

use std::collections::{BTreeMap, BTreeSet};

use libc::sock_filter;

use super::{
    ALLOW, AND, ARGUMENT_BYTES, FIRST_ARGUMENT, JUMP_EQUAL, JUMP_GREATER_OR_EQUAL, Program, calls, number,
};
use crate::spec::{Answer, CallCondition, CallRule, Comparison, SystemCalls};

const JUMP_GREATER: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA

/// How many instructions the kernel takes.
pub(super) const INSTRUCTIONS_MAX: usize = 4096;
/// The highest error number that a call can fail with.
const ERRNO_MAX: u16 = 4095;

/// The filter. Of a call with conditions the first rule holds whose conditions do; one without conditions holds whatever
/// others say (libseccomp's rule). Names of calls that this architecture does not have are passed over.
///
/// # Errors
/// If it is longer than the kernel takes.
pub(in crate::sandbox) fn compile(all: &SystemCalls) -> Result<Vec<sock_filter>, String> {
    let mut program = Program::of_native_calls();
    let otherwise = code(all.otherwise);
    for (call, rules) in by_call(all) {
        let plain = rules.iter().find(|rule| rule.conditions.is_empty());
        if let Some(rule) = plain {
            program.when_equal(call, code(rule.answer));
            continue;
        }
        let blocks: Vec<Vec<sock_filter>> = rules.iter().map(|rule| block(rule)).collect();
        let length = blocks.iter().map(Vec::len).sum::<usize>() + 1;
        program.jump(JUMP_EQUAL, call, 1, 0);
        program.0.push(sock_filter {
            code: JUMP,
            jt: 0,
            jf: 0,
            k: u32::try_from(length).unwrap_or(u32::MAX),
        });
        program.0.extend(blocks.into_iter().flatten());
        program.answer(otherwise);
    }
    program.answer(otherwise);
    let length = program.0.len();
    if length > INSTRUCTIONS_MAX {
        return Err(format!(
            "it makes a filter of {length} instructions, and the kernel takes {INSTRUCTIONS_MAX}"
        ));
    }
    Ok(program.0)
}

/// The rules about each call, in their order.
fn by_call(all: &SystemCalls) -> BTreeMap<u32, Vec<&CallRule>> {
    let numbers: BTreeMap<&str, u32> = calls::all().map(|(name, call)| (name, number(call))).collect();
    let mut found: BTreeMap<u32, Vec<&CallRule>> = BTreeMap::new();
    for rule in &all.rules {
        let calls: BTreeSet<u32> =
            rule.calls.iter().filter_map(|name| numbers.get(name.as_str()).copied()).collect();
        for call in calls {
            found.entry(call).or_default().push(rule);
        }
    }
    found
}

fn code(answer: Answer) -> u32 {
    match answer {
        Answer::Allow => ALLOW,
        Answer::Log => 0x7ffc_0000,
        Answer::Errno(number) => 0x0005_0000 | u32::from(number.min(ERRNO_MAX)),
        Answer::KillProcess => 0x8000_0000,
        Answer::KillThread => 0,
        Answer::Trap => 0x0003_0000,
        Answer::Trace(number) => 0x7ff0_0000 | u32::from(number),
    }
}

/// Where an instruction leads to if it is a jump.
#[derive(Clone, Copy)]
enum To {
    Next,
    /// To the next condition.
    Pass,
    /// To the next rule.
    Fail,
}

struct Step {
    code: u16,
    value: u32,
    to: Option<(To, To)>,
}

/// The answer, if all conditions hold; otherwise what comes after the block.
fn block(rule: &CallRule) -> Vec<sock_filter> {
    let conditions: Vec<Vec<Step>> = rule.conditions.iter().map(steps).collect();
    // With the answer at the end.
    let length = conditions.iter().map(Vec::len).sum::<usize>() + 1;
    let mut made: Vec<sock_filter> = Vec::with_capacity(length);
    for steps in conditions {
        let end = made.len() + steps.len();
        for step in steps {
            let after = made.len() + 1;
            let offset = |to| {
                let target = match to {
                    To::Next => after,
                    To::Pass => end,
                    To::Fail => length,
                };
                // Six conditions of seven steps each are the longest block.
                u8::try_from(target - after).unwrap_or(u8::MAX)
            };
            let (jt, jf) = step.to.map_or((0, 0), |(then, otherwise)| (offset(then), offset(otherwise)));
            made.push(sock_filter { code: step.code, jt, jf, k: step.value });
        }
    }
    let mut answer = Program(made);
    answer.answer(code(rule.answer));
    answer.0
}

/// The upper and the lower half of an argument are compared one after the other: a filter knows 32 bits.
fn steps(condition: &CallCondition) -> Vec<Step> {
    let CallCondition { argument, comparison, value } = *condition;
    let lower = FIRST_ARGUMENT + u32::from(argument) * ARGUMENT_BYTES;
    let (upper_value, lower_value) = halves(value);
    let load = |offset| Step { code: super::LOAD, value: offset, to: None };
    let and = |mask| Step { code: AND, value: mask, to: None };
    let jump = |code, value, then, otherwise| Step { code, value, to: Some((then, otherwise)) };
    // What holds if the upper half is greater, and if it is less; then how the lower one is compared.
    let ordered = |greater: To, less: To, code: u16, then: To, otherwise: To| {
        vec![
            load(lower + 4),
            jump(JUMP_GREATER, upper_value, greater, To::Next),
            jump(JUMP_EQUAL, upper_value, To::Next, less),
            load(lower),
            jump(code, lower_value, then, otherwise),
        ]
    };
    match comparison {
        Comparison::Equal => vec![
            load(lower + 4),
            jump(JUMP_EQUAL, upper_value, To::Next, To::Fail),
            load(lower),
            jump(JUMP_EQUAL, lower_value, To::Pass, To::Fail),
        ],
        Comparison::NotEqual => vec![
            load(lower + 4),
            jump(JUMP_EQUAL, upper_value, To::Next, To::Pass),
            load(lower),
            jump(JUMP_EQUAL, lower_value, To::Fail, To::Pass),
        ],
        Comparison::MaskedEqual { mask } => {
            let (upper_mask, lower_mask) = halves(mask);
            vec![
                load(lower + 4),
                and(upper_mask),
                jump(JUMP_EQUAL, upper_value, To::Next, To::Fail),
                load(lower),
                and(lower_mask),
                jump(JUMP_EQUAL, lower_value, To::Pass, To::Fail),
            ]
        }
        Comparison::Greater => ordered(To::Pass, To::Fail, JUMP_GREATER, To::Pass, To::Fail),
        Comparison::GreaterOrEqual => ordered(To::Pass, To::Fail, JUMP_GREATER_OR_EQUAL, To::Pass, To::Fail),
        Comparison::Less => ordered(To::Fail, To::Pass, JUMP_GREATER_OR_EQUAL, To::Fail, To::Pass),
        Comparison::LessOrEqual => ordered(To::Fail, To::Pass, JUMP_GREATER, To::Fail, To::Pass),
    }
}

fn halves(value: u64) -> (u32, u32) {
    let upper = u32::try_from(value >> 32).unwrap_or(u32::MAX);
    let lower = u32::try_from(value & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    (upper, lower)
}

#[cfg(test)]
mod tests {
    use libc::c_long;
    use proptest::prelude::*;

    use super::*;
    use crate::sandbox::seccomp::{NATIVE, tests::run_with};

    /// What the rules say, without a filter.
    fn said(all: &SystemCalls, call: c_long, arguments: &[u64; 6]) -> u32 {
        let holds = |condition: &CallCondition| {
            let (argument, value) = (arguments[usize::from(condition.argument)], condition.value);
            match condition.comparison {
                Comparison::Equal => argument == value,
                Comparison::NotEqual => argument != value,
                Comparison::Less => argument < value,
                Comparison::LessOrEqual => argument <= value,
                Comparison::Greater => argument > value,
                Comparison::GreaterOrEqual => argument >= value,
                Comparison::MaskedEqual { mask } => argument & mask == value,
            }
        };
        let about = |rule: &&CallRule| rule.calls.iter().any(|name| calls::number(name) == Some(call));
        let plain = all.rules.iter().filter(about).find(|rule| rule.conditions.is_empty());
        let found =
            plain.or_else(|| all.rules.iter().filter(about).find(|rule| rule.conditions.iter().all(holds)));
        code(found.map_or(all.otherwise, |rule| rule.answer))
    }

    fn value() -> impl Strategy<Value = u64> {
        prop_oneof![0u64..4, any::<u64>(), Just(1 << 32), Just((1 << 32) | 1), Just(u64::MAX)]
    }

    fn condition() -> impl Strategy<Value = CallCondition> {
        let comparison = prop_oneof![
            Just(Comparison::Equal),
            Just(Comparison::NotEqual),
            Just(Comparison::Less),
            Just(Comparison::LessOrEqual),
            Just(Comparison::Greater),
            Just(Comparison::GreaterOrEqual),
            value().prop_map(|mask| Comparison::MaskedEqual { mask }),
        ];
        (0u8..6, comparison, value()).prop_map(|(argument, comparison, value)| CallCondition {
            argument,
            comparison,
            value,
        })
    }

    fn answer() -> impl Strategy<Value = Answer> {
        prop_oneof![
            Just(Answer::Allow),
            Just(Answer::Log),
            (1u16..200).prop_map(Answer::Errno),
            Just(Answer::KillProcess),
            Just(Answer::Trap),
        ]
    }

    fn system_calls() -> impl Strategy<Value = SystemCalls> {
        let name = prop_oneof![Just("read"), Just("openat"), Just("socket"), Just("no_such_call")];
        let rule = (
            proptest::collection::vec(name.prop_map(str::to_owned), 1..3),
            answer(),
            proptest::collection::vec(condition(), 0..7),
        );
        let rule = rule.prop_map(|(calls, answer, conditions)| CallRule { calls, answer, conditions });
        (answer(), proptest::collection::vec(rule, 0..6))
            .prop_map(|(otherwise, rules)| SystemCalls { otherwise, rules })
    }

    proptest! {
        #[test]
        fn a_filter_does_what_the_rules_say(all in system_calls(), arguments in proptest::array::uniform6(value())) {
            let filter = compile(&all).unwrap();
            for call in [libc::SYS_read, libc::SYS_openat, libc::SYS_socket, libc::SYS_close] {
                prop_assert_eq!(run_with(&filter, call, NATIVE, &arguments), said(&all, call, &arguments));
            }
        }
    }

    #[test]
    fn our_own_rules_are_the_same_as_a_list_of_what_is_allowed() {
        const SPECIAL: [&str; 5] = ["clone", "socket", "personality", "mknod", "mknodat"];
        let flags = [0, 17, 1, 3, 5, 40, 8, 0x0002_0000, 0x1000_0000, 0x2000, 0x6000, 0x8000, 0xffff_ffff];
        for capabilities in [&[][..], &[21], &[27, 16, 19], &[38, 39, 21]] {
            let own = super::super::filter(capabilities);
            let listed = compile(&super::super::profile(capabilities)).unwrap();
            for (name, call) in calls::all() {
                let own_answer = |arguments: &[u64]| run_with(&own, call, NATIVE, arguments);
                let listed_answer = |arguments: &[u64]| run_with(&listed, call, NATIVE, arguments);
                if !SPECIAL.contains(&name) {
                    assert_eq!(own_answer(&[0; 6]), listed_answer(&[0; 6]), "{name} {capabilities:?}");
                    continue;
                }
                for (first, second) in flags.iter().flat_map(|first| flags.map(|second| (*first, second))) {
                    let arguments = [first, second, first, second, first, second];
                    // There are no such domains, and no such kinds of files.
                    let kind = |mode: u64| mode & u64::from(libc::S_IFMT);
                    let is_file = kind(first) != 0xf000 && kind(second) != 0xf000;
                    if name.starts_with("mknod") && !is_file {
                        continue;
                    }
                    if name != "socket" || first < super::super::DOMAINS.into() {
                        let answers = (own_answer(&arguments), listed_answer(&arguments));
                        assert_eq!(answers.0, answers.1, "{name} {arguments:x?} {capabilities:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_filter_is_not_longer_than_the_kernel_takes() {
        let conditions = vec![CallCondition { argument: 0, comparison: Comparison::Equal, value: 1 }; 6];
        let rule = CallRule { calls: vec!["read".to_owned()], answer: Answer::Allow, conditions };
        let all = SystemCalls { otherwise: Answer::Errno(1), rules: vec![rule; 200] };
        assert!(compile(&all).unwrap_err().contains("the kernel takes 4096"));
    }
}
