//! Replacing a file so that it is always whole.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// Writes `content` beside `path`, makes it durable, and renames it over `path`.
///
/// One writer at a time: two would share the file beside.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = beside(path);
    let mut file = File::create(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    // The rename itself is durable once the directory is.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".new");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read as _};

    use super::{File, fs, replace};

    #[test]
    fn a_reader_sees_the_old_file_or_the_new_one_and_nothing_stays_beside() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("position");
        replace(&path, b"old and long")?;
        let mut reader = File::open(&path)?;
        replace(&path, b"new")?;
        let mut seen = String::new();
        reader.read_to_string(&mut seen)?;
        assert_eq!((seen.as_str(), fs::read(&path)?.as_slice()), ("old and long", b"new".as_slice()));
        assert_eq!(fs::read_dir(directory.path())?.count(), 1);
        Ok(())
    }
}
