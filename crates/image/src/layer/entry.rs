//! What an entry of an archive asks for: a checked name, a mode, owners, a time and extended attributes.

use std::{
    ffi::OsString,
    io::{self, Read},
    os::unix::ffi::OsStringExt as _,
    path::PathBuf,
};

use super::Owners;
use crate::limits::{ENTRY_NAME_BYTES_MAX, ENTRY_PATH_BYTES_MAX};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Bookkeeping of aufs, which old archives may hold.
const AUFS: &[u8] = b".wh..wh.";
const SET_ID_BITS: u32 = 0o6000;
const XATTR_RECORD: &str = "SCHILY.xattr.";
/// Records by which the content of an entry is not the content of the file.
const SPARSE_RECORD: &str = "GNU.sparse.";

/// A file by its directory, which is relative to the layer and may be empty, and its name there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub directory: PathBuf,
    pub name: OsString,
}

/// What the name of an entry means (OCI image specification, `layer.md`).
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// The root of the image.
    Root,
    /// A file of the image.
    Plain(Name),
    /// This name hides the one of the layers below.
    Whiteout(Name),
    /// This directory hides all there is in the layers below.
    Opaque(PathBuf),
    /// Nothing of the image.
    Ignored,
}

/// Reads a name. A leading slash means the root of the image, as for docker; `..` means nothing good.
pub(super) fn read_name(path: &[u8]) -> Result<Named, String> {
    if path.contains(&0) {
        return Err("a name with a zero byte".to_owned());
    }
    if path.len() >= ENTRY_PATH_BYTES_MAX {
        return Err(format!("a path of more than {ENTRY_PATH_BYTES_MAX} bytes"));
    }
    let mut components: Vec<&[u8]> =
        path.split(|b| *b == b'/').filter(|c| !c.is_empty() && *c != b".").collect();
    if components.iter().any(|c| c.len() > ENTRY_NAME_BYTES_MAX) {
        return Err(format!("a name of more than {ENTRY_NAME_BYTES_MAX} bytes"));
    }
    if components.contains(&&b".."[..]) {
        return Err("`..` in a path".to_owned());
    }
    let Some(last) = components.pop() else { return Ok(Named::Root) };
    if components.iter().any(|c| c.starts_with(AUFS)) {
        return Ok(Named::Ignored);
    }
    if components.iter().any(|c| c.starts_with(WHITEOUT)) {
        return Err("a file below a whiteout".to_owned());
    }
    let directory: PathBuf = components.iter().map(|c| OsString::from_vec(c.to_vec())).collect();
    if last == OPAQUE {
        return Ok(Named::Opaque(directory));
    }
    if last.starts_with(AUFS) {
        return Ok(Named::Ignored);
    }
    let Some(hidden) = last.strip_prefix(WHITEOUT) else {
        return Ok(Named::Plain(Name { directory, name: OsString::from_vec(last.to_vec()) }));
    };
    if matches!(hidden, b"" | b"." | b"..") {
        return Err("a whiteout of nothing, or of a directory above".to_owned());
    }
    Ok(Named::Whiteout(Name { directory, name: OsString::from_vec(hidden.to_vec()) }))
}

/// Everything about a file but its name and content.
#[derive(Debug)]
pub(super) struct Attributes {
    /// Permission bits.
    pub mode: u32,
    /// User and group, or none where owners are squashed.
    pub owner: Option<(u32, u32)>,
    /// Last change, in seconds since 1970.
    pub modified_seconds: i64,
    /// Extended attributes.
    pub extended: Vec<(String, Vec<u8>)>,
}

pub(super) fn attributes<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    owners: Owners,
) -> Result<Attributes, String> {
    let extended = extended(entry, owners)?;
    let header = entry.header();
    let fields = header.as_old();
    let mode = number(header.mode().map(u64::from), &fields.mode)?;
    let mode = u32::try_from(mode & 0o7777).unwrap_or_default();
    let id = |value, field: &[u8]| {
        let id = number(value, field)?;
        // The highest number means "no change" to the system.
        u32::try_from(id).ok().filter(|id| *id != u32::MAX).ok_or(format!("{id} is not a user or group"))
    };
    let (mode, owner) = match owners {
        Owners::Kept => (mode, Some((id(header.uid(), &fields.uid)?, id(header.gid(), &fields.gid)?))),
        Owners::Mapped { counts, .. } => {
            let within = |id: u32, count: u32, table: &str| {
                let problem = || {
                    let count = count - 1;
                    format!(
                        "it belongs to {id}, and there are only {count} in {table}: give this user a larger range"
                    )
                };
                if id < count { Ok(id) } else { Err(problem()) }
            };
            let uid = within(id(header.uid(), &fields.uid)?, counts.0, "/etc/subuid")?;
            let gid = within(id(header.gid(), &fields.gid)?, counts.1, "/etc/subgid")?;
            (mode, Some((uid, gid)))
        }
        Owners::Squashed => (mode & !SET_ID_BITS, None),
    };
    let modified_seconds = header.mtime().ok().and_then(|t| i64::try_from(t).ok()).unwrap_or(0);
    Ok(Attributes { mode, owner, modified_seconds, extended })
}

/// A number of a header. A field left blank is zero, as other readers of tar archives have it.
fn number(value: io::Result<u64>, field: &[u8]) -> Result<u64, String> {
    match value {
        Err(_) if field.iter().all(|b| matches!(b, 0 | b' ')) => Ok(0),
        value => value.map_err(|e| e.to_string()),
    }
}

/// Attributes that mean the same on every machine. Those of overlay mounts would let an archive forge whiteouts and
/// redirects; those of security modules belong to the machine that wrote them.
fn extended<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    owners: Owners,
) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut extended = Vec::new();
    let Some(records) = entry.pax_extensions().map_err(|e| e.to_string())? else { return Ok(extended) };
    for record in records {
        let record = record.map_err(|e| e.to_string())?;
        let Ok(key) = record.key() else { continue };
        if key.starts_with(SPARSE_RECORD) {
            return Err("a sparse file in the format of pax, which is not supported".to_owned());
        }
        let Some(name) = key.strip_prefix(XATTR_RECORD) else { continue };
        let kept = name.starts_with("user.") && !name.starts_with("user.overlay.")
            || name == "security.capability" && owners.are_kept();
        if kept && !name.contains('\0') {
            extended.push((name.to_owned(), record.value_bytes().to_vec()));
        }
    }
    Ok(extended)
}
