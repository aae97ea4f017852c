//! Everything that must pass before a change lands, in one process tree so that it runs anywhere alike.

use std::process::Command;

use anyhow::{Context, bail};

/// Runs all checks and stops at the first that fails.
///
/// # Errors
/// If a check fails or cannot be started.
pub fn run() -> anyhow::Result<()> {
    crate::tidy::run()?;
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"])?;
    cargo(&["test", "--workspace"])?;
    crate::simulate::run_with(&["--from", &seed_of_this_commit()])?;
    // A short torture: one minute boundary, a few kills. The long one is a command of its own.
    // With the features of the whole workspace, so that what the tests were built with serves again.
    cargo(&["build", "--workspace", "--bin", "cronlet", "--quiet"])?;
    let torture = ["--kills", "5", "--seconds", "75", "--pods", "12", "--cronjobs", "5"];
    crate::torture::run_with(&torture)?;
    if !is_root() || !crate::image::can_be_made() {
        println!("ci: the torture of containers is not run: it needs root and Debian's busybox-static");
        return Ok(());
    }
    let containers = ["--runtime", "oci", "--kills", "4", "--reboots", "1", "--seconds", "65"];
    crate::torture::run_with(&[&containers[..], &["--pods", "8", "--cronjobs", "3"]].concat())
}

/// Whether this process may do what root may: control groups, mounts.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// Each commit is held against seeds of its own: fresh ones for every change, the same ones when a run is repeated.
/// Outside a checkout there is no commit, and the seeds are those from 0.
fn seed_of_this_commit() -> String {
    const DIGITS: usize = 12;
    let head = Command::new("git").args(["rev-parse", "HEAD"]).output();
    let commit = head.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    let digits = commit.as_deref().and_then(|commit| commit.get(..DIGITS));
    digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default().to_string()
}

fn cargo(arguments: &[&str]) -> anyhow::Result<()> {
    eprintln!("ci: cargo {}", arguments.join(" "));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).args(arguments).status().context("cannot start cargo")?;
    if !status.success() {
        bail!("`cargo {}` failed: {status}", arguments.join(" "));
    }
    Ok(())
}
