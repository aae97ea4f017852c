//! Where the logs of a container are: `<pod's log directory>/<container>/<attempt>.log` and what was rotated from it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

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

/// The log files of an attempt in the order they were written, the current one last. Compressed ones are left out.
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
        } else if name.strip_prefix(&rotated_prefix).is_some_and(|suffix| !suffix.contains('.')) {
            rotated.push(name);
        }
    }
    rotated.sort_unstable();
    let all = rotated.into_iter().chain(has_current.then_some(current));
    Ok(all.map(|name| dir.join(name)).collect())
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
    for path in list(dir, attempt).unwrap_or_default() {
        let _ = fs::remove_file(path);
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
            "x",
        ];
        for name in names {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let listed = list(dir.path(), 1).unwrap();
        let listed: Vec<_> = listed.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(listed, ["1.log.20260101-235959", "1.log.20260102-000000", "1.log"]);
        assert_eq!(latest_attempt(dir.path()).unwrap(), Some(1));
        remove(dir.path(), 1);
        assert_eq!(list(dir.path(), 1).unwrap(), Vec::<PathBuf>::new());
        assert_eq!(latest_attempt(&dir.path().join("missing")).unwrap(), None);
    }
}
