//! The time of a job's last run, kept in a file.

use std::{io, path::Path};

use jiff::Timestamp;

use crate::atomic_file;

/// Reads a stamp; `None` if there is none yet.
pub(super) fn read(path: &Path) -> Result<Option<Timestamp>, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => text.trim().parse().map(Some).map_err(|error: jiff::Error| error.to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Replaces a stamp; whoever reads sees the old or the new one, whatever crashes.
pub(super) fn write(path: &Path, last: Timestamp) -> io::Result<()> {
    atomic_file::replace(path, format!("{last}\n").as_bytes())
}
