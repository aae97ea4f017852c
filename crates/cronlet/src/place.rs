//! Where things lie on this machine: data, logs, and the kubeconfig of the node.

use std::path::{Path, PathBuf};

use anyhow::Context;
use cronlet_runtime::users;

/// The name of the admin kubeconfig below the data directory.
pub const KUBECONFIG_NAME: &str = "admin.kubeconfig";

/// The data directory that was asked for, or the default: `/var/lib/cronlet` as root, else `cronlet` below the
/// user's state directory.
///
/// # Errors
/// If there is no default because neither XDG_STATE_HOME nor HOME is set.
pub fn data_dir(asked: Option<&Path>) -> anyhow::Result<PathBuf> {
    match asked {
        Some(dir) => {
            std::path::absolute(dir).with_context(|| format!("{}: not a usable path", dir.display()))
        }
        None if users::is_machine_root() => Ok(PathBuf::from("/var/lib/cronlet")),
        None => Ok(state_home()
            .context("no place for data: set HOME or XDG_STATE_HOME, or give --data-dir")?
            .join("cronlet")),
    }
}

/// The log root that was asked for, or the default: `/var/log` as root, where log collectors look, else `log` below
/// the data directory.
pub fn log_root(asked: Option<&Path>, data_dir: &Path) -> anyhow::Result<PathBuf> {
    match asked {
        Some(dir) => {
            std::path::absolute(dir).with_context(|| format!("{}: not a usable path", dir.display()))
        }
        None if users::is_machine_root() => Ok(PathBuf::from("/var/log")),
        None => Ok(data_dir.join("log")),
    }
}

/// The store of images of a node with this data directory.
pub fn images(data_dir: &Path) -> PathBuf {
    data_dir.join("images")
}

/// The host's name, which the node object bears.
pub fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    let clean: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '.' { c } else { '-' })
        .collect();
    let trimmed = clean.trim_matches(|c| c == '-' || c == '.');
    if trimmed.is_empty() { "localhost".to_owned() } else { trimmed.to_owned() }
}

fn state_home() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")))
}
