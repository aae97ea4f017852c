//! The users of the machine that this process has: all of them, its own alone, or its own and a range of further ones.
//!
//! An ordinary user may be given ranges of users and groups (`/etc/subuid`, `/etc/subgid`), which the set-user-ID programs
//! `newuidmap` and `newgidmap` put into a user namespace. In such a namespace the node has what root has over its own
//! files: layers of images keep their owners, and containers may run as anybody.

use std::{
    ffi::OsString,
    fs,
    io::{self, Read as _, Write as _},
    os::fd::AsFd as _,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::{
    process::{Pid, PidfdFlags, getegid, geteuid, pidfd_open},
    thread::{ThreadNameSpaceType, UnshareFlags, move_into_thread_name_spaces},
};

use crate::{
    mounts,
    runtime::directory,
    sys::{self, Fork},
};

/// One line of a map: the first number inside, the first outside, and how many there are.
type Extent = (u32, u32, u32);

/// Whether this process is root of the machine, or of what it has to take for the machine: not of an ordinary user's
/// ranges.
pub fn is_machine_root() -> bool {
    geteuid().is_root() && !has_ranges()
}

/// Whether this program has entered a namespace with ranges of its own accord. Whoever finds themselves root of one, as in
/// a container without root, is root of all that there is.
static ENTERED: AtomicBool = AtomicBool::new(false);

/// Whether this process is root of a namespace with the ranges of an ordinary user, which this program has entered.
pub(crate) fn has_ranges() -> bool {
    ENTERED.load(Ordering::Relaxed)
}

/// Says so of a process that one with ranges has started.
pub(crate) fn inherit_ranges() {
    ENTERED.store(true, Ordering::Relaxed);
}

/// The user and the group of this process outside of its namespace.
pub(crate) fn outside() -> (u32, u32) {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let find = |name, id| own_map(name).ok().and_then(|map| outer(&map, id)).unwrap_or(id);
    (find("uid_map", uid), find("gid_map", gid))
}

/// Moves this process into a namespace with the ranges of its user, in which it is root, if it is an ordinary user's and
/// these are to be had: into that of the pods that an earlier node left in `data_dir`, or into a new one. To be called
/// while there is one thread. Whether it was done; why not, if it should have been possible, is logged.
pub fn enter_ranges(data_dir: Option<&Path>) -> bool {
    if geteuid().is_root() {
        return false;
    }
    match Ranges::of_this_user().and_then(|ranges| ranges.map(|ranges| ranges.enter(data_dir)).transpose()) {
        Ok(entered) => {
            ENTERED.store(entered.is_some(), Ordering::Relaxed);
            entered.is_some()
        }
        Err(error) => {
            tracing::warn!(%error, "the ranges in /etc/subuid and /etc/subgid cannot be used: all containers run as one user");
            false
        }
    }
}

/// Gives a process, which has just been forked into a user namespace below this one, the users and groups of this one
/// under the same numbers.
pub(crate) fn share_with(pid: i32) -> io::Result<()> {
    for name in ["uid_map", "gid_map"] {
        let same: Vec<Extent> =
            own_map(name)?.into_iter().map(|(inside, _, count)| (inside, inside, count)).collect();
        fs::write(format!("/proc/{pid}/{name}"), text_of(&same))?;
    }
    Ok(())
}

/// Lets a process that has ranges be who it is outside again, in a namespace of its own with that user alone.
pub(crate) fn be_outside_of_ranges() -> io::Result<()> {
    if !has_ranges() {
        return Ok(());
    }
    let ((uid, gid), (own_uid, own_gid)) = (outside(), (geteuid().as_raw(), getegid().as_raw()));
    sys::unshare(UnshareFlags::NEWUSER)?;
    mounts::namespace::map_one((uid, own_uid), (gid, own_gid))
}

/// What a user may map, and with which programs.
struct Ranges {
    users: Vec<Extent>,
    groups: Vec<Extent>,
    map_users: PathBuf,
    map_groups: PathBuf,
}

impl Ranges {
    /// Those of this process's user, if there are any and the programs are there.
    fn of_this_user() -> io::Result<Option<Self>> {
        let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
        let name = fs::read_to_string("/etc/passwd").ok().and_then(|passwd| name_of(uid, &passwd));
        let read = |path: &str| match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            text => text,
        };
        let users = map_of(uid, uid, name.as_deref(), &read("/etc/subuid")?);
        let groups = map_of(gid, uid, name.as_deref(), &read("/etc/subgid")?);
        let programs = (find_program("newuidmap"), find_program("newgidmap"));
        Ok(match (users, groups, programs) {
            (Some(users), Some(groups), (Some(map_users), Some(map_groups))) => {
                Some(Ranges { users, groups, map_users, map_groups })
            }
            _ => None,
        })
    }

    fn enter(&self, data_dir: Option<&Path>) -> io::Result<()> {
        // What runs in an earlier namespace can only be entered from within it.
        let mut shims = data_dir.into_iter().flat_map(directory::shims);
        if shims.any(|pid| self.join(pid).is_ok()) {
            return Ok(());
        }
        let (mut ours, mut theirs) = UnixStream::pair()?;
        let pid = match sys::fork()? {
            Fork::Parent(pid) => pid,
            Fork::Child => {
                drop(ours);
                let made = sys::unshare(UnshareFlags::NEWUSER);
                let told = made.and_then(|()| theirs.write_all(b"\0"));
                // Keeps the namespace until this process is in it.
                let _ = told.and_then(|()| theirs.read_exact(&mut [0]));
                sys::exit_now(0);
            }
        };
        drop(theirs);
        let made = ours
            .read_exact(&mut [0])
            .map_err(|_| io::Error::other("this system does not let users make namespaces"));
        let entered = made
            .and_then(|()| map(&self.map_users, pid, &self.users))
            .and_then(|()| map(&self.map_groups, pid, &self.groups))
            .and_then(|()| self.join(pid));
        drop(ours);
        // It ends by itself now.
        let _ = sys::reap(pid);
        entered
    }

    /// Joins the namespace of a process, if that has these ranges.
    fn join(&self, pid: i32) -> io::Result<()> {
        let process = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
        let process = pidfd_open(process, PidfdFlags::empty())?;
        let is_like = |name: &str, wanted: &[Extent]| {
            let text = fs::read_to_string(format!("/proc/{pid}/{name}"))?;
            Ok::<_, io::Error>(extents(&text) == wanted)
        };
        if !is_like("uid_map", &self.users)? || !is_like("gid_map", &self.groups)? {
            return Err(io::Error::other("its namespace has other users"));
        }
        Ok(move_into_thread_name_spaces(process.as_fd(), ThreadNameSpaceType::USER)?)
    }
}

/// Has one of the programs write a map.
fn map(program: &Path, pid: i32, extents: &[Extent]) -> io::Result<()> {
    let numbers = extents.iter().flat_map(|(inside, outside, count)| [inside, outside, count]);
    let output = Command::new(program)
        .arg(pid.to_string())
        .args(numbers.map(u32::to_string))
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{}: {}", program.display(), said.trim())))
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// Maps root to the user (or group) itself, and what follows to the ranges that a table gives the user, by name or number.
/// Nothing without a range. Lines that make no sense are left out.
fn map_of(own: u32, uid: u32, name: Option<&str>, table: &str) -> Option<Vec<Extent>> {
    let number = uid.to_string();
    let mut map = vec![(0, own, 1)];
    let mut next = 1_u32;
    for line in table.lines() {
        let mut fields = line.trim().split(':');
        let is_ours = fields.next().is_some_and(|user| Some(user) == name || user == number);
        let mut value = || fields.next()?.parse::<u32>().ok();
        let (Some(start), Some(count), true) = (value(), value(), is_ours) else { continue };
        let fits = start.checked_add(count).is_some() && next.checked_add(count).is_some();
        if count == 0 || !fits || (start..start + count).contains(&own) {
            continue;
        }
        map.push((next, start, count));
        next += count;
    }
    (map.len() > 1).then_some(map)
}

fn name_of(uid: u32, passwd: &str) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

fn own_map(name: &str) -> io::Result<Vec<Extent>> {
    Ok(extents(&fs::read_to_string(format!("/proc/self/{name}"))?))
}

/// What the kernel writes of a map.
fn extents(text: &str) -> Vec<Extent> {
    let extent = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?))
    };
    text.lines().filter_map(extent).collect()
}

fn text_of(extents: &[Extent]) -> String {
    extents.iter().map(|(inside, outside, count)| format!("{inside} {outside} {count}\n")).collect()
}

/// What a number stands for outside.
fn outer(map: &[Extent], id: u32) -> Option<u32> {
    map.iter().find_map(|(inside, outside, count)| {
        let offset = id.checked_sub(*inside)?;
        (offset < *count).then_some(outside + offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_the_user_and_the_others_are_its_ranges() {
        let table = "root:1:5\nalice:100000:65536\nbroken\nalice:x:5\n1000:300000:10\nbob:500000:65536\nalice:400000:0\n";
        let map = map_of(1000, 1000, Some("alice"), table).unwrap();
        assert_eq!(map, [(0, 1000, 1), (1, 100_000, 65536), (65537, 300_000, 10)]);
        assert_eq!(map_of(1000, 1000, None, table).unwrap(), [(0, 1000, 1), (1, 300_000, 10)]);
        assert_eq!(map_of(1001, 1001, Some("carol"), table), None);
        // Nobody is there twice.
        assert_eq!(map_of(1000, 1000, Some("alice"), "alice:999:5\n"), None);
        assert_eq!(map_of(1000, 1000, Some("alice"), "alice:4294967000:1000\n"), None);
    }

    #[test]
    fn maps_are_read_as_the_kernel_writes_them() {
        let map = extents("         0       1000          1\n         1     100000      65536\n");
        assert_eq!(map, [(0, 1000, 1), (1, 100_000, 65536)]);
        assert_eq!(text_of(&map), "0 1000 1\n1 100000 65536\n");
        assert_eq!(
            [0, 1, 1000, 65536, 65537].map(|id| outer(&map, id)),
            [Some(1000), Some(100_000), Some(100_999), Some(165_535), None]
        );
    }

    #[test]
    fn a_users_name_is_that_of_its_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:100:Alice:/home/alice:/bin/sh\n";
        assert_eq!(name_of(1000, passwd).as_deref(), Some("alice"));
        assert_eq!(name_of(7, passwd), None);
    }
}
