//! Files that change all at once: the layout in which Kubernetes keeps volumes made of API objects.
//!
//! The files are in a directory whose name begins with `..` and a time. The link `..data` points to it, and is
//! replaced when a new directory is complete. What users see are links through `..data`.

use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
};

use jiff::{Timestamp, tz::TimeZone};

use crate::resolve::FileEntry;

const DATA: &str = "..data";
const NEW_DATA: &str = "..data_tmp";

/// Makes a directory hold these files and no others. Nothing is written if it does already.
pub(super) fn write(dir: &Path, files: &[FileEntry], gid: Option<u32>, now: Timestamp) -> io::Result<()> {
    let old = match fs::read_link(dir.join(DATA)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        old => Some(old?),
    };
    if let Some(old) = &old
        && holds(&dir.join(old), files)?
    {
        return link_all(dir, files);
    }
    // Nanoseconds make the name unique: two changes are never that close.
    let name = now.to_zoned(TimeZone::UTC).strftime("..%Y_%m_%d_%H_%M_%S.%9f").to_string();
    let new = dir.join(&name);
    remove_dir(&new)?;
    write_files(&new, files, gid)?;
    remove_file(&dir.join(NEW_DATA))?;
    symlink(&name, dir.join(NEW_DATA))?;
    fs::rename(dir.join(NEW_DATA), dir.join(DATA))?;
    link_all(dir, files)?;
    match old {
        Some(old) if old != Path::new(&name) => remove_dir(&dir.join(old)),
        _ => Ok(()),
    }
}

fn write_files(dir: &Path, files: &[FileEntry], gid: Option<u32>) -> io::Result<()> {
    make_dir(dir, gid)?;
    for file in files {
        let path = dir.join(&file.path);
        let mut parent = dir.to_owned();
        for name in Path::new(&file.path).parent().into_iter().flat_map(Path::components) {
            parent.push(name);
            if !parent.is_dir() {
                make_dir(&parent, gid)?;
            }
        }
        let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        out.write_all(&file.data)?;
        if let Some(gid) = gid {
            chown(&path, None, Some(gid))?;
        }
        // A group that owns the volume can read all of it (upstream's rule for `fsGroup`).
        let mode = if gid.is_some() { file.mode | 0o440 } else { file.mode };
        out.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(())
}

fn make_dir(path: &Path, gid: Option<u32>) -> io::Result<()> {
    fs::create_dir(path)?;
    if let Some(gid) = gid {
        chown(path, None, Some(gid))?;
    }
    // Not when it is made: there the process's mask would apply.
    let mode = if gid.is_some() { 0o2755 } else { 0o755 };
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Whether a directory has exactly these files.
fn holds(dir: &Path, files: &[FileEntry]) -> io::Result<bool> {
    let mut found = BTreeSet::new();
    if !dir.is_dir() {
        return Ok(false);
    }
    list(dir, dir, &mut found)?;
    let wanted: BTreeSet<&Path> = files.iter().map(|file| Path::new(&file.path)).collect();
    if !found.iter().map(PathBuf::as_path).eq(wanted) {
        return Ok(false);
    }
    for file in files {
        let path = dir.join(&file.path);
        let mode = fs::metadata(&path)?.permissions().mode() & 0o777;
        // Group permissions may have been added for the volume's group.
        if mode & !0o440 != file.mode & !0o440 || fs::read(&path)? != file.data {
            return Ok(false);
        }
    }
    Ok(true)
}

fn list(root: &Path, dir: &Path, found: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list(root, &entry.path(), found)?;
        } else if let Ok(path) = entry.path().strip_prefix(root) {
            found.insert(path.to_owned());
        }
    }
    Ok(())
}

/// Makes the links that users see, and removes those of files that are gone.
fn link_all(dir: &Path, files: &[FileEntry]) -> io::Result<()> {
    let first = |file: &FileEntry| file.path.split('/').next().unwrap_or_default().to_owned();
    let wanted: BTreeSet<String> = files.iter().map(first).collect();
    for name in &wanted {
        match symlink(Path::new(DATA).join(name), dir.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let stale = name.to_str().is_none_or(|name| !name.starts_with("..") && !wanted.contains(name));
        if stale && entry.file_type()?.is_symlink() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn remove_file(path: &Path) -> io::Result<()> {
    missing_is_fine(fs::remove_file(path))
}

fn remove_dir(path: &Path) -> io::Result<()> {
    missing_is_fine(fs::remove_dir_all(path))
}

fn missing_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests;
