//! The system calls that have no safe form: everything unsafe in cronlet is in this file.
//!
//! Each function is safe to call as long as the process has one thread, which is true of every shim from its first
//! statement to its last, or says what else it needs.

#![allow(unsafe_code)]

use std::{
    ffi::{CString, c_char, c_int},
    io,
    mem::MaybeUninit,
    ops::Range,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
};

use rustix::{
    mm::{Advice, madvise},
    thread::{UnshareFlags, unshare_unsafe},
};
use tokio::io::unix::AsyncFd;

/// One of the two processes that a fork made of one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fork {
    /// The new process.
    Child,
    /// The one that forked, with the process ID of the new one.
    Parent(i32),
}

/// Makes a copy of this process. It has one thread, so the copy may do whatever the original may.
pub(crate) fn fork() -> io::Result<Fork> {
    // SAFETY: no other thread exists that could hold a lock which the child would wait for.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(pid)),
    }
}

/// Makes a copy of this process in namespaces of its own, named by `CLONE_NEW*`. As [`fork`] otherwise.
pub(crate) fn fork_into(namespaces: u64) -> io::Result<Fork> {
    // SAFETY: every field is a number, and zero means that it is not used.
    let mut arguments: libc::clone_args = unsafe { MaybeUninit::zeroed().assume_init() };
    arguments.flags = namespaces;
    arguments.exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
    // SAFETY: as with `fork`: without `CLONE_VM` the child has memory of its own, a copy of that of the one thread there
    // is, and returns on a copy of its stack. The C library keeps nothing about a process that would be wrong in it.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<libc::clone_args>()) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(i32::try_from(pid).expect("process IDs are small"))),
    }
}

/// Executes a program in place of this one. Returns only if that failed, with the reason.
pub(crate) fn execve(path: &CString, argv: &[CString], env: &[CString]) -> io::Error {
    let pointers = |strings: &[CString]| -> Vec<*const c_char> {
        strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect()
    };
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: the strings outlive the call, and both arrays end with a null pointer.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// Sends a signal to a process by the signal's number. [`rustix`] names none of the real-time signals, which images may
/// ask for.
pub(crate) fn kill(pid: i32, signal: c_int) -> io::Result<()> {
    // SAFETY: a signal has no preconditions; what it does to the other process is not this one's concern.
    if unsafe { libc::kill(pid, signal) } == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Ends this process at once, without running anything that was registered to run at its end.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(code) }
}

/// A child that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Exit code, if it exited.
    pub(crate) code: Option<i32>,
    /// The signal that ended it, if one did.
    pub(crate) signal: Option<i32>,
    /// CPU time in user mode of it and of the children it waited for, in microseconds.
    pub(crate) user_micros: u64,
    /// The same in the kernel.
    pub(crate) system_micros: u64,
    /// Its largest resident memory, or that of a child it waited for, in bytes.
    pub(crate) memory_bytes_max: u64,
}

impl Ended {
    /// Its exit code as shells have it: 128 and the signal's number if a signal ended it.
    pub(crate) fn exit_code(&self) -> i32 {
        self.code.unwrap_or_else(|| 128 + self.signal.unwrap_or(0))
    }
}

/// Whether there are children, and one that has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Children {
    /// There is none.
    None,
    /// There are some, and all run.
    Running,
    /// This one has ended. It keeps its process ID until it is reaped.
    Ended(i32),
}

/// Looks for a child that has ended, and leaves it as it is.
pub(crate) fn peek_children() -> io::Result<Children> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: `info` is a place for what the call writes.
    if unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options) } == -1 {
        let error = io::Error::last_os_error();
        return if error.raw_os_error() == Some(libc::ECHILD) { Ok(Children::None) } else { Err(error) };
    }
    // SAFETY: all bytes were zeroed or written by the call, and the process ID is that of a child or still zero.
    let pid = unsafe { info.assume_init().si_pid() };
    Ok(if pid == 0 { Children::Running } else { Children::Ended(pid) })
}

/// Takes the result of a child that has ended.
pub(crate) fn reap(pid: i32) -> io::Result<Ended> {
    let mut status: c_int = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to places for what the call writes.
    if unsafe { libc::wait4(pid, &mut status, 0, usage.as_mut_ptr()) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all bytes were zeroed or written by the call; every bit pattern is valid.
    let usage = unsafe { usage.assume_init() };
    let micros = |time: libc::timeval| {
        u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(time.tv_usec).unwrap_or(0)
    };
    Ok(Ended {
        code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
        signal: libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
        user_micros: micros(usage.ru_utime),
        system_micros: micros(usage.ru_stime),
        memory_bytes_max: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
    })
}

/// Blocks the signals that a shim acts on and returns a non-blocking descriptor that tells of them.
pub(crate) fn take_signals() -> io::Result<OwnedFd> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initialises the set before anything reads it; the descriptor is new and owned by no one.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        if libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut()) == -1 {
            return Err(io::Error::last_os_error());
        }
        match libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd)),
        }
    }
}

/// Whether children that end are forgotten, rather than kept for this process to ask how they ended.
pub(crate) fn forget_children(forget: bool) {
    // SAFETY: neither disposition runs code of ours, and SIGCHLD is a signal that has dispositions.
    unsafe { libc::signal(libc::SIGCHLD, if forget { libc::SIG_IGN } else { libc::SIG_DFL }) };
}

/// Reads the next signal from the descriptor of [`take_signals`].
pub(crate) fn read_signal(fd: BorrowedFd<'_>) -> Option<i32> {
    let mut info = [0; size_of::<libc::signalfd_siginfo>()];
    let length = rustix::io::read(fd, &mut info).ok()?;
    let signal = info[..length].first_chunk::<4>()?;
    i32::try_from(u32::from_ne_bytes(*signal)).ok()
}

/// Gives every signal its default effect and blocks none: what a program expects when it is executed.
pub(crate) fn reset_signals() {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initialises the set before it is read; the default dispositions run no code of ours.
    // Failures are for numbers that have no settable disposition and change nothing.
    unsafe {
        for signal in 1..=31 {
            libc::signal(signal, libc::SIG_DFL);
        }
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), ptr::null_mut());
    }
}

/// Lets no descriptor but the standard three survive the execution of a program.
pub(crate) fn close_others_on_exec() {
    const CLOSE_RANGE_CLOEXEC: c_int = 4;
    // SAFETY: only the flags of descriptors change. Every descriptor of ours is close-on-exec already, so the failure
    // on a kernel that does not know the call does no harm.
    unsafe { libc::syscall(libc::SYS_close_range, 3, c_int::MAX, CLOSE_RANGE_CLOEXEC) };
}

/// Closes every descriptor of this process, which uses none of them any more.
pub(crate) fn close_all() {
    // SAFETY: the caller ends without touching a descriptor again, so that none is used after it was closed. A kernel
    // that does not know the call leaves them open until then.
    unsafe { libc::syscall(libc::SYS_close_range, 0, c_int::MAX, 0) };
}

/// Takes the results of children for ever, those that the kernel gives to the first process of a namespace included.
pub(crate) fn reap_for_ever() -> ! {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initialises the set before anything reads it, and the default disposition of SIGCHLD runs
    // no code of ours. Blocked, the signal is kept until it is waited for.
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), ptr::null_mut());
    }
    loop {
        // SAFETY: the set was initialised above, and no place for details is given to either call.
        unsafe {
            while libc::waitpid(-1, ptr::null_mut(), libc::WNOHANG) > 0 {}
            libc::sigwaitinfo(set.as_ptr(), ptr::null_mut());
        }
    }
}

/// Makes a mount read-only, without changing anything else about it.
pub(crate) fn mount_read_only(mount: BorrowedFd<'_>) -> io::Result<()> {
    set_attributes(mount, libc::AT_EMPTY_PATH, MOUNT_ATTR_RDONLY, 0)
}

/// The same for a mount and all that is mounted below.
pub(crate) fn mount_read_only_recursive(mount: BorrowedFd<'_>) -> io::Result<()> {
    set_attributes(mount, libc::AT_EMPTY_PATH | libc::AT_RECURSIVE, MOUNT_ATTR_RDONLY, 0)
}

/// Keeps a mount and all that is mounted below apart from what is mounted elsewhere later.
pub(crate) fn mount_private_recursive(mount: BorrowedFd<'_>) -> io::Result<()> {
    set_attributes(mount, libc::AT_EMPTY_PATH | libc::AT_RECURSIVE, 0, libc::MS_PRIVATE)
}

const MOUNT_ATTR_RDONLY: u64 = 1;

fn set_attributes(mount: BorrowedFd<'_>, flags: c_int, set: u64, propagation: u64) -> io::Result<()> {
    #[repr(C)]
    struct MountAttributes {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    let attributes = MountAttributes { set, clear: 0, propagation, user_namespace: 0 };
    // SAFETY: the path is an empty string, and the structure has the size and layout of `struct mount_attr`.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<MountAttributes>(),
        )
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Gives this process a mount namespace of its own, and if `in_user_namespace` a user namespace that owns it.
pub(crate) fn unshare_mounts(in_user_namespace: bool) -> io::Result<()> {
    let mut flags = UnshareFlags::NEWNS;
    flags.set(UnshareFlags::NEWUSER, in_user_namespace);
    unshare(flags)
}

/// Gives this process namespaces of its own.
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: the table of file descriptors, which other threads could observe, is not among what is unshared.
    Ok(unsafe { unshare_unsafe(flags) }?)
}

/// Has the kernel ask a filter about every system call of this process and of those it will start.
pub(crate) fn filter_system_calls(filter: &[libc::sock_filter]) -> io::Result<()> {
    let length = u16::try_from(filter.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let program = libc::sock_fprog { len: length, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the program points to as many instructions as it says, and the kernel copies them without writing.
    let result = unsafe {
        libc::prctl(libc::PR_SET_SECCOMP, libc::c_ulong::from(libc::SECCOMP_MODE_FILTER), &raw const program)
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Brings the loopback interface of this process's network namespace up.
pub(crate) fn bring_up_loopback() -> io::Result<()> {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)?;
    // SAFETY: every bit pattern of the structure is valid, zeroes included.
    let mut request: libc::ifreq = unsafe { MaybeUninit::zeroed().assume_init() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).unwrap_or(0);
    // SAFETY: the request is a structure of the kind that the call reads.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Lets the async runtime that this is called in tell when a descriptor is ready. Any thread may call it.
pub(crate) fn watch_descriptor(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is the one owner of its descriptor, always names the same one, and closes it only when it
    // is dropped, which the `AsyncFd` does after it has stopped watching.
    Ok(unsafe { AsyncFd::register(fd) }?)
}

/// Unmaps the pages of a mapping of this program's text, which may have any number of threads. They come back when they are
/// needed.
pub(crate) fn unmap_text(mapping: Range<usize>) -> io::Result<()> {
    let start = ptr::with_exposed_provenance_mut(mapping.start);
    // SAFETY: the mapping is of a file, and cannot be written: every page of it is as the file has it, and is read from
    // there again when it is touched.
    Ok(unsafe { madvise(start, mapping.len(), Advice::LinuxDontNeed) }?)
}
