//! What others take for the same: `crun run`, `runc run` and `podman run` of `true`; `umoci unpack` of an image.
//! Those that are not installed are named and left out.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use anyhow::Context;
use serde_json::{Value, json};

use super::Row;
use crate::{
    image::{self, BusyboxImage, run as must_run},
    node::Node,
};

/// Files in the image that is unpacked, and the bytes of each.
const FILES: usize = 2_000;
const FILE_BYTES: usize = 64 << 10;

/// What a peer took for each container, in ms.
pub struct Peer {
    pub name: &'static str,
    pub took: Vec<f64>,
}

/// Runs `count` containers of `true` with each peer, so many at once.
///
/// # Errors
/// If a peer that is installed cannot do it.
pub fn run(image: &BusyboxImage, count: usize, at_once: usize) -> anyhow::Result<Vec<Peer>> {
    let mut peers = Vec::new();
    for name in ["crun", "runc"].into_iter().filter(|name| is_installed(name)) {
        let bundle = bundle(name, image)?;
        let command = |number| {
            let id = format!("cronlet-bench-{at_once}-{number}");
            let mut command = Command::new(name);
            command.args(["run", "--bundle"]).arg(&bundle).arg(id);
            command
        };
        peers.extend(measured(name, count, at_once, command)?);
    }
    if is_installed("podman") {
        must_run(Command::new("podman").args(["load", "--quiet", "--input"]).arg(&image.archive))?;
        let command = |_| {
            let mut command = Command::new("podman");
            // Its own bounds may be higher than this process may set.
            command.args(["run", "--rm", "--network", "host", "--ulimit", "nofile=1024:1024"]);
            command.args(["--ulimit", "nproc=1024:1024", image::NAME, "true"]);
            command
        };
        peers.extend(measured("podman", count / 4, at_once, command)?);
    }
    Ok(peers)
}

/// A peer that cannot run a container on this machine is named and left out.
fn measured(
    name: &'static str,
    count: usize,
    at_once: usize,
    command: impl Fn(usize) -> Command + Sync,
) -> anyhow::Result<Option<Peer>> {
    if let Err(error) = must_run(&mut command(count)) {
        eprintln!("bench: not measured beside {name}: {error:#}");
        return Ok(None);
    }
    Ok(Some(Peer { name, took: timed(count, at_once, command).with_context(|| name)? }))
}

fn is_installed(program: &str) -> bool {
    let installed =
        Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !installed {
        eprintln!("bench: not measured beside {program}, which is not installed");
    }
    installed
}

/// A bundle as the peer itself proposes it, for `true` in the image's file system.
fn bundle(peer: &str, image: &BusyboxImage) -> anyhow::Result<PathBuf> {
    let bundle = image.rootfs.with_file_name(peer);
    if !bundle.exists() {
        fs::create_dir(&bundle)?;
        must_run(Command::new(peer).arg("spec").current_dir(&bundle))?;
        let path = bundle.join("config.json");
        let mut config: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
        config["root"]["path"] = json!(image.rootfs);
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(["true"]);
        config["process"]["env"] = json!(["PATH=/bin"]);
        fs::write(path, config.to_string())?;
    }
    Ok(bundle)
}

/// The times that commands take, in ms.
// A measurement reads the time.
#[allow(clippy::disallowed_methods)]
fn timed(
    count: usize,
    at_once: usize,
    command: impl Fn(usize) -> Command + Sync,
) -> anyhow::Result<Vec<f64>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut took = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return anyhow::Ok(took);
            }
            let begun = Instant::now();
            must_run(&mut command(number))?;
            took.push(begun.elapsed().as_secs_f64() * 1e3);
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
        let mut took = Vec::new();
        for worker in workers {
            took.extend(worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))??);
        }
        Ok(took)
    })
}

/// How fast an OCI layout with a compressed layer becomes files.
///
/// # Errors
/// If one of the programs fails.
// A measurement reads the time.
#[allow(clippy::disallowed_methods)]
pub fn unpack(directory: &Path, node: &Node) -> anyhow::Result<Vec<Row>> {
    if !is_installed("skopeo") {
        return Ok(Vec::new());
    }
    let mut random = fastrand::Rng::with_seed(1);
    // Half of it can be compressed.
    let content: Vec<u8> = (0..FILE_BYTES).map(|at| if at % 2 == 0 { random.u8(..) } else { b'x' }).collect();
    let names: Vec<String> = (0..FILES).map(|number| format!("file-{number}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), content.as_slice())).collect();
    let image = BusyboxImage::make(&directory.join("large"), &files)?;
    let layout = directory.join("layout");
    let source = format!("docker-archive:{}", image.archive.display());
    must_run(
        Command::new("skopeo").args(["copy", "--quiet", &source]).arg(format!("oci:{}:1", layout.display())),
    )?;
    let megabytes = (FILES * FILE_BYTES) as f64 / 1e6;
    let rate = |mut command: Command| {
        let begun = Instant::now();
        must_run(&mut command)?;
        anyhow::Ok(megabytes / begun.elapsed().as_secs_f64())
    };
    let mut ours = node.cronlet();
    ours.args(["image", "import"]).arg(&layout).args(["--name", "large:1"]);
    let mut rows = vec![Row::new("pods", "unpack, durably, cronlet image import", rate(ours)?, "MB/s")];
    if is_installed("umoci") {
        let mut theirs = Command::new("umoci");
        theirs
            .arg("unpack")
            .arg("--image")
            .arg(format!("{}:1", layout.display()))
            .arg(directory.join("bundle"));
        rows.push(Row::new("pods", "unpack, umoci unpack", rate(theirs)?, "MB/s"));
    }
    Ok(rows)
}
