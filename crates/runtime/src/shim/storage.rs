//! Holds a pod to what it may keep on the node's disk: measures it from time to time, in a process of its own, because
//! that takes long where there are many files.

use std::{
    collections::HashSet,
    io,
    os::fd::{AsFd, OwnedFd},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};
use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat},
    process::{Signal, nice, set_parent_process_death_signal},
};

use super::launch;
use crate::{
    limits, processes,
    spec::StorageLimit,
    sys::{self, Fork},
};

/// What the kernel counts the size of files on a disk in.
const BLOCK_BYTES: u64 = 512;

/// Measures a pod now and then.
#[derive(Debug)]
pub(super) struct Gauge {
    /// When to measure next; absent while that is done.
    next_at: Option<Timestamp>,
    pause: SignedDuration,
    under_way: Option<Measuring>,
}

#[derive(Debug)]
struct Measuring {
    pid: i32,
    answer: OwnedFd,
}

impl Gauge {
    /// First soon after the start, so that short pods are looked at as well.
    pub(super) fn new(now: Timestamp) -> Self {
        let pause = limits::STORAGE_PAUSE_FIRST;
        Gauge { next_at: now.checked_add(pause).ok(), pause, under_way: None }
    }

    /// When to measure next, if that is to be waited for.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.next_at
    }

    /// Begins to measure if it is time; whether there is a new child.
    pub(super) fn begin(&mut self, bounds: &[StorageLimit], now: Timestamp) -> bool {
        if self.next_at.is_none_or(|at| now < at) {
            return false;
        }
        self.under_way = start(bounds).ok();
        self.next_at = None;
        if self.under_way.is_none() {
            self.put_off(now);
        }
        self.under_way.is_some()
    }

    /// The process that measures.
    pub(super) fn process(&self) -> Option<i32> {
        self.under_way.as_ref().map(|measuring| measuring.pid)
    }

    /// Takes in that the process that measured has ended: which bound is exceeded, if one is.
    pub(super) fn finish(&mut self, now: Timestamp) -> Option<usize> {
        let Measuring { answer, .. } = self.under_way.take()?;
        self.put_off(now);
        let mut text = [0; 20];
        let length = rustix::io::read(&answer, &mut text).unwrap_or(0);
        std::str::from_utf8(&text[..length]).ok()?.parse().ok()
    }

    fn put_off(&mut self, now: Timestamp) {
        self.next_at = now.checked_add(self.pause).ok();
        self.pause = (self.pause * 2).min(limits::STORAGE_PAUSE_MAX);
    }

    /// Ends what is under way.
    pub(super) fn stop(&mut self) {
        self.next_at = None;
        self.process().iter().for_each(|pid| processes::signal(*pid, Signal::KILL));
    }
}

fn start(bounds: &[StorageLimit]) -> io::Result<Measuring> {
    let (answer, child_answer) = launch::pipe()?;
    match sys::fork()? {
        Fork::Parent(pid) => Ok(Measuring { pid, answer }),
        Fork::Child => {
            let child = || {
                set_parent_process_death_signal(Some(Signal::KILL))?;
                // The pod's own work goes first.
                let _ = nice(10);
                let exceeded = bounds.iter().position(exceeds);
                if let Some(position) = exceeded {
                    // Few bytes: the pipe has room for them.
                    rustix::io::write(&child_answer, position.to_string().as_bytes())?;
                }
                Ok::<_, io::Error>(())
            };
            // A panic must not go on into what the shim was doing.
            let done = catch_unwind(AssertUnwindSafe(child));
            sys::exit_now(i32::from(!matches!(done, Ok(Ok(())))));
        }
    }
}

/// Whether more is kept than may be.
fn exceeds(bound: &StorageLimit) -> bool {
    let mut count = Count { bytes: 0, bytes_max: bound.bytes_max, linked: HashSet::new() };
    // What is not there holds nothing, and what cannot be looked into is not counted.
    bound.paths.iter().for_each(|path| count.add_path(path));
    count.is_full()
}

/// How many bytes are kept on the disk below some paths.
pub(crate) fn used(paths: &[PathBuf]) -> u64 {
    let mut count = Count { bytes: 0, bytes_max: u64::MAX, linked: HashSet::new() };
    paths.iter().for_each(|path| count.add_path(path));
    count.bytes
}

struct Count {
    bytes: u64,
    bytes_max: u64,
    /// The files with several names that were counted.
    linked: HashSet<(u64, u64)>,
}

impl Count {
    fn is_full(&self) -> bool {
        self.bytes > self.bytes_max
    }

    fn add_path(&mut self, path: &Path) {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(dir) = openat(CWD, path, flags, Mode::empty()) else { return };
        let Ok(stat) = rustix::fs::fstat(&dir) else { return };
        self.add_dir(&dir, stat.st_dev);
    }

    /// Adds what is in a directory and below. No link is followed, nor a mount: a container may have replaced what was
    /// there a moment ago. As deep as there are descriptors.
    fn add_dir(&mut self, dir: &OwnedFd, device: u64) {
        let Ok(entries) = Dir::read_from(dir) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if self.is_full() {
                return;
            }
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(stat) = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if stat.st_dev != device || stat.st_nlink > 1 && !self.is_new(&stat) {
                continue;
            }
            self.bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * BLOCK_BYTES;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let below = openat(dir.as_fd(), name, flags, Mode::empty());
                below.iter().for_each(|below| self.add_dir(below, device));
            }
        }
    }

    /// Directories have as many links as they have directories in them, and one name.
    fn is_new(&mut self, stat: &rustix::fs::Stat) -> bool {
        FileType::from_raw_mode(stat.st_mode) == FileType::Directory
            || self.linked.insert((stat.st_dev, stat.st_ino))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn bound(paths: &[&Path], bytes_max: u64) -> StorageLimit {
        let paths = paths.iter().map(|path| path.to_path_buf()).collect();
        StorageLimit { paths, bytes_max, message: String::new() }
    }

    #[test]
    fn what_is_kept_is_counted_once_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (own, other) = (dir.path().join("own"), dir.path().join("other"));
        fs::create_dir_all(own.join("deep/er")).unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(own.join("deep/er/file"), vec![1; 1 << 20]).unwrap();
        fs::write(other.join("file"), vec![1; 4 << 20]).unwrap();
        fs::hard_link(own.join("deep/er/file"), own.join("again")).unwrap();
        symlink(&other, own.join("link")).unwrap();
        assert!(exceeds(&bound(&[&own], (1 << 20) - 1)));
        assert!(!exceeds(&bound(&[&own], (1 << 20) + (64 << 10))), "directories take little");
        assert!(exceeds(&bound(&[&own, &other], 5 << 20)), "directories take something");
        assert!(!exceeds(&bound(&[&dir.path().join("absent"), &own.join("link")], 1)));
    }

    #[test]
    fn a_file_of_holes_takes_no_room() {
        let dir = tempfile::tempdir().unwrap();
        fs::File::create(dir.path().join("holes")).unwrap().set_len(1 << 40).unwrap();
        assert!(!exceeds(&bound(&[dir.path()], 1 << 20)));
    }

    #[test]
    fn it_is_measured_soon_and_then_at_leisure() {
        let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
        let mut gauge = Gauge::new(at(0));
        let mut times = Vec::new();
        for _ in 0..6 {
            let next = gauge.next_at().unwrap();
            times.push(next.as_second());
            gauge.next_at = None;
            gauge.put_off(next);
        }
        assert_eq!(times, [1, 2, 4, 8, 16, 26]);
    }
}
