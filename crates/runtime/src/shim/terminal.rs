//! Terminals of containers and of the programs that are run in them.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    fs::{Mode, OFlags, fchown, open},
    process::{Gid, Uid, ioctl_tiocsctty},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use crate::spec::Container;

/// The two sides of a terminal.
pub(super) struct Terminal {
    pub(super) ours: File,
    pub(super) theirs: OwnedFd,
}

impl Terminal {
    /// Makes a terminal; in a container with an image, one of the container's.
    pub(super) fn open() -> io::Result<Self> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let theirs = open(ptsname(&ours, Vec::new())?, flags, Mode::empty())?;
        Ok(Terminal { ours: File::from(ours), theirs })
    }

    /// Makes it the terminal of this process, which leads a session, and the container's user its owner.
    pub(super) fn take(&self, container: &Container) -> io::Result<()> {
        ioctl_tiocsctty(&self.theirs)?;
        if let Some(identity) = &container.identity {
            // Programs open it again by its name. In a user namespace with one user it is that one's already.
            let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
            let _ = fchown(&self.theirs, Some(uid), Some(gid));
        }
        Ok(())
    }
}

/// Sets the size of a terminal by either of its sides. Its programs are told.
pub(crate) fn resize(terminal: impl AsFd, columns: u16, rows: u16) {
    // One that is gone has no size.
    let _ = tcsetwinsize(terminal, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 });
}
