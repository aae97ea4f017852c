//! Unpacks the archive of a layer into a directory that an overlay mount can use.
//!
//! An archive comes from anywhere. `tar` only parses it; every file is created here, below the layer's directory and
//! nowhere else, and what was created never decides where the next file goes outside of it. Whiteouts become character
//! devices 0:0, which the kernel lets anyone create since 5.8.

mod entry;
mod tree;

#[cfg(test)]
mod tests;

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use tar::{Archive, EntryType};

use self::{
    entry::{Name, Named},
    tree::Tree,
};
use crate::{
    Digest,
    compression::{Budget, Metered, decompressed},
    limits::{ENTRY_HEADER_BYTES_MAX, LAYER_BYTES_MAX, LAYER_ENTRIES_MAX},
};

pub(crate) use self::tree::remove_tree;

/// Who unpacks: decides about owners, devices and the attribute for opaque directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owners {
    /// Root: owners are those of the archive.
    Kept,
    /// Root of a user namespace with some of the machine's users: owners are those of the archive, as far as there are
    /// such.
    Mapped {
        /// The first user, and the first group, of the machine that is not the user's own.
        first: (u32, u32),
        /// How many users and groups there are, the user's own included.
        counts: (u32, u32),
    },
    /// An ordinary user: everything belongs to the user, and set-user-ID and set-group-ID bits are dropped.
    Squashed,
}

/// Of a map of users or groups in which root is an ordinary user and the others are its ranges: the first outside that is
/// not the user's own, and how many there are.
fn ranges_of(map: &str) -> Option<(u32, u32)> {
    let lines = map.lines().map(|line| line.split_whitespace().map(|number| number.parse::<u32>().ok()));
    let mut extents = Vec::new();
    for mut numbers in lines {
        extents.push((numbers.next()??, numbers.next()??, numbers.next()??));
    }
    match extents.as_slice() {
        [(0, own, 1), (1, first, _), ..] if *own != 0 => {
            let count = extents.iter().fold(0_u32, |sum, (_, _, count)| sum.saturating_add(*count));
            Some((*first, count))
        }
        _ => None,
    }
}

impl Owners {
    /// What this process can do.
    pub fn of_this_process() -> Self {
        if !rustix::process::geteuid().is_root() {
            return Self::Squashed;
        }
        let read = |name| ranges_of(&std::fs::read_to_string(format!("/proc/self/{name}")).ok()?);
        match (read("uid_map"), read("gid_map")) {
            (Some((user, users)), Some((group, groups))) => {
                Self::Mapped { first: (user, group), counts: (users, groups) }
            }
            _ => Self::Kept,
        }
    }

    /// Whether files get the owners that the archive says.
    pub fn are_kept(self) -> bool {
        self != Self::Squashed
    }
}

/// What a layer may amount to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub entries_max: u64,
    pub bytes_max: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { entries_max: LAYER_ENTRIES_MAX, bytes_max: LAYER_BYTES_MAX }
    }
}

/// Unpacks an archive (gzip, zstd or plain) into the empty directory `target`, and returns the digest of the
/// decompressed archive, its diffID. `lowers` are the unpacked layers below, lowest first: a directory that the archive
/// does not mention is taken from there.
///
/// # Errors
/// Names the entry and what is wrong with it; the caller throws the directory away.
pub(crate) fn unpack(
    archive: impl Read,
    target: &Path,
    lowers: &[PathBuf],
    owners: Owners,
    bounds: Bounds,
) -> Result<Digest, String> {
    let mut tree = Tree::open(target, lowers, owners).map_err(|e| format!("{}: {e}", target.display()))?;
    let budget = Budget::default();
    let inner = decompressed(archive).map_err(|e| e.to_string())?;
    let mut archive = Archive::new(Metered::new(inner, budget.clone(), bounds.bytes_max));
    budget.set(ENTRY_HEADER_BYTES_MAX);
    let mut bytes_left = bounds.bytes_max;
    let mut entries: u64 = 0;
    for entry in archive.entries().map_err(|e| e.to_string())? {
        let mut entry = entry.map_err(|e| format!("after {entries} entries: {e}"))?;
        entries += 1;
        if entries > bounds.entries_max {
            return Err(format!("more than {} entries", bounds.entries_max));
        }
        budget.set(u64::MAX);
        let shown = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        place(&mut tree, &mut entry, &mut bytes_left).map_err(|problem| format!("`{shown}`: {problem}"))?;
        // What is left of the entry is read here, so that reading the next one reads headers only.
        io::copy(&mut entry, &mut io::sink()).map_err(|e| format!("`{shown}`: {e}"))?;
        budget.set(ENTRY_HEADER_BYTES_MAX);
    }
    let (diff_id, _) = archive.into_inner().finish().map_err(|e| e.to_string())?;
    tree.finish().map_err(|e| format!("directories: {e}"))?;
    Ok(diff_id)
}

fn place<R: Read>(
    tree: &mut Tree,
    entry: &mut tar::Entry<'_, R>,
    bytes_left: &mut u64,
) -> Result<(), String> {
    let kind = entry.header().entry_type();
    if kind == EntryType::XGlobalHeader {
        return Ok(());
    }
    let path = entry.path_bytes().into_owned();
    let named = entry::read_name(&path)?;
    let attributes = entry::attributes(entry, tree.owners())?;
    match named {
        Named::Ignored => return Ok(()),
        Named::Root => {
            return if kind == EntryType::Directory {
                tree.root(&attributes).map_err(text)
            } else {
                Err("the root of the image can only be a directory".to_owned())
            };
        }
        Named::Opaque(directory) => return tree.opaque(&directory).map_err(text),
        Named::Whiteout(name) => return tree.whiteout(&name).map_err(text),
        Named::Plain(name) => match kind {
            // Other readers take what follows for the next entry: the archive would be two archives in one.
            EntryType::Symlink | EntryType::Link | EntryType::Fifo | EntryType::Directory
                if entry.size() > 0 =>
            {
                return Err("content where there can be none".to_owned());
            }
            // Archives from before POSIX know directories by the slash at the end.
            EntryType::Regular if path.ends_with(b"/") => tree.directory(&name, &attributes).map_err(text)?,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let length = entry.size();
                if length > *bytes_left {
                    return Err("the layer is too large once unpacked".to_owned());
                }
                *bytes_left -= length;
                tree.file(&name, &attributes, entry, length).map_err(text)?;
            }
            EntryType::Directory => tree.directory(&name, &attributes).map_err(text)?,
            EntryType::Symlink => tree.symlink(&name, &attributes, &link_target(entry)?).map_err(text)?,
            EntryType::Link => tree.hard_link(&name, &hard_link_target(entry)?).map_err(text)?,
            EntryType::Fifo => tree.fifo(&name, &attributes).map_err(text)?,
            EntryType::Char | EntryType::Block => return device(tree.owners(), &path),
            other => return Err(format!("entries of kind `{}` are not known", char::from(other.as_byte()))),
        },
    }
    Ok(())
}

/// Containers get their devices from the machine's `/dev`, not from an image. Those in an image's own `/dev`, as
/// debootstrap makes them, are covered by that and left out. For an ordinary user the system would refuse the others
/// anyway, and images that carry a few stay usable.
fn device(owners: Owners, path: &[u8]) -> Result<(), String> {
    let relative = path.strip_prefix(b"./").unwrap_or(path);
    let relative = relative.strip_prefix(b"/").unwrap_or(relative);
    match owners {
        _ if relative.starts_with(b"dev/") => Ok(()),
        Owners::Kept => Err("device nodes are not allowed in an image".to_owned()),
        Owners::Mapped { .. } | Owners::Squashed => {
            tracing::warn!(path = %String::from_utf8_lossy(path), "left out a device node of an image");
            Ok(())
        }
    }
}

fn link_target<R: Read>(entry: &tar::Entry<'_, R>) -> Result<Vec<u8>, String> {
    let target = entry.link_name_bytes().ok_or("a link without a target")?.into_owned();
    if target.is_empty() || target.contains(&0) || target.len() >= crate::limits::ENTRY_PATH_BYTES_MAX {
        return Err("a link whose target is empty or too long".to_owned());
    }
    Ok(target)
}

fn hard_link_target<R: Read>(entry: &tar::Entry<'_, R>) -> Result<Name, String> {
    let target = link_target(entry)?;
    match entry::read_name(&target) {
        Ok(Named::Plain(name)) => Ok(name),
        Ok(_) => Err("a hard link to what is no file".to_owned()),
        Err(problem) => Err(format!("hard link to `{}`: {problem}", String::from_utf8_lossy(&target))),
    }
}

fn text(error: impl Into<io::Error>) -> String {
    error.into().to_string()
}
