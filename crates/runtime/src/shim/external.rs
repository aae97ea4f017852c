//! Containers that an OCI runtime of the machine makes, such as crun or runc, in place of this program.
//!
//! The runtime makes the container and goes; its first process is left to the shim, which has made itself the one that
//! orphans are left to. All else is as with containers of the shim's own: their pipes, their control groups, their end,
//! and whatever is executed in them later.

use std::{
    fs::{self, File},
    io::{self, Read},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg},
    process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, set_parent_process_death_signal, setsid},
    stdio::{dup2_stderr, dup2_stdout},
};
use serde_json::Value;

use super::launch::{self, Ends, Failure, Launched, Sandbox, Settings, Streams};
use crate::{
    limits,
    mounts::Refused,
    processes,
    sandbox::{
        self,
        bundle::{self, Parties},
        cgroup,
    },
    spec::{Container, OciRuntime, Pod},
    state::Process,
    sys::{self, Ended, Fork},
};

/// The directory, in the pod's, of what the runtime keeps.
const STATE_DIR: &str = "runtime";
/// Where the runtime sends a container's terminal: in the pod's directory, which is the shim's.
const CONSOLE: &str = "console";
/// What a runtime finds other programs with.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The runtime that can be told to leave control groups alone, and does not work with every arrangement of them. Others
/// find those of the container as they were made.
const CRUN: &str = "crun";

/// A container as its runtime knows it. When it is dropped the runtime forgets it, and ends what is left of it.
#[derive(Debug)]
pub(super) struct Made {
    runtime: OciRuntime,
    pod_uid: String,
    /// The container's name: what the runtime keeps is the pod's own.
    id: String,
    state_dir: PathBuf,
    bundle: PathBuf,
}

/// Has the pod's runtime make and start a container whose control groups and directories are there.
pub(super) fn launch(
    runtime: &OciRuntime,
    (pod, container): (&Pod, &Container),
    sandbox: Sandbox<'_>,
    pod_dir: &Path,
    settings: &Settings,
) -> Result<Launched, Failure> {
    let Sandbox { root, identity, place, cgroup, unlimited } = sandbox;
    let pause = settings.pause.as_ref().map(|pause| pause.pid);
    let parties = Parties { pod, container, root, identity, pause };
    let (mut streams, ends) = launch::streams(container.streams).map_err(refused)?;
    let console = container.streams.tty.then(Console::listen).transpose().map_err(refused)?;
    let made = Made::of(runtime, pod, container, pod_dir, place.bundle());
    let pid_file = place.bundle().join("pid");
    let bundle = ["--bundle".to_owned(), text(place.bundle()), "--pid-file".to_owned(), text(&pid_file)];
    let mut arguments = bundle.to_vec();
    arguments.extend(console.iter().flat_map(|_| Console::arguments()));
    let files = made.call("create", &arguments, settings, |report| {
        redirect(&ends).map_err(refused)?;
        let message = bundle::lay_out(container, root, &place).map_err(Failure::Refused)?;
        bundle::write(&parties, &place).map_err(refused)?;
        launch::tell_files(report, &[&message]).map_err(refused)
    })?;
    drop(ends);
    let pid = fs::read_to_string(&pid_file).map_err(refused)?;
    let pid: i32 = pid.trim().parse().map_err(|_| refused(io::ErrorKind::InvalidData.into()))?;
    // Nothing of the container's is executed before it is held to its limits.
    cgroup.as_ref().map_or(Ok(()), |cgroup| cgroup.take_in(pid)).map_err(|error| {
        let message = format!("cannot enter its control group: {error}");
        Failure::Refused(Refused { volume: String::new(), message })
    })?;
    if let Some(console) = console {
        streams = console.take().and_then(|own| Streams::of(own, container.streams)).map_err(refused)?;
    }
    // It cannot be reaped before this process does it, so that `/proc` has it even if it has ended.
    let process = Process { pid, ticks: processes::start_ticks(pid).unwrap_or(0) };
    let mounts = File::open(format!("/proc/{pid}/ns/mnt")).ok();
    made.call("start", &[], settings, |_| {
        redirect(&Ends::default()).and_then(|()| sandbox::cut_off()).map_err(refused)
    })?;
    let [message, ..] = files;
    let Streams { outputs, input, terminal } = streams;
    let made = Some(made);
    Ok(Launched { process, outputs, input, terminal, message, mounts, made, cgroup, unlimited })
}

/// Ends and forgets what the runtime of a pod has made of its containers for a shim that has died.
pub(super) fn clear(pod: &Pod, pod_dir: &Path) {
    let Some(runtime) = &pod.oci_runtime else { return };
    for container in &pod.containers {
        if pod_dir.join(STATE_DIR).join(&container.name).exists() {
            drop(Made::of(runtime, pod, container, pod_dir, Path::new("")));
        }
    }
}

impl Made {
    fn of(runtime: &OciRuntime, pod: &Pod, container: &Container, pod_dir: &Path, bundle: &Path) -> Self {
        Made {
            runtime: runtime.clone(),
            pod_uid: pod.uid.clone(),
            id: container.name.clone(),
            state_dir: pod_dir.join(STATE_DIR),
            bundle: bundle.to_owned(),
        }
    }

    fn log(&self) -> PathBuf {
        self.bundle.join("log")
    }

    fn argv(&self, verb: &str, arguments: &[String]) -> Vec<String> {
        let mut argv = vec![text(&self.runtime.path), "--root".to_owned(), text(&self.state_dir)];
        if self.leaves_cgroups_alone() {
            argv.push("--cgroup-manager=disabled".to_owned());
        }
        if verb != "delete" {
            argv.extend([
                "--log".to_owned(),
                text(&self.log()),
                "--log-format".to_owned(),
                "json".to_owned(),
            ]);
        }
        argv.push(verb.to_owned());
        argv.extend(arguments.iter().cloned());
        argv.push(self.id.clone());
        argv
    }

    fn leaves_cgroups_alone(&self) -> bool {
        self.runtime.name == CRUN
    }

    /// Executes the runtime in a mount namespace of its own, once `prepare` has done its part there, and waits for its
    /// end. Returns the files that were handed over.
    fn call(
        &self,
        verb: &str,
        arguments: &[String],
        settings: &Settings,
        prepare: impl FnOnce(&UnixStream) -> Result<(), Failure>,
    ) -> Result<[Option<File>; launch::FILES], Failure> {
        let argv = self.argv(verb, arguments);
        let (report, child_report) = UnixStream::pair().map_err(refused)?;
        let namespace = u64::from(libc::CLONE_NEWNS.unsigned_abs());
        let pid = match sys::fork_into(namespace).map_err(refused)? {
            Fork::Parent(pid) => pid,
            Fork::Child => {
                let child = || match self.become_runtime(settings, &child_report, prepare) {
                    Ok(()) => {
                        let env = [("PATH".to_owned(), PATH.to_owned())];
                        Failure::NotStarted(launch::execute_program(&argv, &env))
                    }
                    Err(failure) => failure,
                };
                // A panic must not go on into what the shim was doing.
                let failure = catch_unwind(AssertUnwindSafe(child)).unwrap_or_else(|_| {
                    Failure::NotStarted("the preparation of the container failed".to_owned())
                });
                launch::tell_failure(&child_report, &failure);
                sys::exit_now(1);
            }
        };
        drop(child_report);
        let heard = launch::listen(&report);
        let ended = await_end(pid).map_err(refused)?;
        let files = heard?;
        match ended.code {
            Some(0) => Ok(files),
            _ => Err(Failure::NotStarted(format!("OCI runtime {verb} failed: {}", self.complaint(&ended)))),
        }
    }

    /// Prepares this process for the runtime: what it inherits is what it needs.
    fn become_runtime(
        &self,
        settings: &Settings,
        report: &UnixStream,
        prepare: impl FnOnce(&UnixStream) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        setsid().map_err(|error| refused(error.into()))?;
        if let Some(score) = &settings.oom_score {
            // A process that cannot have its usual score back is only less likely to be chosen.
            let _ = fs::write("/proc/self/oom_score_adj", score);
        }
        prepare(report)?;
        if self.leaves_cgroups_alone() {
            bundle::hide_cgroups().map_err(refused)?;
        }
        // What it leaves to be started does not start without a shim, which may have died before.
        set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| refused(error.into()))?;
        if launch::is_deaf(report) {
            sys::exit_now(1);
        }
        sys::reset_signals();
        sys::close_others_on_exec();
        Ok(())
    }

    /// What the runtime wrote last of an error, else how it ended.
    fn complaint(&self, ended: &Ended) -> String {
        let mut log = String::new();
        let read = File::open(self.log())
            .and_then(|file| file.take(limits::RUNTIME_LOG_BYTES_MAX).read_to_string(&mut log));
        let found = read.ok().and_then(|_| last_message(&log));
        found.unwrap_or_else(|| match ended.signal {
            Some(signal) => format!("{} was ended by signal {signal}", self.runtime.path.display()),
            None => format!("{} exited with {}", self.runtime.path.display(), ended.exit_code()),
        })
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let settings = Settings { oom_score: None, pause: None };
        // What it cannot forget stays in the pod's directory, and goes with it.
        let _ = self.call("delete", &["--force".to_owned()], &settings, |_| {
            redirect(&Ends::default()).and_then(|()| sandbox::cut_off()).map_err(refused)
        });
        cgroup::sweep(&self.pod_uid, &self.id);
    }
}

/// The message of the last error in a log of JSON objects, one in each line; of the last entry if none is an error.
fn last_message(log: &str) -> Option<String> {
    let entries = log.lines().filter_map(|line| {
        let entry: Value = serde_json::from_str(line).ok()?;
        let message = entry["msg"].as_str()?.trim().to_owned();
        Some((matches!(entry["level"].as_str(), Some("error" | "fatal")), message))
    });
    let entries: Vec<(bool, String)> = entries.collect();
    let last = entries.iter().rfind(|(is_error, _)| *is_error).or(entries.last())?;
    Some(last.1.clone())
}

/// Waits until a process that this one has made ends. It is made to if it takes too long.
fn await_end(pid: i32) -> io::Result<Ended> {
    let process = Pid::from_raw(pid).ok_or(Errno::SRCH)?;
    let process = pidfd_open(process, PidfdFlags::empty())?;
    let patience = Timespec::try_from(limits::RUNTIME_PATIENCE).map_err(|_| Errno::INVAL)?;
    let mut fds = [PollFd::new(&process, PollFlags::IN)];
    if !matches!(poll(&mut fds, Some(&patience)), Ok(1..)) {
        processes::signal(pid, Signal::KILL);
        processes::signal_group(pid, Signal::KILL);
    }
    sys::reap(pid)
}

/// Gives this process the input and the outputs of a container, and nothing in the place of what is missing.
fn redirect(ends: &Ends) -> io::Result<()> {
    launch::redirect(ends)?;
    match &ends.outputs {
        Some([_, stderr]) => Ok(dup2_stderr(stderr)?),
        None => {
            let null = File::options().write(true).open("/dev/null")?;
            dup2_stdout(&null)?;
            Ok(dup2_stderr(&null)?)
        }
    }
}

/// Where the runtime sends the terminal that it makes for a container.
struct Console(UnixListener);

impl Console {
    fn listen() -> io::Result<Self> {
        // One that was left by a shim that died.
        let _ = fs::remove_file(CONSOLE);
        // By a path that is short wherever the pod's directory is: there is little room in an address.
        let listener = UnixListener::bind(CONSOLE)?;
        listener.set_nonblocking(true)?;
        Ok(Console(listener))
    }

    /// What tells the runtime of it.
    fn arguments() -> [String; 2] {
        ["--console-socket".to_owned(), format!("/proc/{}/cwd/{CONSOLE}", getpid().as_raw_pid())]
    }

    /// The terminal, which has been sent by now.
    fn take(&self) -> io::Result<OwnedFd> {
        let (stream, _) = self.0.accept()?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut name = [0; limits::PATH_MAX_BYTES];
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        recvmsg(stream.as_fd(), &mut [io::IoSliceMut::new(&mut name)], &mut ancillary, flags)?;
        let handed = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut handed) => handed.next(),
            _ => None,
        });
        handed.ok_or_else(|| io::Error::other("the runtime has sent no terminal"))
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = fs::remove_file(CONSOLE);
    }
}

#[expect(clippy::needless_pass_by_value, reason = "errors are mapped with it")]
fn refused(error: io::Error) -> Failure {
    let message = format!("cannot start a process: {error}");
    Failure::Refused(Refused { volume: String::new(), message })
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_of_a_log_is_what_went_wrong() {
        let log = "{\"level\":\"error\",\"msg\":\"first\"}\n{\"msg\":\"exec: no such file\\n\",\"level\":\"error\"}\n\
                   {\"level\":\"warning\",\"msg\":\"later\"}\nno JSON\n";
        assert_eq!(last_message(log).as_deref(), Some("exec: no such file"));
        assert_eq!(last_message("{\"level\":\"info\",\"msg\":\"x\"}").as_deref(), Some("x"));
        assert_eq!(last_message("nonsense\n{}\n"), None);
    }
}
