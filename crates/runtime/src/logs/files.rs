//! Where the logs of a container are: `<pod's log directory>/<container>/<attempt>.log` and what was rotated from it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Seek as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use rustix::fs::{MemfdFlags, memfd_create};

use crate::limits;

/// The directory of a pod's logs below the log root.
pub fn pod_dir(log_root: &Path, namespace: &str, pod: &str, uid: &str) -> PathBuf {
    log_root.join("pods").join(format!("{namespace}_{pod}_{uid}"))
}

/// The directory below the log root that links to all containers' logs.
pub fn links_dir(log_root: &Path) -> PathBuf {
    log_root.join("containers")
}

/// The name of the link to a container's log: log shippers take pod, namespace and container from it, and the 64
/// digits of the container's ID. Shortened in the middle so that it is a valid file name.
pub fn link_name(namespace: &str, pod: &str, container: &str, id: &str) -> String {
    let tail = format!("-{id}.log");
    let mut name = format!("{pod}_{namespace}_{container}");
    name.truncate(name.floor_char_boundary(limits::FILE_NAME_BYTES_MAX - tail.len()));
    name + &tail
}

/// The name of an attempt's current log file.
pub fn file_name(attempt: u32) -> String {
    format!("{attempt}.log")
}

/// The ends of the names of a compressed file, and of one that is being compressed.
const COMPRESSED: &str = ".gz";
const UNFINISHED: &str = ".tmp";

/// The log files of an attempt in the order they were written, the current one last.
///
/// # Errors
/// If the directory cannot be read. A directory that does not exist has no files.
pub fn list(dir: &Path, attempt: u32) -> io::Result<Vec<PathBuf>> {
    let (current, rotated_prefix) = (file_name(attempt), format!("{}.", file_name(attempt)));
    let mut rotated = Vec::new();
    let mut has_current = false;
    for name in names(dir)? {
        if name == current {
            has_current = true;
        } else if let Some(time) = name.strip_prefix(&rotated_prefix) {
            let time = time.strip_suffix(COMPRESSED).unwrap_or(time);
            if !time.contains('.') {
                rotated.push(name);
            }
        }
    }
    rotated.sort_unstable();
    // For a moment there are both: the compressed one, whose name sorts later, and what it was made of.
    rotated.dedup_by(|later, earlier| later.strip_prefix(&**earlier) == Some(COMPRESSED));
    let all = rotated.into_iter().chain(has_current.then_some(current));
    Ok(all.map(|name| dir.join(name)).collect())
}

/// Opens a log file for reading, and says which inode it has. What is compressed is unpacked, into memory. A plain file
/// is not compressed while it is open: whoever has read it looks for its inode to find the next.
pub(super) fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = match File::open(path) {
        // It was compressed since it was listed.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_compressed(path) => {
            return open(&with_end(path, COMPRESSED));
        }
        file => file?,
    };
    if is_compressed(path) {
        let inode = file.metadata()?.ino();
        return Ok((unpack(file)?, inode));
    }
    file.lock_shared()?;
    let metadata = file.metadata()?;
    if metadata.nlink() == 0 {
        // Whoever compressed it was faster.
        return open(&with_end(path, COMPRESSED));
    }
    Ok((file, metadata.ino()))
}

fn unpack(packed: File) -> io::Result<File> {
    let mut unpacked = File::from(memfd_create("log", MemfdFlags::CLOEXEC)?);
    io::copy(&mut GzDecoder::new(packed), &mut unpacked)?;
    unpacked.rewind()?;
    Ok(unpacked)
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(end);
    path.into()
}

fn is_compressed(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(COMPRESSED.as_bytes())
}

/// The rotated files of an attempt that are to be compressed: all but the newest, which log shippers may not have read
/// to its end (as the kubelet does it).
pub(crate) fn uncompressed(dir: &Path, attempt: u32) -> io::Result<Vec<PathBuf>> {
    let mut rotated = list(dir, attempt)?;
    rotated.truncate(rotated.len().saturating_sub(2));
    rotated.retain(|path| !is_compressed(path));
    Ok(rotated)
}

/// Compresses a rotated file, unless somebody reads it.
///
/// # Errors
/// If there is no room. The file is as it was then.
pub(crate) fn compress(path: &Path) -> io::Result<()> {
    let mut file = File::open(path)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(()),
        locked => locked?,
    }
    let unfinished = with_end(path, UNFINISHED);
    let packed = pack(&mut file, &unfinished)
        .and_then(|()| fs::rename(&unfinished, with_end(path, COMPRESSED)))
        .and_then(|()| fs::remove_file(path));
    if packed.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    packed
}

fn pack(file: &mut File, to: &Path) -> io::Result<()> {
    let packed = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(to)?;
    let mut encoder = GzEncoder::new(packed, Compression::fast());
    io::copy(file, &mut encoder)?;
    encoder.finish()?.flush()
}

/// The latest attempt that has a log.
///
/// # Errors
/// If the directory cannot be read. A directory that does not exist has no files.
pub fn latest_attempt(dir: &Path) -> io::Result<Option<u32>> {
    let attempts = names(dir)?.into_iter().filter_map(|name| name.split_once(".log")?.0.parse().ok());
    Ok(attempts.max())
}

/// Removes all log files of an attempt. A file that cannot be removed is left.
pub(crate) fn remove(dir: &Path, attempt: u32) {
    let (current, rotated_prefix) = (file_name(attempt), format!("{}.", file_name(attempt)));
    let mut names = names(dir).unwrap_or_default();
    names.retain(|name| *name == current || name.starts_with(&rotated_prefix));
    for name in names {
        let _ = fs::remove_file(dir.join(name));
    }
}

fn names(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    entries
        .map(|entry| Ok(entry?.file_name().into_string().ok()))
        .filter_map(Result::transpose)
        .collect::<io::Result<_>>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_valid_file_names_that_end_in_the_id() {
        let id = "0123456789abcdef".repeat(4);
        assert_eq!(link_name("ns", "pod", "c", &id), format!("pod_ns_c-{id}.log"));
        let long = link_name(&"n".repeat(63), &"p".repeat(200), "c", &id);
        assert_eq!(long.len(), 255);
        assert!(long.starts_with('p') && long.ends_with(&format!("-{id}.log")));
    }

    #[test]
    fn files_are_listed_in_the_order_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let names = [
            "1.log",
            "0.log",
            "1.log.20260102-000000",
            "1.log.20260101-235959",
            "1.log.20251231-000000.gz",
            "1.log.20260101-235959.gz",
            "1.log.20260101-235959.tmp",
            "x",
        ];
        for name in names {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let listed = list(dir.path(), 1).unwrap();
        let listed: Vec<_> = listed.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        let expected =
            ["1.log.20251231-000000.gz", "1.log.20260101-235959", "1.log.20260102-000000", "1.log"];
        assert_eq!(listed, expected);
        assert_eq!(latest_attempt(dir.path()).unwrap(), Some(1));
        remove(dir.path(), 1);
        assert_eq!(list(dir.path(), 1).unwrap(), Vec::<PathBuf>::new());
        assert_eq!(latest_attempt(dir.path()).unwrap(), Some(0));
        assert_eq!(latest_attempt(&dir.path().join("missing")).unwrap(), None);
    }

    #[test]
    fn all_rotated_files_but_the_newest_are_compressed_unless_somebody_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let names = ["0.log.20260101-000000", "0.log.20260102-000000", "0.log.20260103-000000", "0.log"];
        names.iter().for_each(|name| fs::write(path(name), *name).unwrap());
        let all = uncompressed(dir.path(), 0).unwrap();
        assert_eq!(all, [path(names[0]), path(names[1])]);

        let reader = open(&all[0]).unwrap();
        all.iter().for_each(|path| compress(path).unwrap());
        assert_eq!(uncompressed(dir.path(), 0).unwrap(), [path(names[0])]);
        drop(reader);
        compress(&all[0]).unwrap();

        assert_eq!(uncompressed(dir.path(), 0).unwrap(), Vec::<PathBuf>::new());
        assert_eq!(self::names(dir.path()).unwrap().len(), names.len());
        for (path, name) in list(dir.path(), 0).unwrap().iter().zip(names) {
            assert_eq!(io::read_to_string(open(path).unwrap().0).unwrap(), name);
        }
    }

    #[test]
    fn what_cannot_be_compressed_is_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log.20260101-000000");
        fs::write(&path, "text").unwrap();
        let target = dir.path().join("0.log.20260101-000000.gz");
        fs::create_dir(&target).unwrap();
        assert!(compress(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
        assert_eq!(names(dir.path()).unwrap().len(), 2);
    }
}
