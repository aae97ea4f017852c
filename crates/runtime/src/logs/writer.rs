//! Writes a container's output to its log: splits it into records, rotates, and survives a full disk.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    files,
    format::{self, Stream, TimeFormat},
};
use crate::limits;

/// The log of one attempt to run a container.
#[derive(Debug)]
pub(crate) struct Writer {
    dir: PathBuf,
    attempt: u32,
    file: File,
    file_bytes: u64,
    /// When a file is rotated, in bytes.
    file_bytes_max: u64,
    /// Records that are not yet written.
    out: Vec<u8>,
    out_records: u64,
    /// Records that were lost since the last that was written.
    lost_records: u64,
    last_rotation: Timestamp,
    times: TimeFormat,
    clock: fn() -> Timestamp,
}

/// One stream of a container's output, cut into lines.
#[derive(Debug)]
pub(crate) struct Lines {
    stream: Stream,
    /// The beginning of a line whose end has not come yet; shorter than a record may be.
    pending: Vec<u8>,
    /// How many bytes came.
    pub(crate) bytes: u64,
}

impl Lines {
    pub(crate) fn new(stream: Stream) -> Self {
        Lines { stream, pending: Vec::new(), bytes: 0 }
    }
}

impl Writer {
    /// Opens the log of an attempt, whose directory exists.
    pub(crate) fn open(dir: PathBuf, attempt: u32, clock: fn() -> Timestamp) -> io::Result<Self> {
        let file = open(&dir.join(files::file_name(attempt)))?;
        let file_bytes = file.metadata()?.len();
        Ok(Writer {
            dir,
            attempt,
            file,
            file_bytes,
            file_bytes_max: limits::LOG_FILE_BYTES_MAX,
            out: Vec::new(),
            out_records: 0,
            lost_records: 0,
            last_rotation: Timestamp::MIN,
            times: TimeFormat::default(),
            clock,
        })
    }

    /// Writes what came from a stream. Lines that have not ended are kept back, but no longer than a record may be.
    pub(crate) fn write(&mut self, lines: &mut Lines, mut bytes: &[u8]) {
        lines.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = limits::LOG_LINE_BYTES_MAX - lines.pending.len();
            // One byte more than fits may be the end of the line, which takes no room.
            let window = &bytes[..bytes.len().min(room + 1)];
            let (taken, ends) = match window.iter().position(|&b| b == b'\n') {
                Some(end) => (end, true),
                None => (window.len().min(room), false),
            };
            let (content, rest) = bytes.split_at(taken);
            bytes = if ends { &rest[1..] } else { rest };
            if !ends && bytes.is_empty() {
                lines.pending.extend_from_slice(content);
            } else if lines.pending.is_empty() {
                self.push(lines.stream, !ends, content);
            } else {
                lines.pending.extend_from_slice(content);
                self.push(lines.stream, !ends, &lines.pending);
                lines.pending.clear();
            }
        }
        self.flush();
    }

    /// Writes what is left of a stream that has ended.
    pub(crate) fn finish(&mut self, lines: &mut Lines) {
        if !lines.pending.is_empty() {
            self.push(lines.stream, true, &lines.pending);
            lines.pending.clear();
        }
        self.flush();
    }

    fn push(&mut self, stream: Stream, partial: bool, content: &[u8]) {
        format::push_record(&mut self.out, &mut self.times, (self.clock)(), (stream, partial, content));
        self.out_records += 1;
        if self.out.len() >= limits::OUTPUT_READ_BYTES {
            self.flush();
        }
    }

    /// Writes all records. What cannot be written is lost, and counted: the container must not be held up.
    fn flush(&mut self) {
        if self.out.is_empty() {
            return;
        }
        if let Err(_full) = self.report_loss().and_then(|()| self.write_out()) {
            self.lost_records += self.out_records;
        }
        self.out.clear();
        self.out_records = 0;
    }

    /// Tells of lost records in front of the first ones that are not lost.
    fn report_loss(&mut self) -> io::Result<()> {
        if self.lost_records == 0 {
            return Ok(());
        }
        let text = format!("cronlet: {} log records could not be written and are lost", self.lost_records);
        let mut note = Vec::new();
        let record = (Stream::Stderr, false, text.as_bytes());
        format::push_record(&mut note, &mut self.times, (self.clock)(), record);
        self.append(&note)?;
        self.lost_records = 0;
        Ok(())
    }

    fn write_out(&mut self) -> io::Result<()> {
        let out = std::mem::take(&mut self.out);
        let written = self.append(&out);
        self.out = out;
        written
    }

    /// Appends whole records or nothing, to a new file if the current one would become too large.
    fn append(&mut self, records: &[u8]) -> io::Result<()> {
        if self.file_bytes > 0 && self.file_bytes + records.len() as u64 > self.file_bytes_max {
            self.rotate()?;
        }
        if let Err(error) = self.file.write_all(records) {
            self.file.set_len(self.file_bytes)?;
            return Err(error);
        }
        self.file_bytes += records.len() as u64;
        Ok(())
    }

    /// Moves the current file away and begins a new one. The name of the old one is a time, and later than any before.
    fn rotate(&mut self) -> io::Result<()> {
        let next = self.last_rotation.checked_add(SignedDuration::from_secs(1)).unwrap_or(Timestamp::MIN);
        self.last_rotation = (self.clock)().max(next);
        let current = self.dir.join(files::file_name(self.attempt));
        let rotated =
            format!("{}.{}", files::file_name(self.attempt), format::rotation_suffix(self.last_rotation));
        match fs::rename(&current, self.dir.join(rotated)) {
            // It was moved before, but there was no room for a new one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            moved => moved?,
        }
        self.file = open(&current)?;
        self.file_bytes = 0;
        let mut all = files::list(&self.dir, self.attempt)?;
        let surplus = all.len().saturating_sub(limits::LOG_FILES_MAX);
        all.drain(..surplus).for_each(|path| drop(fs::remove_file(path)));
        Ok(())
    }
}

fn open(path: &std::path::Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests;
