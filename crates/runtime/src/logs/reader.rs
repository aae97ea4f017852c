//! Reads the log of one attempt across its files, from a place near its end or from its beginning.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use jiff::Timestamp;

use super::{LogOptions, files, format};
use crate::limits;

/// A place in the log of one attempt.
#[derive(Debug)]
pub(crate) struct Reader {
    dir: PathBuf,
    attempt: u32,
    current: Option<Current>,
    /// Read, but not yet a whole record.
    rest: Vec<u8>,
    since: Option<Timestamp>,
    timestamps: bool,
    /// How many bytes may still be handed out.
    budget: u64,
    /// Whether the next record begins a line.
    at_line_start: bool,
}

#[derive(Debug)]
struct Current {
    file: File,
    inode: u64,
}

impl Current {
    /// Opens a file; nothing if it was rotated or removed since it was listed.
    fn open(path: &Path) -> io::Result<Option<Self>> {
        match files::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(|(file, inode)| Some(Current { file, inode })),
        }
    }
}

impl Reader {
    /// Goes to the place where `options` say that reading begins.
    pub(crate) fn open(dir: PathBuf, attempt: u32, options: &LogOptions) -> io::Result<Self> {
        let current = match options.tail_lines {
            Some(lines) => seek_tail(&files::list(&dir, attempt)?, lines)?,
            None => open_first(&files::list(&dir, attempt)?)?,
        };
        Ok(Reader {
            dir,
            attempt,
            current,
            rest: Vec::new(),
            since: options.since,
            timestamps: options.timestamps,
            budget: options.limit_bytes.unwrap_or(u64::MAX),
            at_line_start: true,
        })
    }

    /// The next part of the log: nothing when the end is reached for now, which later calls may go beyond.
    pub(crate) fn read(&mut self) -> io::Result<Option<Bytes>> {
        let mut out = Vec::new();
        while out.is_empty() && self.budget > 0 {
            if self.fill()? == 0 && !self.advance()? {
                return Ok(None);
            }
            self.decode(&mut out);
        }
        Ok((!out.is_empty()).then(|| out.into()))
    }

    /// Whether as much was handed out as may be.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.budget == 0
    }

    fn fill(&mut self) -> io::Result<usize> {
        let Some(current) = &mut self.current else { return Ok(0) };
        current.file.by_ref().take(limits::LOG_READ_BYTES as u64).read_to_end(&mut self.rest)
    }

    /// Goes on to the next file, if the current one has been rotated. Whether there may be more to read.
    fn advance(&mut self) -> io::Result<bool> {
        let files = files::list(&self.dir, self.attempt)?;
        let Some(current) = &self.current else {
            self.current = open_first(&files)?;
            return Ok(self.current.is_some());
        };
        let position = files.iter().position(|path| path.metadata().is_ok_and(|m| m.ino() == current.inode));
        let next = match position {
            Some(position) => position + 1,
            // It was removed after it had been rotated: whatever is left is newer.
            None => 0,
        };
        if next == files.len() || self.fill()? > 0 {
            // In the second case it was added to between the last read and its rotation.
            return Ok(next < files.len());
        }
        self.current = open_first(&files[next..])?;
        Ok(self.current.is_some())
    }

    fn decode(&mut self, out: &mut Vec<u8>) {
        let mut done = 0;
        while let Some(length) = self.rest[done..].iter().position(|&b| b == b'\n') {
            if let Some(record) = format::parse(&self.rest[done..done + length]) {
                let earlier = |since| record.time.parse::<Timestamp>().is_ok_and(|time| time < since);
                if !self.since.is_some_and(earlier) {
                    if self.timestamps && self.at_line_start {
                        out.extend_from_slice(record.time.as_bytes());
                        out.push(b' ');
                    }
                    out.extend_from_slice(record.content);
                    if !record.partial {
                        out.push(b'\n');
                    }
                    self.at_line_start = !record.partial;
                }
            }
            done += length + 1;
        }
        self.rest.drain(..done);
        let granted = self.budget.min(out.len() as u64);
        out.truncate(usize::try_from(granted).unwrap_or(usize::MAX));
        self.budget -= granted;
    }
}

fn open_first(files: &[PathBuf]) -> io::Result<Option<Current>> {
    for path in files {
        // The files after one that is gone are newer.
        if let Some(current) = Current::open(path)? {
            return Ok(Some(current));
        }
    }
    Ok(None)
}

/// Opens the file in which the last `lines` lines begin, at their beginning.
fn seek_tail(files: &[PathBuf], lines: u64) -> io::Result<Option<Current>> {
    let mut tail = Tail { lines, in_line: false };
    let mut oldest = None;
    for path in files.iter().rev() {
        let Some(current) = Current::open(path)? else { continue };
        let start = tail.search(&current.file)?;
        if let Some(start) = start {
            io::Seek::seek(&mut &current.file, io::SeekFrom::Start(start))?;
            return Ok(Some(current));
        }
        oldest = Some(current);
    }
    Ok(oldest)
}

/// Counts lines backwards. A line is the records up to one that is not partial; the last may lack its end.
struct Tail {
    /// How many lines are still to be passed.
    lines: u64,
    /// Whether a record was passed that belongs to a line whose beginning has not been reached.
    in_line: bool,
}

impl Tail {
    /// Where in a file the lines begin, if they do. The file position is left as it was.
    fn search(&mut self, file: &File) -> io::Result<Option<u64>> {
        // `window` holds the file from `low` on, up to the end of the first record that has not been passed.
        let mut low = file.metadata()?.len();
        let mut window = Vec::new();
        loop {
            match window.iter().rposition(|&b| b == b'\n') {
                Some(end) => window.truncate(end + 1),
                None if low == 0 => return Ok((self.lines == 0).then_some(0)),
                None => {
                    extend_back(file, &mut low, &mut window)?;
                    continue;
                }
            }
            let high = low + window.len() as u64;
            let start = loop {
                match window[..window.len() - 1].iter().rposition(|&b| b == b'\n') {
                    Some(end) => break end + 1,
                    None if low == 0 => break 0,
                    None => extend_back(file, &mut low, &mut window)?,
                }
            };
            let partial =
                format::parse(&window[start..window.len() - 1]).is_some_and(|record| record.partial);
            if self.in_line && !partial {
                self.lines -= 1;
                self.in_line = false;
            }
            if self.lines == 0 {
                return Ok(Some(high));
            }
            self.in_line = true;
            window.truncate(start);
        }
    }
}

/// Puts the block before `low` in front of `window`.
fn extend_back(file: &File, low: &mut u64, window: &mut Vec<u8>) -> io::Result<()> {
    let step = (limits::LOG_READ_BYTES as u64).min(*low);
    let mut block = vec![0; usize::try_from(step).expect("a block fits in memory")];
    file.read_exact_at(&mut block, *low - step)?;
    block.append(window);
    *low -= step;
    *window = block;
    Ok(())
}
