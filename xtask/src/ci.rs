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
    // Always the same seeds, so that a failure is the change's; `cargo xtask simulate` by itself draws fresh ones.
    crate::simulate::run_with(&["--from", "51682057366984"])?;
    // A short torture: one minute boundary, a few kills. The long one is a command of its own.
    cargo(&["build", "--package", "cronlet", "--quiet"])?;
    let torture = ["--kills", "5", "--seconds", "75", "--pods", "12", "--cronjobs", "5"];
    crate::torture::run_with(&torture)
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
