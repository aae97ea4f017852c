//! Starts a container's process: from the fork to the execution of its program.

use std::{
    ffi::CString,
    fs::{self, File},
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use rustix::{
    fs::{OFlags, fcntl_setfl},
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, recvmsg, sendmsg,
    },
    pipe::{PipeFlags, pipe_with},
    process::{Gid, Pid, Signal, Uid, chdir, getpid, getppid, set_parent_process_death_signal, setsid},
    stdio::{dup2_stderr, dup2_stdin, dup2_stdout},
    thread::{set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};

use super::{
    external::{self, Made},
    pause::Pause,
    terminal::Terminal,
};
use crate::{
    logs::format::Stream,
    mounts::{self, Refused},
    processes,
    sandbox::{self, Place, cgroup::Cgroup},
    spec::{self, Container, Identity, Pod, Root},
    state::Process,
    sys::{self, Fork},
    users,
};

/// A container's process, and what it writes.
#[derive(Debug)]
pub(super) struct Launched {
    pub(super) process: Process,
    /// What it writes; a terminal is one stream. Not blocking.
    pub(super) outputs: Vec<(Stream, OwnedFd)>,
    /// What it reads, if it has an input. Not blocking.
    pub(super) input: Option<OwnedFd>,
    /// Its terminal, if it has one.
    pub(super) terminal: Option<OwnedFd>,
    /// The file that it writes its termination message to, if it has one.
    pub(super) message: Option<File>,
    /// The namespace of its mounts, if it has one of its own.
    pub(super) mounts: Option<File>,
    /// The same as its runtime knows it, if one of the machine has made it.
    pub(super) made: Option<Made>,
    /// What it is held to, if it has limits.
    pub(super) cgroup: Option<Cgroup>,
    /// Why it is not held to the limits that it has.
    pub(super) unlimited: Option<String>,
}

/// How many files a container's process hands over at most.
pub(super) const FILES: usize = 3;

/// What a container with an image is started in.
pub(super) struct Sandbox<'a> {
    pub(super) root: &'a Root,
    pub(super) identity: &'a Identity,
    pub(super) place: Place,
    pub(super) cgroup: Option<Cgroup>,
    pub(super) unlimited: Option<String>,
}

/// Why a container's program was not executed.
#[derive(Debug)]
pub(super) enum Failure {
    /// It cannot have its volumes as asked. Another attempt may succeed.
    Refused(Refused),
    /// Its program or its directory is not there, or not for its user: it has failed.
    NotStarted(String),
}

/// What every container of a pod is started with.
#[derive(Debug)]
pub(super) struct Settings {
    /// The score the kernel's out-of-memory killer gives to processes that are not shims.
    pub(super) oom_score: Option<String>,
    /// The first process of the namespace that the containers share, if they do.
    pub(super) pause: Option<Pause>,
}

/// Starts a container's process and waits until it executes its program. `pod_dir` is the pod's directory.
pub(super) fn launch(
    pod: &Pod,
    container: &Container,
    pod_dir: &Path,
    settings: &Settings,
) -> Result<Launched, Failure> {
    let refused = |error: io::Error| {
        let message = format!("cannot start a process: {error}");
        Failure::Refused(Refused { volume: String::new(), message })
    };
    let sandbox = match (Sandbox::of(pod, container, pod_dir).map_err(refused)?, &pod.oci_runtime) {
        (Some(sandbox), Some(runtime)) => {
            return external::launch(runtime, (pod, container), sandbox, pod_dir, settings);
        }
        (sandbox, _) => sandbox,
    };
    let (mut streams, ends) = streams(container.streams).map_err(refused)?;
    let (report, child_report) = UnixStream::pair().map_err(refused)?;
    let shim = getpid();
    let namespaces = sandbox::namespaces(pod.sandbox.processes);
    let forked = match (&sandbox, &settings.pause) {
        (None, _) => sys::fork(),
        (Some(_), Some(pause)) => pause.fork_into(namespaces),
        (Some(_), None) => sys::fork_into(namespaces),
    };
    let pid = match forked.map_err(refused)? {
        Fork::Parent(pid) => pid,
        Fork::Child => {
            let child = || {
                let surroundings = Surroundings { pod_dir, settings, sandbox: sandbox.as_ref() };
                execute(container, &surroundings, &ends, (shim, &child_report))
            };
            // A panic must not go on into what the shim was doing.
            let failure = catch_unwind(AssertUnwindSafe(child)).unwrap_or_else(|_| {
                Failure::NotStarted("the preparation of the container failed; see its log".to_owned())
            });
            tell_failure(&child_report, &failure);
            sys::exit_now(1);
        }
    };
    drop((ends, child_report));
    let admitted = sandbox
        .as_ref()
        .map_or(Ok(()), |sandbox| sandbox.populate(pid, &report).and_then(|()| sandbox.admit(pid, &report)));
    match admitted.and_then(|()| listen(&report)) {
        Ok(files) => {
            // It cannot be reaped before this process does it, so that `/proc` has it even if it has ended.
            let ticks = processes::start_ticks(pid).unwrap_or(0);
            let process = Process { pid, ticks };
            let (cgroup, unlimited) =
                sandbox.map(|sandbox| (sandbox.cgroup, sandbox.unlimited)).unwrap_or_default();
            let mut files = files.into_iter().flatten();
            if container.streams.tty {
                let terminal = files.next().ok_or_else(|| io::Error::other("there is no terminal"));
                streams = terminal
                    .and_then(|terminal| Streams::of(OwnedFd::from(terminal), container.streams))
                    .map_err(refused)?;
            }
            let (message, mounts) = (files.next(), files.next());
            let Streams { outputs, input, terminal } = streams;
            let made = None;
            Ok(Launched { process, outputs, input, terminal, message, mounts, made, cgroup, unlimited })
        }
        Err(failure) => {
            // It has nothing left to do but to exit.
            let _ = sys::reap(pid);
            Err(failure)
        }
    }
}

/// The shim's side of a container's streams.
#[derive(Default)]
pub(super) struct Streams {
    pub(super) outputs: Vec<(Stream, OwnedFd)>,
    pub(super) input: Option<OwnedFd>,
    pub(super) terminal: Option<OwnedFd>,
}

impl Streams {
    /// Those of a terminal.
    pub(super) fn of(terminal: OwnedFd, wanted: spec::Streams) -> io::Result<Self> {
        fcntl_setfl(&terminal, OFlags::NONBLOCK)?;
        let input = wanted.stdin.then(|| terminal.try_clone()).transpose()?;
        let outputs = vec![(Stream::Stdout, terminal.try_clone()?)];
        Ok(Streams { outputs, input, terminal: Some(terminal) })
    }
}

/// The container's side of its streams, but for a terminal, which it makes itself.
#[derive(Default)]
pub(super) struct Ends {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) outputs: Option<[OwnedFd; 2]>,
}

/// Both sides of a container's streams. Those of a terminal are not there yet.
pub(super) fn streams(wanted: spec::Streams) -> io::Result<(Streams, Ends)> {
    if wanted.tty {
        return Ok(Default::default());
    }
    let (stdout, child_stdout) = pipe()?;
    let (stderr, child_stderr) = pipe()?;
    let outputs = vec![(Stream::Stdout, stdout), (Stream::Stderr, stderr)];
    let (mut input, mut stdin) = (None, None);
    if wanted.stdin {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        fcntl_setfl(&write, OFlags::NONBLOCK)?;
        (input, stdin) = (Some(write), Some(read));
    }
    let ends = Ends { stdin, outputs: Some([child_stdout, child_stderr]) };
    Ok((Streams { outputs, input, terminal: None }, ends))
}

impl<'a> Sandbox<'a> {
    fn of(pod: &Pod, container: &'a Container, pod_dir: &Path) -> io::Result<Option<Sandbox<'a>>> {
        let (Some(root), Some(identity)) = (&container.root, &container.identity) else { return Ok(None) };
        let place = Place::make(pod_dir, &container.name, pod.sandbox.processes)?;
        // Where the node may not make groups, limits are not kept, and an event says so: the alternative is that nothing
        // runs.
        let (cgroup, unlimited) = match Cgroup::make(&pod.uid, &container.name, &root.resources) {
            Ok(cgroup) => (cgroup, None),
            Err(error) => (None, Some(words(&error))),
        };
        Ok(Some(Sandbox { root, identity, place, cgroup, unlimited }))
    }
}

/// What a container's process finds itself in.
struct Surroundings<'a> {
    pod_dir: &'a Path,
    settings: &'a Settings,
    sandbox: Option<&'a Sandbox<'a>>,
}

/// A pipe whose reading end does not block.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    fcntl_setfl(&read, OFlags::NONBLOCK)?;
    Ok((read, write))
}

/// Hands files to whoever hears the report: to the shim the terminal if there is one, then that for the termination
/// message, and the namespace of the mounts.
pub(super) fn tell_files(report: &UnixStream, files: &[&File]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let files: Vec<_> = files.iter().map(AsFd::as_fd).collect();
    ancillary.push(SendAncillaryMessage::ScmRights(&files));
    sendmsg(report, &[IoSlice::new(b"\0")], &mut ancillary, SendFlags::empty())?;
    Ok(())
}

/// Sends a failure to the shim: `R<volume>\0<message>` if it was refused, else `N<message>`.
pub(super) fn tell_failure(mut report: &UnixStream, failure: &Failure) {
    let text = match failure {
        Failure::Refused(Refused { volume, message }) => format!("R{volume}\0{message}"),
        Failure::NotStarted(message) => format!("N{message}"),
    };
    // If the shim is gone, so will be this process.
    let _ = report.write_all(text.as_bytes());
}

/// Waits until the program is executed, or for the failure. Returns the files that were handed over.
pub(super) fn listen(mut report: &UnixStream) -> Result<[Option<File>; FILES], Failure> {
    let deaf = |error: io::Error| {
        Failure::NotStarted(format!("cannot learn whether the container started: {error}"))
    };
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut text = vec![0; 1];
    let mut receive = |text: &mut [u8]| {
        recvmsg(report, &mut [IoSliceMut::new(text)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
    };
    let mut read = receive(&mut text);
    if matches!(read, Err(Errno::CONNRESET)) {
        // It has ended without hearing that it may go on. What it said before is heard after that.
        read = receive(&mut text);
    }
    let read = read.map_err(|error| deaf(error.into()))?;
    text.truncate(read.bytes);
    let mut files = [const { None }; FILES];
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(handed) = message {
            files.iter_mut().zip(handed).for_each(|(file, handed)| *file = Some(File::from(handed)));
        }
    }
    match report.read_to_end(&mut text) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => report.read_to_end(&mut text),
        heard => heard,
    }
    .map_err(deaf)?;
    let text = String::from_utf8_lossy(&text);
    let text = text.strip_prefix('\0').unwrap_or(&text);
    match (text.strip_prefix('R').and_then(|text| text.split_once('\0')), text.strip_prefix('N')) {
        (Some((volume, message)), _) => {
            Err(Failure::Refused(Refused { volume: volume.to_owned(), message: message.to_owned() }))
        }
        (None, Some(message)) => Err(Failure::NotStarted(message.to_owned())),
        (None, None) => Ok(files),
    }
}

/// Becomes the container's process. Returns only if that fails. `shim` is its parent, and what it hears.
fn execute(
    container: &Container,
    surroundings: &Surroundings<'_>,
    ends: &Ends,
    shim: (Pid, &UnixStream),
) -> Failure {
    match prepare(container, surroundings, ends, shim) {
        Ok(()) => Failure::NotStarted(execute_program(&container.argv, &container.env)),
        Err(failure) => failure,
    }
}

fn prepare(
    container: &Container,
    Surroundings { pod_dir, settings, sandbox }: &Surroundings<'_>,
    ends: &Ends,
    (shim, report): (Pid, &UnixStream),
) -> Result<(), Failure> {
    let failed =
        |step: &str, error: io::Error| Failure::NotStarted(format!("cannot {step}: {}", words(&error)));
    let step = |step: &'static str| move |error: Errno| failed(step, error.into());
    setsid().map_err(step("lead a session"))?;
    redirect(ends).map_err(|error| failed("redirect the output", error))?;
    let has_terminal = container.streams.tty;
    // A process of the host has the host's terminals, which cannot always be opened from where it is.
    let terminal = (has_terminal && sandbox.is_none()).then(Terminal::open).transpose();
    let mut terminal = terminal.map_err(|error| failed("open a terminal", error))?;
    if let Some(score) = &settings.oom_score {
        // A process that cannot have its usual score back is only less likely to be chosen.
        let _ = fs::write("/proc/self/oom_score_adj", score);
    }
    let message = match sandbox {
        Some(sandbox) => sandbox.enter(container, report)?,
        None => {
            // A process of the host is its user's, whatever the node needs for containers.
            users::be_outside_of_ranges().map_err(|error| failed("be the node's user", error))?;
            mounts::set_up(container, pod_dir).map_err(Failure::Refused)?
        }
    };
    if has_terminal {
        let opened = terminal.take().map_or_else(Terminal::open, Ok);
        let taken = opened.and_then(|opened| opened.take(container).map(|()| opened));
        terminal = Some(taken.map_err(|error| failed("open a terminal", error))?);
    }
    // The shim lets go of the mounts when it has told of the container's end: to take them down takes the kernel a
    // while, which would otherwise be before that.
    let mounts = sandbox.and_then(|_| File::open("/proc/self/ns/mnt").ok());
    let mounts = mounts.filter(|_| message.is_some());
    let theirs = terminal.map(|terminal| (terminal.ours, terminal.theirs));
    let (ours, theirs) = theirs.unzip();
    let files: Vec<&File> = [&ours, &message, &mounts].into_iter().flatten().collect();
    if !files.is_empty() {
        tell_files(report, &files).map_err(|error| failed("hand over the termination message", error))?;
    }
    become_its_user(container, *sandbox).map_err(|(step, error)| failed(&step, error))?;
    chdir(&container.cwd)
        .map_err(|error| failed(&format!("enter workingDir {:?}", container.cwd), error.into()))?;
    // After the last change of user, which would undo it. The shim may have died before.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(step("follow the shim"))?;
    let is_orphan = if sandbox.is_some() { is_deaf(report) } else { getppid() != Some(shim) };
    if is_orphan {
        sys::exit_now(1);
    }
    sys::reset_signals();
    sys::close_others_on_exec();
    // Last, so that a panic before is told where the shim's own would be.
    match (&theirs, &ends.outputs) {
        (Some(theirs), _) => {
            dup2_stdin(theirs).and_then(|()| dup2_stdout(theirs)).and_then(|()| dup2_stderr(theirs))
        }
        (None, Some([_, stderr])) => dup2_stderr(stderr),
        (None, None) => Ok(()),
    }
    .map_err(step("redirect the output"))
}

/// Takes the user of the container and what it may do.
fn become_its_user(container: &Container, sandbox: Option<&Sandbox<'_>>) -> Result<(), (String, io::Error)> {
    if let Some(sandbox) = sandbox {
        return sandbox::privileges::assume(sandbox.identity, sandbox.root, container.no_new_privileges)
            .map_err(|(step, error)| (step.to_owned(), error));
    }
    if let Some(identity) = &container.identity {
        assume(identity).map_err(|error| (format!("run as user {}", identity.uid), error))?;
    }
    if container.no_new_privileges {
        set_no_new_privs(true).map_err(|error| ("give up new privileges".to_owned(), error.into()))?;
    }
    Ok(())
}

/// Gives this process the input and the output of the container, as far as they are there already.
pub(super) fn redirect(ends: &Ends) -> io::Result<()> {
    match &ends.stdin {
        Some(stdin) => dup2_stdin(stdin)?,
        None => dup2_stdin(&File::open("/dev/null")?)?,
    }
    if let Some([stdout, _]) = &ends.outputs {
        dup2_stdout(stdout)?;
    }
    Ok(())
}

impl Sandbox<'_> {
    /// Gives the container's process its users, if it waits for them.
    fn populate(&self, pid: i32, mut report: &UnixStream) -> Result<(), Failure> {
        if !self.place.awaits_users() {
            return Ok(());
        }
        match users::share_with(pid).and_then(|()| report.write_all(b"\0")) {
            Ok(()) => Ok(()),
            Err(error) => {
                processes::signal(pid, Signal::KILL);
                let message = format!("cannot give the container its users: {error}");
                Err(Failure::Refused(Refused { volume: String::new(), message }))
            }
        }
    }

    /// Moves the container's process into its control groups and lets it go on. The kernel may take milliseconds for
    /// that, during which the process makes its file system.
    fn admit(&self, pid: i32, mut report: &UnixStream) -> Result<(), Failure> {
        let moved = self.cgroup.as_ref().map_or(Ok(()), |cgroup| cgroup.take_in(pid));
        if let Err(error) = moved {
            // One that has failed by itself says why.
            processes::signal(pid, Signal::KILL);
            return match listen(report) {
                Err(failure) => Err(failure),
                Ok(_) => {
                    let message = format!("cannot enter its control group: {error}");
                    Err(Failure::Refused(Refused { volume: String::new(), message }))
                }
            };
        }
        // If the process is gone, it is about to be heard why.
        let _ = report.write_all(b"\0");
        Ok(())
    }

    fn enter(&self, container: &Container, mut report: &UnixStream) -> Result<Option<File>, Failure> {
        if let Some(score) = self.root.resources.oom_score_adj {
            // A lower score than the shim's own needs a privilege that sandboxes may withhold.
            let _ = fs::write("/proc/self/oom_score_adj", score.to_string());
        }
        // Without a shim there is nobody to start for.
        if self.place.awaits_users() && report.read_exact(&mut [0]).is_err() {
            sys::exit_now(1);
        }
        let message = sandbox::enter(container, self.root, self.identity, &self.place);
        let message = message.map_err(Failure::Refused)?;
        // Nothing is executed before it is held to its limits. Without a shim there is nobody to start for.
        if report.read_exact(&mut [0]).is_err() {
            sys::exit_now(1);
        }
        Ok(Some(message))
    }
}

/// Whether nobody hears this process any more. In a process namespace of its own it cannot see its parent.
pub(super) fn is_deaf(report: &UnixStream) -> bool {
    let mut byte = [0];
    let heard = rustix::net::recv(report, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT);
    !matches!(heard, Err(Errno::AGAIN))
}

pub(super) fn assume(identity: &Identity) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    let groups: Vec<Gid> = identity.groups.iter().copied().map(Gid::from_raw).collect();
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    Ok(set_thread_res_uid(uid, uid, uid)?)
}

/// Executes a program that is looked for as the container's own is; returns why that failed.
pub(super) fn execute_program(argv: &[String], env: &[(String, String)]) -> String {
    let Some(program) = argv.first() else { return "no command specified".to_owned() };
    let search = env;
    let strings = |strings: &mut dyn Iterator<Item = String>| -> Result<Vec<CString>, _> {
        strings.map(CString::new).collect()
    };
    let argv = strings(&mut argv.iter().cloned());
    let env = strings(&mut env.iter().map(|(name, value)| format!("{name}={value}")));
    let (Ok(argv), Ok(env)) = (argv, env) else {
        return format!("exec: {program:?}: its arguments or environment contain a null byte");
    };
    let mut denied = false;
    for path in candidates(program, search) {
        let Ok(path) = CString::new(path) else { continue };
        let error = sys::execve(&path, &argv, &env);
        let in_path = !program.contains('/');
        match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NOTDIR) if in_path => {}
            Some(Errno::ACCESS) if in_path => denied = true,
            Some(Errno::NOENT) => return format!("exec: {program:?}: stat {program}: {}", words(&error)),
            _ => return format!("exec: {program:?}: {}", words(&error)),
        }
    }
    if denied {
        return format!("exec: {program:?}: permission denied");
    }
    format!("exec: {program:?}: executable file not found in $PATH")
}

/// Where a program may be: in the directories of the container's `PATH`, unless it is a path itself.
fn candidates<'a>(program: &'a str, env: &'a [(String, String)]) -> Box<dyn Iterator<Item = String> + 'a> {
    if program.contains('/') {
        return Box::new([program.to_owned()].into_iter());
    }
    let path = env.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value);
    Box::new(path.split(':').filter(|dir| dir.starts_with('/')).map(move |dir| format!("{dir}/{program}")))
}

/// An error in the words that container runtimes use.
pub(super) fn words(error: &io::Error) -> String {
    match Errno::from_io_error(error) {
        Some(Errno::NOENT) => "no such file or directory".to_owned(),
        Some(Errno::ACCESS) => "permission denied".to_owned(),
        Some(Errno::NOEXEC) => "exec format error".to_owned(),
        Some(Errno::TOOBIG) => "argument list too long".to_owned(),
        Some(Errno::NOTDIR) => "not a directory".to_owned(),
        Some(Errno::PERM) => "operation not permitted".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_did_not_hear_everything_is_heard() {
        for failure in ["Rvolume\0it is not shared", "R\0x"] {
            let (report, mut child) = UnixStream::pair().unwrap();
            (&report).write_all(b"\0").unwrap();
            child.write_all(failure.as_bytes()).unwrap();
            drop(child);
            let heard = listen(&report).unwrap_err();
            let (volume, message) = failure[1..].split_once('\0').unwrap();
            let expected = Refused { volume: volume.to_owned(), message: message.to_owned() };
            assert!(matches!(&heard, Failure::Refused(refused) if *refused == expected), "{heard:?}");
        }
    }
}
