//! The journal of a pod: what its shim was told, and what happened then. Begun by the server, appended to by the shim,
//! and read by whoever wants to know.
//!
//! A file of lines, each `<crc32> <record>\n`: eight hexadecimal digits over the bytes of the record, which is JSON.
//! Records count up from 1, and the first is the pod's specification. Whatever follows the first line that is not as
//! it must be was torn off by a crash of the machine and does not count.
//!
//! As long as a shim runs it holds a lock on the journal, by which others find its process.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use jiff::Timestamp;
use rustix::{
    fs::{FlockOperation, fcntl_lock},
    process::{Flock, FlockOffsetType, FlockType, Pid, fcntl_getlk},
};
use serde::{Deserialize, Serialize};

use crate::{limits, spec};

/// Name of the file in the pod's directory.
pub const FILE_NAME: &str = "journal";

/// The checksum in front of a record: eight digits and a space.
const PREFIX_BYTES: usize = 9;

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Position in the journal, from 1.
    pub seq: u64,
    /// When it happened.
    pub time: Timestamp,
    /// What happened.
    pub event: Event,
}

/// Something that happened to a pod or to one of its containers, which is named.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// What the shim is told. The first record and no other.
    Specified(Box<spec::Pod>),
    /// A container is this from now on, with another image than before. If it runs, it is ended and started anew.
    Respecified(Box<spec::Container>),
    /// A shim took the pod over: the first one, or another one after the end of its predecessor.
    Opened {
        /// Version of the shim.
        version: String,
        /// Process ID of the shim.
        pid: i32,
        /// The boot of the machine, as the kernel names it.
        boot_id: String,
    },
    /// A container's program was executed.
    Started {
        /// The container.
        container: String,
        /// How often it had been started before.
        attempt: u32,
        /// Its process, which leads a session and process group of its own.
        pid: i32,
        /// When the kernel says the process started, in clock ticks since the boot: with `pid` it names the process.
        ticks: u64,
    },
    /// A container could not be started as asked and was not started at all; it is tried again.
    Refused {
        /// The container.
        container: String,
        /// The volume that could not be mounted, if it was one.
        volume: String,
        /// Why not.
        message: String,
        /// When it is tried again.
        retry_at: Timestamp,
    },
    /// A container is asked to end.
    Killing {
        /// The container.
        container: String,
        /// When it is forced to.
        until: Timestamp,
        /// Whether nothing makes that earlier any more: its hook took so long that this is the least it is granted.
        #[serde(default)]
        firm: bool,
    },
    /// A container runs that is not held to its limits.
    Unlimited {
        /// The container.
        container: String,
        /// How often it had been started before.
        attempt: u32,
        /// Why not.
        message: String,
    },
    /// A container's pod had as many processes as it may, and could start no more.
    Crowded {
        /// The container.
        container: String,
        /// How often it had been started before.
        attempt: u32,
    },
    /// A hook of a container has ended.
    Hooked {
        /// The container.
        container: String,
        /// How often it had been started before.
        attempt: u32,
        /// Which one.
        hook: Hook,
        /// Why it failed, if it did.
        failure: Option<String>,
    },
    /// A probe of a container said something that is to be told.
    Probed {
        /// The container.
        container: String,
        /// How often it had been started before.
        attempt: u32,
        /// Which one.
        probe: spec::ProbeKind,
        /// What it said.
        said: Said,
        /// Whether it has said so often enough to be believed.
        settled: bool,
    },
    /// A container ended, and all that it wrote is in its log.
    Exited {
        /// The container.
        container: String,
        /// How often it had been started before.
        attempt: u32,
        /// How it ended.
        exit: Exit,
    },
    /// The pod as a whole is asked to end.
    Stopping {
        /// Why.
        cause: StopCause,
        /// When it is forced to.
        until: Timestamp,
        /// Whether there is no time for hooks: it was granted none. Before version 3 that did not matter.
        #[serde(default)]
        at_once: bool,
    },
    /// The pod as a whole is ended because it kept more on the node's disk than it may.
    Evicted {
        /// What is said of it.
        message: String,
        /// When it is forced to end.
        until: Timestamp,
    },
    /// The shim cannot do its work.
    GaveUp {
        /// Why not.
        message: String,
    },
    /// No process of the pod is left and none will be started.
    Finished,
}

/// When a hook is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Hook {
    /// When the container has started.
    PostStart,
    /// Before it is asked to end.
    PreStop,
}

/// What came of one call of a probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Said {
    /// All is well.
    Success,
    /// It is not, and what was heard.
    Failure(String),
    /// The call could not be made, and why: it does not count.
    Unknown(String),
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exit {
    /// Its exit code; 128 and the signal's number if a signal ended it.
    pub code: i32,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// What kind of end it was.
    pub kind: ExitKind,
    /// Its termination message, or why it could not be started.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What it used.
    pub usage: Usage,
}

/// What kind of end a container had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ExitKind {
    /// Its process ended.
    Ended,
    /// Its process ended, after one of the container was killed because it used more memory than it may.
    OutOfMemory,
    /// Its program could not be executed.
    StartError,
    /// Its process is gone and nobody saw how it ended.
    Lost,
}

/// What the process of a container, and the children it waited for, used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// CPU time in user mode, in microseconds.
    pub user_micros: u64,
    /// CPU time in the kernel, in microseconds.
    pub system_micros: u64,
    /// Largest resident memory of one process, in bytes.
    pub memory_bytes_max: u64,
    /// What it wrote to its output, in bytes.
    pub log_bytes: u64,
}

/// Why a pod as a whole is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StopCause {
    /// Someone asked for it: the pod is being deleted, or the node is to be emptied.
    Request,
    /// It was active for longer than `spec.activeDeadlineSeconds`.
    Deadline,
    /// It kept more on the node's disk than it may.
    Evicted,
}

impl Record {
    /// Appends the record's line to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[b' '; PREFIX_BYTES]);
        serde_json::to_writer(&mut *out, self).expect("records serialise to JSON");
        let checksum = crc32fast::hash(&out[start + PREFIX_BYTES..]);
        write!(&mut out[start..start + PREFIX_BYTES - 1], "{checksum:08x}")
            .expect("the prefix has room for it");
        out.push(b'\n');
    }

    /// The record in a line without its end; nothing if the line is not as it was written.
    fn decode(line: &[u8]) -> Option<Record> {
        let (checksum, json) = line.split_at_checked(PREFIX_BYTES)?;
        let checksum = std::str::from_utf8(checksum).ok()?.strip_suffix(' ')?;
        if u32::from_str_radix(checksum, 16).ok()? != crc32fast::hash(json) {
            return None;
        }
        serde_json::from_slice(json).ok()
    }

    /// Whether the record must survive a crash of the machine before anyone is told of it.
    pub fn is_final(&self) -> bool {
        matches!(self.event, Event::Exited { .. } | Event::Finished)
    }
}

/// Reads a journal from its beginning and then whatever is added.
#[derive(Debug)]
pub struct Reader {
    file: File,
    /// Read and not yet decoded: at most the beginning of a record.
    rest: Vec<u8>,
    decoder: Decoder,
}

/// Takes lines apart until one is damaged.
#[derive(Debug, Default)]
struct Decoder {
    seq: u64,
    bytes: u64,
    damaged: bool,
}

impl Decoder {
    /// Decodes all whole lines at the start of `buffer` and removes them.
    fn drain(&mut self, buffer: &mut Vec<u8>, records: &mut Vec<Record>) {
        let mut done = 0;
        while let Some(length) = buffer[done..].iter().position(|&b| b == b'\n') {
            let record = Record::decode(&buffer[done..done + length]);
            match record {
                Some(record) if !self.damaged && record.seq == self.seq + 1 => {
                    self.seq = record.seq;
                    self.bytes += length as u64 + 1;
                    records.push(record);
                }
                _ => self.damaged = true,
            }
            done += length + 1;
        }
        buffer.drain(..done);
        self.damaged |= buffer.len() > limits::JOURNAL_RECORD_BYTES_MAX;
    }
}

impl Reader {
    /// Opens the journal of the pod whose directory is `pod_dir`.
    ///
    /// # Errors
    /// If there is none.
    pub fn open(pod_dir: &Path) -> io::Result<Self> {
        let file = File::open(pod_dir.join(FILE_NAME))?;
        Ok(Reader { file, rest: Vec::new(), decoder: Decoder::default() })
    }

    /// The records that were added since the last call.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(&mut self) -> io::Result<Vec<Record>> {
        let mut records = Vec::new();
        self.file.read_to_end(&mut self.rest)?;
        self.decoder.drain(&mut self.rest, &mut records);
        Ok(records)
    }

    /// The process ID of the shim, if one runs.
    ///
    /// # Errors
    /// If the file system does not know of locks.
    pub fn shim(&self) -> io::Result<Option<i32>> {
        let lock = Flock {
            start: 0,
            length: 0,
            pid: None,
            typ: FlockType::WriteLock,
            offset_type: FlockOffsetType::Set,
        };
        let holder = fcntl_getlk(&self.file, &lock)?;
        Ok(holder.and_then(|holder| holder.pid).map(Pid::as_raw_pid))
    }
}

/// Appends to a journal. There is one writer at a time: the server, and from then on shims.
#[derive(Debug)]
pub(crate) struct Writer {
    file: File,
    seq: u64,
    pending: Vec<u8>,
    pending_final: bool,
}

impl Writer {
    /// Begins the journal of the pod whose directory is `pod_dir`.
    pub(crate) fn create(pod_dir: &Path) -> io::Result<Self> {
        let mut options = File::options();
        let file =
            options.write(true).create(true).truncate(true).mode(0o600).open(pod_dir.join(FILE_NAME))?;
        Ok(Writer { file, seq: 0, pending: Vec::new(), pending_final: false })
    }

    /// Opens a journal as a shim, cuts off what is damaged, and returns what it holds. Nothing if it is another
    /// shim's.
    ///
    /// The lock is given up when this process closes the file, whichever of its descriptors it closes: nothing else in
    /// a shim may open it.
    pub(crate) fn open(pod_dir: &Path) -> io::Result<Option<(Self, Vec<Record>)>> {
        let mut file = File::options().read(true).write(true).open(pod_dir.join(FILE_NAME))?;
        if fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(None);
        }
        let (mut content, mut records, mut decoder) = (Vec::new(), Vec::new(), Decoder::default());
        file.read_to_end(&mut content)?;
        let length = content.len() as u64;
        decoder.drain(&mut content, &mut records);
        if decoder.bytes < length {
            file.set_len(decoder.bytes)?;
            file.seek(SeekFrom::Start(decoder.bytes))?;
        }
        Ok(Some((Writer { file, seq: decoder.seq, pending: Vec::new(), pending_final: false }, records)))
    }

    /// Adds a record, which is written with the next [`Writer::flush`].
    pub(crate) fn push(&mut self, time: Timestamp, event: Event) -> Record {
        self.seq += 1;
        let record = Record { seq: self.seq, time, event };
        record.encode(&mut self.pending);
        self.pending_final |= record.is_final();
        record
    }

    /// How many records there are, those included that are not written yet.
    pub(crate) fn len(&self) -> u64 {
        self.seq
    }

    /// Writes what was added, and makes it durable if that is asked of one of the records. After an error, the same
    /// records are written again by the next call.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let start = self.file.stream_position()?;
        let mut written = self.file.write_all(&self.pending);
        if self.pending_final {
            written = written.and_then(|()| self.file.sync_data());
        }
        if let Err(error) = written {
            self.file.set_len(start)?;
            self.file.seek(SeekFrom::Start(start))?;
            return Err(error);
        }
        self.pending.clear();
        self.pending_final = false;
        Ok(())
    }
}

/// What the shim was told: the first record of a journal, with what has changed since.
pub(crate) fn specification(records: &[Record]) -> Option<spec::Pod> {
    let Some(Record { seq: 1, event: Event::Specified(pod), .. }) = records.first() else { return None };
    let mut pod = pod.as_ref().clone();
    for record in records {
        if let Event::Respecified(container) = &record.event {
            pod.respecify(container);
        }
    }
    Some(pod)
}

#[cfg(test)]
mod tests;
