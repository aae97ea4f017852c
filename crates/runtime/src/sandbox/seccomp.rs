//! The system calls that a container may not make unless it has the capability for them.
//!
//! Denied is what the default profile of the common container runtimes leaves out: what loads code into the kernel,
//! what changes mounts and namespaces, what looks into other processes, and what is obsolete. Everything else is
//! allowed, so that the kernel need not run the filter for it (it remembers calls that are always allowed).

mod calls;
mod compile;
pub(crate) mod oci;

use libc::{c_long, sock_filter};

pub(super) use self::compile::compile;
use crate::spec::{Answer, CallCondition, CallRule, Comparison, SystemCalls};

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JUMP_GREATER_OR_EQUAL: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const JUMP_SET: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

const ALLOW: u32 = 0x7fff_0000; // SECCOMP_RET_ALLOW
const DENY: u32 = 0x0005_0000 | libc::EPERM.unsigned_abs(); // SECCOMP_RET_ERRNO
const UNKNOWN: u32 = 0x0005_0000 | libc::ENOSYS.unsigned_abs();

/// Where `struct seccomp_data` has the call, the architecture, and the lower half of the first argument, which the
/// others follow.
const CALL: u32 = 0;
const ARCHITECTURE: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;
const ARGUMENT_BYTES: u32 = 8;

#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xc000_003e; // AUDIT_ARCH_X86_64
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xc000_00b7; // AUDIT_ARCH_AARCH64

/// From here on, calls on `x86_64` are those of the x32 form, which would pass by every number below.
const X32: u32 = 0x4000_0000;

/// Namespaces that `clone` may not make: all but those of time.
const NEW_NAMESPACES: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWCGROUP;

/// The domain of sockets to other virtual machines and their host.
const AF_VSOCK: u32 = 40;

/// How many domains of sockets there are.
const DOMAINS: u32 = 46;

/// Execution domains that are harmless, and the question which one it is.
const PERSONALITIES: [u32; 5] = [0, 0x0008, 0x0002_0000, 0x0002_0008, 0xffff_ffff];

/// Calls that need a capability, with its number.
const WITH_CAPABILITY: &[(u8, &[c_long])] = &[
    (2, &[libc::SYS_open_by_handle_at]),
    (16, &[libc::SYS_init_module, libc::SYS_finit_module, libc::SYS_delete_module]),
    (
        19,
        &[libc::SYS_kcmp, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_process_madvise],
    ),
    (20, &[libc::SYS_acct]),
    (
        21,
        &[
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_pivot_root,
            libc::SYS_setns,
            libc::SYS_unshare,
            libc::SYS_fsopen,
            libc::SYS_fsconfig,
            libc::SYS_fsmount,
            libc::SYS_fspick,
            libc::SYS_move_mount,
            libc::SYS_open_tree,
            libc::SYS_mount_setattr,
            libc::SYS_quotactl,
            libc::SYS_quotactl_fd,
            libc::SYS_swapon,
            libc::SYS_swapoff,
            libc::SYS_fanotify_init,
            libc::SYS_lookup_dcookie,
        ],
    ),
    (22, &[libc::SYS_reboot, libc::SYS_kexec_load, libc::SYS_kexec_file_load]),
    (
        23,
        &[
            libc::SYS_mbind,
            libc::SYS_set_mempolicy,
            libc::SYS_get_mempolicy,
            libc::SYS_move_pages,
            libc::SYS_migrate_pages,
        ],
    ),
    (25, &[libc::SYS_settimeofday, libc::SYS_clock_settime, libc::SYS_clock_adjtime, libc::SYS_adjtimex]),
    (34, &[libc::SYS_syslog]),
    (38, &[libc::SYS_perf_event_open]),
    (39, &[libc::SYS_bpf]),
];

/// Calls that no container makes.
const NEVER: &[c_long] = &[
    libc::SYS_add_key,
    libc::SYS_keyctl,
    libc::SYS_request_key,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_nfsservctl,
    libc::SYS_vhangup,
];

#[cfg(target_arch = "x86_64")]
const NEVER_HERE: &[c_long] = &[
    libc::SYS_ioperm,
    libc::SYS_iopl,
    libc::SYS__sysctl,
    libc::SYS_sysfs,
    libc::SYS_uselib,
    libc::SYS_ustat,
];
#[cfg(target_arch = "aarch64")]
const NEVER_HERE: &[c_long] = &[];

const SYS_ADMIN: u8 = 21;

/// What a profile of the node's says for a container with these capabilities on a kernel of this version. Devices it cannot
/// let be made: no control group decides who may use them.
///
/// # Errors
/// If it is no profile, or the kernel could not run it.
pub(crate) fn of_profile(text: &[u8], capabilities: &[u8], kernel: &str) -> Result<SystemCalls, String> {
    let mut all = oci::read(text, oci::Container { capabilities, kernel })?;
    keep_devices_out(&mut all);
    compile(&all)?;
    Ok(all)
}

/// The filter for a container with these capabilities.
pub(super) fn filter(capabilities: &[u8]) -> Vec<sock_filter> {
    let has = |number: u8| capabilities.contains(&number);
    let mut program = Program::of_native_calls();
    let missing = WITH_CAPABILITY.iter().filter(|(number, _)| !has(*number)).flat_map(|(_, calls)| *calls);
    for call in missing.chain(NEVER).chain(NEVER_HERE) {
        program.deny(*call);
    }
    if !has(SYS_ADMIN) {
        // Its flags are in memory, where a filter cannot look. The C library falls back on `clone`.
        program.when_equal(number(libc::SYS_clone3), UNKNOWN);
        program.skip_unless(number(libc::SYS_clone), 4);
        program.load(FIRST_ARGUMENT);
        program.jump(JUMP_SET, NEW_NAMESPACES.unsigned_abs(), 0, 1);
        program.answer(DENY);
        program.answer(ALLOW);
    }
    program.skip_unless(number(libc::SYS_socket), 4);
    program.load(FIRST_ARGUMENT);
    program.when_equal(AF_VSOCK, DENY);
    program.answer(ALLOW);
    #[cfg(target_arch = "x86_64")]
    program.deny_devices(libc::SYS_mknod, 1);
    program.deny_devices(libc::SYS_mknodat, 2);
    let known = u8::try_from(PERSONALITIES.len()).unwrap_or(u8::MAX);
    program.skip_unless(number(libc::SYS_personality), known + 2);
    program.load(FIRST_ARGUMENT);
    for (position, personality) in (0..known).zip(PERSONALITIES) {
        program.jump(JUMP_EQUAL, personality, known - position, 0);
    }
    program.answer(DENY);
    program.answer(ALLOW);
    program.0
}

/// The same as a list of what is allowed, for runtimes that make a filter of their own from it.
pub(super) fn profile(capabilities: &[u8]) -> SystemCalls {
    let has = |number: u8| capabilities.contains(&number);
    let missing = WITH_CAPABILITY.iter().filter(|(number, _)| !has(*number)).flat_map(|(_, calls)| *calls);
    let mut special: Vec<c_long> = missing.chain(NEVER).chain(NEVER_HERE).copied().collect();
    let mut rules = Vec::new();
    let mut allow = |call: &str, all: &[(u8, Comparison, u64)]| {
        let conditions =
            all.iter().map(|&(argument, comparison, value)| CallCondition { argument, comparison, value });
        let (calls, answer) = (vec![call.to_owned()], Answer::Allow);
        rules.push(CallRule { calls, answer, conditions: conditions.collect() });
    };
    if !has(SYS_ADMIN) {
        let mask = NEW_NAMESPACES.unsigned_abs().into();
        allow("clone", &[(0, Comparison::MaskedEqual { mask }, 0)]);
        special.push(libc::SYS_clone);
    }
    // One by one: of a number with more than 32 bits, which is like none of them, the kernel takes the lower ones.
    for domain in (0..DOMAINS).filter(|domain| *domain != AF_VSOCK) {
        allow("socket", &[(0, Comparison::Equal, domain.into())]);
    }
    for personality in PERSONALITIES {
        allow("personality", &[(0, Comparison::Equal, personality.into())]);
    }
    special.extend([libc::SYS_socket, libc::SYS_personality, libc::SYS_mknodat]);
    special.extend(calls::number("mknod"));
    if !has(SYS_ADMIN) {
        let no_such_call = Answer::Errno(u16::try_from(libc::ENOSYS).unwrap_or(u16::MAX));
        let calls = vec!["clone3".to_owned()];
        rules.push(CallRule { calls, answer: no_such_call, conditions: Vec::new() });
        special.push(libc::SYS_clone3);
    }
    let others = calls::all().filter(|(_, number)| !special.contains(number));
    let calls = others.map(|(name, _)| name.to_owned()).collect();
    rules.push(CallRule { calls, answer: Answer::Allow, conditions: Vec::new() });
    rules.extend(MAKE_FILES.iter().flat_map(|&(call, mode)| files_that_may_be_made(call, mode)));
    SystemCalls { otherwise: NOT_PERMITTED, rules }
}

/// The calls that make files which may be devices, and the position of the argument that says which.
const MAKE_FILES: [(&str, u8); 2] = [("mknod", 1), ("mknodat", 2)];

const NOT_PERMITTED: Answer = Answer::Errno(1);

/// What may be made by such a call, and nothing else: see [`Program::deny_devices`].
fn files_that_may_be_made(call: &str, mode: u8) -> Vec<CallRule> {
    let is = |argument, comparison, value: u32| CallCondition { argument, comparison, value: value.into() };
    let kind = Comparison::MaskedEqual { mask: libc::S_IFMT.into() };
    let plain = [0, libc::S_IFREG, libc::S_IFIFO, libc::S_IFSOCK].map(|made| vec![is(mode, kind, made)]);
    let removed = vec![is(mode, kind, libc::S_IFCHR), is(mode + 1, Comparison::Equal, 0)];
    let rule = |conditions| CallRule { calls: vec![call.to_owned()], answer: Answer::Allow, conditions };
    plain.into_iter().chain([removed]).map(rule).collect()
}

/// Has somebody else's rules keep containers from making devices, as ours do.
fn keep_devices_out(all: &mut SystemCalls) {
    for (call, mode) in MAKE_FILES {
        let lets = |answer| matches!(answer, Answer::Allow | Answer::Log | Answer::Trace(_));
        let about = |rule: &CallRule| rule.calls.iter().any(|name| name == call);
        let is_allowed = match all.rules.iter().find(|rule| about(rule)) {
            Some(rule) => lets(rule.answer),
            None => lets(all.otherwise),
        };
        for rule in all.rules.iter_mut().filter(|rule| lets(rule.answer)) {
            rule.calls.retain(|name| name != call);
        }
        if is_allowed {
            all.rules.extend(files_that_may_be_made(call, mode));
        }
        if lets(all.otherwise) {
            let devices = [libc::S_IFBLK, libc::S_IFCHR].map(|kind| CallRule {
                calls: vec![call.to_owned()],
                answer: NOT_PERMITTED,
                conditions: vec![CallCondition {
                    argument: mode,
                    comparison: Comparison::MaskedEqual { mask: libc::S_IFMT.into() },
                    value: kind.into(),
                }],
            });
            all.rules.extend(devices);
        }
    }
}

fn number(call: c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}

/// Instructions, which jump forward only.
#[derive(Default)]
struct Program(Vec<sock_filter>);

impl Program {
    /// Begins with the number of a call of this architecture; all others are unknown.
    fn of_native_calls() -> Self {
        let mut program = Program::default();
        program.load(ARCHITECTURE);
        program.unless_equal(NATIVE, UNKNOWN);
        program.load(CALL);
        if cfg!(target_arch = "x86_64") {
            program.jump(JUMP_GREATER_OR_EQUAL, X32, 0, 1);
            program.answer(UNKNOWN);
        }
        program
    }

    fn load(&mut self, offset: u32) {
        self.0.push(sock_filter { code: LOAD, jt: 0, jf: 0, k: offset });
    }

    fn jump(&mut self, code: u16, value: u32, then: u8, otherwise: u8) {
        self.0.push(sock_filter { code, jt: then, jf: otherwise, k: value });
    }

    fn answer(&mut self, answer: u32) {
        self.0.push(sock_filter { code: RETURN, jt: 0, jf: 0, k: answer });
    }

    fn when_equal(&mut self, value: u32, answer: u32) {
        self.jump(JUMP_EQUAL, value, 0, 1);
        self.answer(answer);
    }

    fn unless_equal(&mut self, value: u32, answer: u32) {
        self.jump(JUMP_EQUAL, value, 1, 0);
        self.answer(answer);
    }

    fn deny(&mut self, call: c_long) {
        self.when_equal(number(call), DENY);
    }

    /// Denies a call that makes a file if it is to be a device, whatever the capabilities: no control group decides who
    /// may use it. A character device of number 0 is none, but what overlayfs marks removed files with. The mode is the
    /// argument of that position, and the device number comes after it.
    fn deny_devices(&mut self, call: c_long, mode: u32) {
        self.skip_unless(number(call), 9);
        self.load(FIRST_ARGUMENT + mode * ARGUMENT_BYTES);
        self.0.push(sock_filter { code: AND, jt: 0, jf: 0, k: libc::S_IFMT });
        self.jump(JUMP_EQUAL, libc::S_IFBLK, 4, 0);
        self.jump(JUMP_EQUAL, libc::S_IFCHR, 1, 0);
        self.answer(ALLOW);
        self.load(FIRST_ARGUMENT + (mode + 1) * ARGUMENT_BYTES);
        self.jump(JUMP_EQUAL, 0, 1, 0);
        self.answer(DENY);
        self.answer(ALLOW);
    }

    fn skip_unless(&mut self, value: u32, instructions: u8) {
        self.jump(JUMP_EQUAL, value, 0, instructions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would answer.
    fn run(filter: &[sock_filter], call: c_long, architecture: u32, argument: u32) -> u32 {
        run_with(filter, call, architecture, &[argument.into(); 6])
    }

    pub(super) fn run_with(
        filter: &[sock_filter],
        call: c_long,
        architecture: u32,
        arguments: &[u64],
    ) -> u32 {
        let (mut at, mut value) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = filter[at];
            let jump = |holds: bool| usize::from(if holds { jt } else { jf });
            at += 1;
            match code {
                LOAD if k == CALL => value = number(call),
                LOAD if k == ARCHITECTURE => value = architecture,
                LOAD => {
                    let offset = k - FIRST_ARGUMENT;
                    let argument = arguments[(offset / ARGUMENT_BYTES) as usize];
                    let half = argument >> (offset % ARGUMENT_BYTES * 8);
                    value = u32::try_from(half & u64::from(u32::MAX)).unwrap();
                }
                AND => value &= k,
                JUMP_EQUAL => at += jump(value == k),
                JUMP_GREATER_OR_EQUAL => at += jump(value >= k),
                JUMP_SET => at += jump(value & k != 0),
                0x25 => at += jump(value > k),
                0x05 => at += k as usize,
                _ => return k,
            }
        }
    }

    #[test]
    fn ordinary_calls_are_allowed_and_dangerous_ones_denied() {
        let filter = filter(&[]);
        let answer = |call| run(&filter, call, NATIVE, 0);
        assert_eq!(answer(libc::SYS_read), ALLOW);
        assert_eq!(answer(libc::SYS_execve), ALLOW);
        for denied in [libc::SYS_mount, libc::SYS_bpf, libc::SYS_keyctl, libc::SYS_setns, libc::SYS_reboot] {
            assert_eq!(answer(denied), DENY, "{denied}");
        }
        assert_eq!(answer(libc::SYS_clone3), UNKNOWN);
    }

    #[test]
    fn a_capability_allows_its_calls() {
        let filter = filter(&[SYS_ADMIN]);
        assert_eq!(run(&filter, libc::SYS_mount, NATIVE, 0), ALLOW);
        assert_eq!(run(&filter, libc::SYS_clone3, NATIVE, 0), ALLOW);
        assert_eq!(run(&filter, libc::SYS_bpf, NATIVE, 0), DENY);
    }

    #[test]
    fn arguments_are_looked_at() {
        let filter = filter(&[]);
        let answer = |call, argument| run(&filter, call, NATIVE, argument);
        assert_eq!(answer(libc::SYS_clone, libc::SIGCHLD.unsigned_abs()), ALLOW);
        assert_eq!(answer(libc::SYS_clone, libc::CLONE_NEWUSER.unsigned_abs()), DENY);
        assert_eq!(answer(libc::SYS_socket, 2), ALLOW);
        assert_eq!(answer(libc::SYS_socket, AF_VSOCK), DENY);
        assert_eq!(answer(libc::SYS_personality, 0xffff_ffff), ALLOW);
        assert_eq!(answer(libc::SYS_personality, 0x0040_0000), DENY);
    }

    #[test]
    fn devices_are_not_made() {
        let mknod = |mode: u32, device: u32| {
            run_with(&filter(&[27]), libc::SYS_mknodat, NATIVE, &[0, 0, (mode | 0o666).into(), device.into()])
        };
        assert_eq!(mknod(libc::S_IFBLK, 0x800), DENY);
        assert_eq!(mknod(libc::S_IFBLK, 0), DENY);
        assert_eq!(mknod(libc::S_IFCHR, 0x101), DENY);
        assert_eq!(mknod(libc::S_IFCHR, 0), ALLOW, "overlayfs marks a removed file so");
        assert_eq!(mknod(libc::S_IFIFO, 0x800), ALLOW);
        assert_eq!(mknod(0, 7), ALLOW, "a regular file");
        #[cfg(target_arch = "x86_64")]
        assert_eq!(
            run_with(&filter(&[27]), libc::SYS_mknod, NATIVE, &[0, libc::S_IFBLK.into(), 0x800]),
            DENY
        );
    }

    #[test]
    fn no_profile_lets_devices_be_made() {
        let rule =
            |call: &str, action: &str| serde_json::json!([{ "names": [call, "mknod"], "action": action }]);
        for (otherwise, syscalls, fifo) in [
            ("SCMP_ACT_ALLOW", serde_json::json!([]), ALLOW),
            ("SCMP_ACT_ERRNO", rule("mknodat", "SCMP_ACT_ALLOW"), ALLOW),
            ("SCMP_ACT_ERRNO", rule("read", "SCMP_ACT_ALLOW"), DENY),
            ("SCMP_ACT_ALLOW", rule("mknodat", "SCMP_ACT_ERRNO"), DENY),
        ] {
            let profile = serde_json::json!({ "defaultAction": otherwise, "syscalls": syscalls }).to_string();
            let filter = compile(&of_profile(profile.as_bytes(), &[27], "6.1").unwrap()).unwrap();
            let mknod = |mode: u32, device: u64| {
                run_with(&filter, libc::SYS_mknodat, NATIVE, &[0, 0, (mode | 0o666).into(), device])
            };
            assert_eq!(mknod(libc::S_IFBLK, 0x800), DENY, "{profile}");
            assert_eq!(mknod(libc::S_IFCHR, 0x101), DENY, "{profile}");
            assert_eq!(mknod(libc::S_IFIFO, 0), fifo, "{profile}");
        }
    }

    #[test]
    fn other_forms_of_calls_do_not_exist() {
        let filter = filter(&[]);
        let i386 = 0x4000_0003;
        assert_eq!(run(&filter, libc::SYS_read, i386, 0), UNKNOWN);
        if cfg!(target_arch = "x86_64") {
            assert_eq!(run(&filter, libc::SYS_mount | c_long::from(X32), NATIVE, 0), UNKNOWN);
        }
    }
}
