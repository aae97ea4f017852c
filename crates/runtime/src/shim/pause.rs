//! The process namespace that the containers of a pod share: `spec.shareProcessNamespace`.
//!
//! Its first process does nothing but to take the ends of those whom nobody waits for. It is none of the containers, so
//! that they can come and go; with it goes whatever is left in the namespace.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{
        Gid, PidfdFlags, Signal, Uid, chdir, getpid, pidfd_open, set_parent_process_death_signal, setsid,
    },
    thread::{
        CapabilitySet, CapabilitySets, LinkNameSpaceType, move_into_link_name_space, set_capabilities,
        set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
    },
};

use crate::{
    processes,
    sys::{self, Fork},
};

/// Who the first process is: nobody, so that no container takes it for its own.
const NOBODY: u32 = 65535;

/// The first process of a pod's process namespace.
#[derive(Debug)]
pub(super) struct Pause {
    /// As the shim sees it.
    pub(super) pid: i32,
    /// The namespace.
    shared: File,
    /// That of the shim.
    own: File,
}

impl Pause {
    /// Makes the namespace and its first process.
    ///
    /// # Errors
    /// If the kernel does not grant the namespace.
    pub(super) fn start() -> io::Result<Self> {
        let own = File::open("/proc/self/ns/pid")?;
        let shim = pidfd_open(getpid(), PidfdFlags::empty())?;
        let pid = match sys::fork_into(u64::from(libc::CLONE_NEWPID.unsigned_abs()))? {
            Fork::Parent(pid) => pid,
            Fork::Child => match become_nobody(shim.as_fd()) {
                Ok(()) => sys::reap_for_ever(),
                Err(_) => sys::exit_now(1),
            },
        };
        match File::open(format!("/proc/{pid}/ns/pid")) {
            Ok(shared) => Ok(Pause { pid, shared, own }),
            Err(error) => {
                Pause::end(pid);
                Err(error)
            }
        }
    }

    /// Forks into the namespace, and whatever else it is asked for. The shim itself is in its own before and after: what
    /// else it forks may do more than containers may, and is not for them to see.
    pub(super) fn fork_into(&self, namespaces: u64) -> io::Result<Fork> {
        let enter = |namespace: &File| {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::ProcessID))
        };
        enter(&self.shared)?;
        let forked = sys::fork_into(namespaces);
        if matches!(forked, Ok(Fork::Child)) {
            return forked;
        }
        if let Err(error) = enter(&self.own) {
            if let Ok(Fork::Parent(pid)) = forked {
                Pause::end(pid);
            }
            return Err(error.into());
        }
        forked
    }

    /// Ends the namespace with all that is in it. That is not waited for: the containers have ended.
    pub(super) fn stop(self) {
        processes::signal(self.pid, Signal::KILL);
    }

    fn end(pid: i32) {
        processes::signal(pid, Signal::KILL);
        let _ = sys::reap(pid);
    }
}

/// Lets go of all that a copy of the shim has, and may do.
fn become_nobody(shim: BorrowedFd<'_>) -> io::Result<()> {
    setsid()?;
    chdir("/")?;
    set_thread_groups(&[])?;
    let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    set_no_new_privs(true)?;
    // After the change of user, which would undo it.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have died before, and from here it cannot be seen.
    let mut fds = [PollFd::from_borrowed_fd(shim, PollFlags::IN)];
    if poll(&mut fds, Some(&Timespec::default()))? > 0 {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    sys::close_all();
    Ok(())
}
