//! A container that runs, or whose leftovers are being cleared away.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt, symlink},
    },
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use rustix::io::Errno;

use super::{
    external::Made,
    launch::{self, Failure, Launched, Settings},
    terminal,
};
use crate::{
    clock,
    journal::{Exit, ExitKind, Usage},
    limits,
    logs::{
        LogOptions, files,
        format::Stream,
        reader::Reader,
        writer::{Lines, Writer},
    },
    mounts::Refused,
    processes,
    sandbox::cgroup::Cgroup,
    spec::{Container, Pod, Streams},
    state::{self, Process},
    sys::Ended,
};

/// A container whose end is not in the journal yet.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) process: Process,
    pub(super) attempt: u32,
    log: Writer,
    outputs: Vec<Output>,
    /// Where its input goes; absent once that has ended.
    input: Option<Input>,
    streams: Streams,
    terminal: Option<OwnedFd>,
    /// The file of its termination message, if it has one.
    message: Option<File>,
    kept: Kept,
    /// Why it is not held to the limits that it has, until that is written down.
    unlimited: Option<String>,
    /// How its process ended, and until when to wait for what it left behind.
    ended: Option<(Ended, Timestamp)>,
}

/// What the kernel keeps for a container. To let go of it takes a while.
#[derive(Debug)]
pub(super) struct Kept {
    // Before its control groups, which it may have processes in.
    _made: Option<Made>,
    cgroup: Option<Cgroup>,
    _mounts: Option<File>,
}

/// One of a container's two outputs, while it is open.
#[derive(Debug)]
struct Output {
    /// Absent once it has come to its end.
    pipe: Option<OwnedFd>,
    stream: Stream,
    lines: Lines,
}

/// A container's input.
#[derive(Debug)]
struct Input {
    pipe: OwnedFd,
    /// What it has not taken yet.
    pending: Vec<u8>,
    /// Whether it ends with that.
    is_ending: bool,
}

impl Live {
    /// Starts a container of the pod whose directory is `pod_dir`.
    pub(super) fn start(
        pod: &Pod,
        container: &Container,
        attempt: u32,
        pod_dir: &Path,
        settings: &Settings,
    ) -> Result<Self, Failure> {
        let log = prepare(pod, container, attempt)
            .map_err(|message| Failure::Refused(Refused { volume: String::new(), message }))?;
        let launched = launch::launch(pod, &container.restarted(attempt), pod_dir, settings)?;
        let output = |(stream, pipe)| Output { pipe: Some(pipe), stream, lines: Lines::new(stream) };
        let Launched { process, outputs, input, terminal, message, mounts, made, cgroup, unlimited } =
            launched;
        let kept = Kept { _made: made, cgroup, _mounts: mounts };
        let outputs = outputs.into_iter().map(output).collect();
        let input = input.map(|pipe| Input { pipe, pending: Vec::new(), is_ending: false });
        let streams = container.streams;
        Ok(Live {
            process,
            attempt,
            log,
            outputs,
            input,
            streams,
            terminal,
            message,
            kept,
            unlimited,
            ended: None,
        })
    }

    /// The outputs that are open, with their positions.
    pub(super) fn pipes(&self) -> impl Iterator<Item = (usize, &OwnedFd)> {
        self.outputs
            .iter()
            .enumerate()
            .filter_map(|(position, output)| Some((position, output.pipe.as_ref()?)))
    }

    /// Writes what there is of one output to the log; once through the buffer, so that others get their turn. Then
    /// others may hear it.
    pub(super) fn copy_output(
        &mut self,
        position: usize,
        buffer: &mut [u8],
        hear: &mut dyn FnMut(Stream, &[u8]),
    ) {
        self.outputs[position].copy(&mut self.log, buffer, hear);
    }

    /// Whether input can come: none waits to be taken.
    pub(super) fn takes_input(&self) -> bool {
        self.input.as_ref().is_none_or(|input| input.pending.is_empty())
    }

    /// Where input goes that waits to be taken.
    pub(super) fn waiting_input(&self) -> Option<&OwnedFd> {
        self.input.as_ref().filter(|input| !input.pending.is_empty()).map(|input| &input.pipe)
    }

    /// Hands it input, as soon as it takes it. Without an input, nobody reads it.
    pub(super) fn write_input(&mut self, bytes: &[u8]) {
        if let Some(input) = self.input.as_mut().filter(|input| !input.is_ending) {
            input.pending.extend_from_slice(bytes);
        }
        self.flush_input();
    }

    /// Ends its input when it has taken what is there.
    pub(super) fn end_input(&mut self) {
        self.input.iter_mut().for_each(|input| input.is_ending = true);
        self.flush_input();
    }

    /// Hands it what waits to be taken.
    pub(super) fn flush_input(&mut self) {
        let is_open = self.input.as_mut().is_none_or(Input::flush);
        if !is_open {
            self.input = None;
        }
    }

    /// Whether its input ends with that of the first client. A terminal's does not (as upstream: one comes back to it).
    pub(super) fn input_ends_with_its_client(&self) -> bool {
        self.streams.stdin_once && !self.streams.tty
    }

    /// Sets the size of its terminal, if it has one.
    pub(super) fn resize(&self, columns: u16, rows: u16) {
        self.terminal.iter().for_each(|terminal| terminal::resize(terminal, columns, rows));
    }

    /// What it is held to, if it has limits.
    pub(super) fn cgroup(&self) -> Option<&Cgroup> {
        self.kept.cgroup.as_ref()
    }

    /// Why it is not held to the limits that it has. Told once.
    pub(super) fn take_unlimited(&mut self) -> Option<String> {
        self.unlimited.take()
    }

    /// Remembers how its process ended.
    pub(super) fn end(&mut self, ended: Ended, now: Timestamp) {
        let until = limits::LEFTOVERS_WAIT
            .try_into()
            .ok()
            .and_then(|wait: jiff::SignedDuration| now.checked_add(wait).ok());
        self.ended = Some((ended, until.unwrap_or(Timestamp::MAX)));
    }

    /// Until when to wait for what its process left behind, if it has ended.
    pub(super) fn leftovers_until(&self) -> Option<Timestamp> {
        self.ended.as_ref().map(|(_, until)| *until)
    }

    /// Ends the log and says how the container ended. What is still in the pipes is read first; whoever holds them
    /// open after that is not waited for.
    /// What the kernel keeps for it is the caller's to let go.
    pub(super) fn finish(
        mut self,
        pod: &Pod,
        container: &Container,
        buffer: &mut [u8],
        hear: &mut dyn FnMut(Stream, &[u8]),
    ) -> (Exit, Kept) {
        for output in &mut self.outputs {
            while output.copy(&mut self.log, buffer, hear) {}
            self.log.finish(&mut output.lines);
        }
        let (ended, _) = self.ended.take().expect("a container finishes after its process has ended");
        let code = ended.exit_code();
        let message_bytes = limits::TERMINATION_MESSAGES_BYTES_MAX / pod.containers.len();
        let message_bytes = message_bytes.min(limits::TERMINATION_MESSAGE_BYTES_MAX);
        // A message that cannot be read is none.
        let message = self.message.take().and_then(|file| read_end(file, message_bytes).ok());
        let mut message = last_text(&message.unwrap_or_default(), message_bytes);
        if message.is_empty() && container.termination_message.fallback_to_logs && code != 0 {
            let tail = log_tail(&log_dir(pod, container), self.attempt).unwrap_or_default();
            message = last_text(&tail, message_bytes.min(limits::TERMINATION_LOG_BYTES_MAX));
        }
        let usage = Usage {
            user_micros: ended.user_micros,
            system_micros: ended.system_micros,
            memory_bytes_max: ended.memory_bytes_max,
            log_bytes: self.outputs.iter().map(|output| output.lines.bytes).sum(),
        };
        let out_of_memory = code != 0 && self.cgroup().is_some_and(Cgroup::ran_out_of_memory);
        let kind = if out_of_memory { ExitKind::OutOfMemory } else { ExitKind::Ended };
        (Exit { code, signal: ended.signal, kind, message, usage }, self.kept)
    }
}

impl Input {
    /// Whether it is still open.
    fn flush(&mut self) -> bool {
        while !self.pending.is_empty() {
            match rustix::io::write(&self.pipe, &self.pending) {
                Ok(length) => drop(self.pending.drain(..length)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                // Nobody reads it any more.
                Err(_) => return false,
            }
        }
        !self.is_ending
    }
}

impl Output {
    /// Whether there may be more to read at once.
    fn copy(&mut self, log: &mut Writer, buffer: &mut [u8], hear: &mut dyn FnMut(Stream, &[u8])) -> bool {
        let Some(pipe) = &self.pipe else { return false };
        match rustix::io::read(pipe, &mut *buffer) {
            // The latter is the end of a terminal.
            Ok(0) | Err(Errno::IO) => {
                self.pipe = None;
                false
            }
            Ok(length) => {
                log.write(&mut self.lines, &buffer[..length]);
                hear(self.stream, &buffer[..length]);
                true
            }
            Err(Errno::INTR) => true,
            Err(_) => false,
        }
    }
}

/// The directory of a container's logs.
fn log_dir(pod: &Pod, container: &Container) -> PathBuf {
    pod.log_dir.join(&container.name)
}

/// Begins the log of an attempt, and removes the logs of those that nobody can ask for any more.
fn prepare(pod: &Pod, container: &Container, attempt: u32) -> Result<Writer, String> {
    let failed = |path: &Path, error: io::Error| format!("cannot create {}: {error}", path.display());
    let dir = log_dir(pod, container);
    make_dir(&dir).map_err(|error| failed(&dir, error))?;
    let link = |attempt| {
        let id = state::container_id(&pod.uid, &container.name, attempt);
        pod.log_links_dir.join(files::link_name(&pod.namespace, &pod.name, &container.name, &id))
    };
    if let Some(old) = attempt.checked_sub(2) {
        files::remove(&dir, old);
        // It may have been removed by someone else.
        let _ = fs::remove_file(link(old));
    }
    let path = dir.join(files::file_name(attempt));
    let log = Writer::open(dir, attempt, clock::now).map_err(|error| failed(&path, error))?;
    let link = link(attempt);
    match symlink(path, &link) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(&link, error)),
        _ => Ok(log),
    }
}

/// Makes a directory of logs, and those above it if need be.
fn make_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path)
}

/// The last bytes of a file.
fn read_end(mut file: File, bytes_max: usize) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(bytes_max as u64)))?;
    let mut text = Vec::new();
    file.take(bytes_max as u64).read_to_end(&mut text)?;
    Ok(text)
}

/// The last lines of an attempt's log.
fn log_tail(log_dir: &Path, attempt: u32) -> io::Result<Vec<u8>> {
    let lines = limits::TERMINATION_LOG_LINES_MAX as u64;
    let options = LogOptions { tail_lines: Some(lines), ..LogOptions::default() };
    let mut reader = Reader::open(log_dir.to_owned(), attempt, &options)?;
    let mut tail = Vec::new();
    while let Some(part) = reader.read()? {
        tail.extend_from_slice(&part);
        let surplus = tail.len().saturating_sub(limits::TERMINATION_LOG_BYTES_MAX);
        tail.drain(..surplus);
    }
    Ok(tail)
}

/// The end of a text of at most so many bytes; what is not UTF-8 is replaced.
fn last_text(bytes: &[u8], bytes_max: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let start = text.ceil_char_boundary(text.len().saturating_sub(bytes_max));
    text[start..].to_owned()
}

/// Forces a container's process and everything in its process group to end.
pub(super) fn kill(process: Process) {
    processes::signal_group(process.pid, rustix::process::Signal::KILL);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn logs_of_attempts_that_nobody_can_ask_for_go_with_their_links() {
        let dir = tempfile::tempdir().unwrap();
        let links = dir.path().join("containers");
        fs::create_dir(&links).unwrap();
        let container = json!({
            "name": "c", "role": "regular", "argv": ["true"], "env": [], "cwd": "/", "no_new_privileges": false,
            "mounts": [], "termination_message": { "path": "/x", "required": false, "fallback_to_logs": false },
        });
        let pod: Pod = serde_json::from_value(json!({
            "version": 1, "handler": "process", "namespace": "ns", "name": "p", "uid": "u", "restart_policy": "Always",
            "grace_seconds": 30, "log_dir": dir.path().join("p"), "log_links_dir": links, "memory_volumes": [],
            "containers": [container],
        }))
        .unwrap();
        let names = |dir: &Path| -> Vec<String> {
            let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
            let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names
        };
        let log_dir = log_dir(&pod, &pod.containers[0]);
        for attempt in 0..4 {
            prepare(&pod, &pod.containers[0], attempt).unwrap();
            fs::write(log_dir.join(format!("{attempt}.log.20260101-000000")), "rotated").unwrap();
        }
        assert_eq!(names(&log_dir), ["2.log", "2.log.20260101-000000", "3.log", "3.log.20260101-000000"]);
        let link = |attempt| files::link_name("ns", "p", "c", &state::container_id("u", "c", attempt));
        let mut expected = [link(2), link(3)];
        expected.sort();
        assert_eq!(names(&links), expected);
    }
}
