//! Goes into a container that runs, and becomes a program there that may do what the container may and no more.

use std::{
    fs, io,
    os::{fd::BorrowedFd, unix::net::UnixStream},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{DumpableBehavior, Signal, chdir, set_dumpable_behavior, set_parent_process_death_signal},
    stdio::dup2_stderr,
    thread::{ThreadNameSpaceType, move_into_thread_name_spaces, set_no_new_privs},
};

use super::launch::{self, Failure};
use crate::{sandbox, spec::Container, sys};

/// Moves this process into the namespaces of a container, by its process: the ID, and a descriptor of it. Whether its
/// process namespace is another one: that is for the children of this process alone.
pub(super) fn join(pid: i32, process: BorrowedFd<'_>) -> io::Result<bool> {
    // What runs in the container must not get hold of this program's file through `/proc` (CVE-2019-5736). The program
    // that is executed can be looked into as usual.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let mut others = ThreadNameSpaceType::empty();
    for (name, kind) in [
        ("user", ThreadNameSpaceType::USER),
        ("mnt", ThreadNameSpaceType::MOUNT),
        ("pid", ThreadNameSpaceType::PROCESS_ID),
        ("ipc", ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION),
        ("uts", ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME),
        ("net", ThreadNameSpaceType::NETWORK),
    ] {
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{name}"));
        // To enter the one it is in is refused for some.
        others.set(kind, of(&pid.to_string())? != of("self")?);
    }
    // If it has ended, what was read may be another's.
    let mut fds = [PollFd::from_borrowed_fd(process, PollFlags::IN)];
    if poll(&mut fds, Some(&Timespec::default()))? > 0 {
        return Err(Errno::SRCH.into());
    }
    if !others.is_empty() {
        move_into_thread_name_spaces(process, others)?;
    }
    Ok(others.contains(ThreadNameSpaceType::PROCESS_ID))
}

/// Becomes a program, whose input and output are set but for its standard error. Returns only if that fails. Whoever
/// hears the report is who must outlive it.
pub(super) fn become_program(
    argv: &[String],
    container: &Container,
    stderr: BorrowedFd<'_>,
    report: &UnixStream,
) -> Failure {
    match prepare(container, stderr, report) {
        Ok(()) => Failure::NotStarted(launch::execute_program(argv, &container.env)),
        Err((step, error)) => Failure::NotStarted(format!("cannot {step}: {}", launch::words(&error))),
    }
}

fn prepare(
    container: &Container,
    stderr: BorrowedFd<'_>,
    report: &UnixStream,
) -> Result<(), (String, io::Error)> {
    let step = |step: &str| {
        let step = step.to_owned();
        move |error: Errno| (step, io::Error::from(error))
    };
    match (&container.root, &container.identity) {
        (Some(root), Some(identity)) => {
            sandbox::privileges::assume(identity, root, container.no_new_privileges)
                .map_err(|(step, error)| (step.to_owned(), error))?;
        }
        (_, identity) => {
            if let Some(identity) = identity {
                launch::assume(identity).map_err(|error| (format!("run as user {}", identity.uid), error))?;
            }
            if container.no_new_privileges {
                set_no_new_privs(true).map_err(step("give up new privileges"))?;
            }
        }
    }
    chdir(&container.cwd).map_err(step(&format!("enter workingDir {:?}", container.cwd)))?;
    // After the last change of user, which would undo it. Who waits for this process may have died before.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(step("follow its parent"))?;
    if launch::is_deaf(report) {
        sys::exit_now(1);
    }
    sys::reset_signals();
    sys::close_others_on_exec();
    // Last, so that a panic before is told where the shim's own would be.
    dup2_stderr(stderr).map_err(step("redirect the output"))
}
