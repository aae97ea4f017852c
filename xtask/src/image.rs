//! A small image of Debian's static busybox, for nodes that run containers and for their peers.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail, ensure};
use serde_json::json;

use crate::node::Node;

/// Where Debian's `busybox-static` puts it.
const BUSYBOX: &str = "/bin/busybox";
/// The image's name.
pub const NAME: &str = "bench:1";

/// Whether there is what the image is made of.
pub fn can_be_made() -> bool {
    Path::new(BUSYBOX).exists()
}

/// The files of an image and the archive of it, in a directory of the caller's.
pub struct BusyboxImage {
    /// Its file system.
    pub rootfs: PathBuf,
    /// As `docker save` writes it.
    pub archive: PathBuf,
}

impl BusyboxImage {
    /// Makes the image; `extra` are more files for it, by name, with their content.
    ///
    /// # Errors
    /// If busybox is not installed, or the directory cannot be written to.
    pub fn make(directory: &Path, extra: &[(&str, &[u8])]) -> anyhow::Result<Self> {
        ensure!(can_be_made(), "{BUSYBOX}: not there; Debian's busybox-static has it");
        let rootfs = directory.join("rootfs");
        fs::create_dir_all(rootfs.join("bin"))?;
        fs::copy(BUSYBOX, rootfs.join("bin/busybox"))?;
        for name in ["cat", "dd", "echo", "sh", "sleep", "true"] {
            symlink("busybox", rootfs.join("bin").join(name))?;
        }
        for (name, content) in extra {
            fs::write(rootfs.join(name), content)?;
        }
        let archive = archive(directory, &rootfs)?;
        Ok(BusyboxImage { rootfs, archive })
    }

    /// Puts it into a node's store, as its user would.
    ///
    /// # Errors
    /// If the node's program refuses it.
    pub fn import_into(&self, node: &Node) -> anyhow::Result<()> {
        run(node.cronlet().args(["image", "import"]).arg(&self.archive))
    }
}

fn archive(directory: &Path, rootfs: &Path) -> anyhow::Result<PathBuf> {
    run(Command::new("tar").arg("-C").arg(rootfs).arg("-cf").arg(directory.join("0.tar")).arg("."))?;
    let sum = Command::new("sha256sum").arg(directory.join("0.tar")).output()?;
    let sum = String::from_utf8(sum.stdout)?;
    let digest = sum.split_whitespace().next().context("sha256sum prints a sum")?;
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = json!({
        "os": "linux", "architecture": architecture, "config": {"Env": ["PATH=/bin"], "Cmd": ["true"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
    });
    let manifest = json!([{"Config": "c.json", "RepoTags": [NAME], "Layers": ["0.tar"]}]);
    fs::write(directory.join("c.json"), config.to_string())?;
    fs::write(directory.join("manifest.json"), manifest.to_string())?;
    let archive = directory.join("image.tar");
    let files = ["c.json", "0.tar", "manifest.json"];
    run(Command::new("tar").arg("-C").arg(directory).arg("-cf").arg(&archive).args(files))?;
    Ok(archive)
}

/// Runs a command that must succeed.
///
/// # Errors
/// If it does not; the message is what it wrote.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("{:?}", command.get_program()))?;
    if !output.status.success() {
        bail!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
