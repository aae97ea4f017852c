//! Named workloads: medians of several runs, as a table and as JSON, beside a peer where there is one.

mod controllers;
mod herd;
mod jobs;
mod pods;
pub mod schedule;
mod sdk;
mod start;
pub mod store;

use std::{env, fs, path::PathBuf, process::Command};

use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;

/// Which workloads, and where the results go.
#[derive(Args)]
pub struct Arguments {
    /// Workloads to run [default: all]: schedule, controllers, store, start, scale, herd, jobs, pods, sdk
    workloads: Vec<String>,
    /// Also write the results as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One figure of one workload.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The workload.
    pub workload: String,
    /// What was measured.
    pub figure: String,
    /// The median.
    pub value: f64,
    /// The unit of `value`.
    pub unit: &'static str,
    /// The bound it should keep, if there is one: `≤ 100` or `≥ 300`.
    pub target: Option<String>,
}

impl Row {
    /// A figure without a target.
    pub fn new(workload: &str, figure: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Row { workload: workload.to_owned(), figure: figure.into(), value, unit, target: None }
    }

    /// The same figure with the bound it should keep.
    #[must_use]
    pub fn with_target(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }
}

/// The middle of the values; 0 if there are none.
pub fn median(values: &mut [f64]) -> f64 {
    percentile(values, 50.0)
}

/// The value below which `percent` of the values lie (nearest rank); 0 if there are none.
pub fn percentile(values: &mut [f64], percent: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    if values.is_empty() {
        return 0.0;
    }
    let rank = (percent / 100.0 * values.len() as f64).ceil() as usize;
    values[rank.clamp(1, values.len()) - 1]
}

const WORKLOADS: &[&str] =
    &["schedule", "controllers", "store", "start", "scale", "herd", "jobs", "pods", "sdk"];

/// Runs the workloads with a release build and prints what they gave.
///
/// # Errors
/// If a workload is unknown or cannot be run.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(unknown) = arguments.workloads.iter().find(|w| !WORKLOADS.contains(&w.as_str())) {
        bail!("no workload `{unknown}`; there are: {}", WORKLOADS.join(", "));
    }
    if cfg!(debug_assertions) {
        return again_in_release();
    }
    let wanted = |name: &str| arguments.workloads.is_empty() || arguments.workloads.iter().any(|w| w == name);
    let mut rows = Vec::new();
    for name in WORKLOADS.iter().filter(|name| wanted(name)) {
        eprintln!("bench: {name}");
        rows.extend(match *name {
            "schedule" => schedule::measure(),
            "store" => store::measure(tempfile::tempdir()?.path())?,
            "controllers" => controllers::measure()?,
            "start" => start::measure()?,
            "scale" => start::measure_scale()?,
            "pods" => pods::measure()?,
            "sdk" => sdk::measure()?,
            "herd" => [herd::measure(2_000, "≤ 300")?, herd::measure(10_000, "≤ 1500")?].concat(),
            _ => jobs::measure()?,
        });
    }
    print(&rows);
    if let Some(path) = &arguments.json {
        fs::write(path, serde_json::to_string_pretty(&rows)?).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// Figures of a debug build say nothing: the same command runs again in a release build, beside a release build of
/// the program under test.
fn again_in_release() -> anyhow::Result<()> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build =
        Command::new(&cargo).args(["build", "--release", "--quiet", "--package", "cronlet"]).status()?;
    if !build.success() {
        bail!("the release build failed");
    }
    let status = Command::new(&cargo)
        .args(["run", "--release", "--quiet", "--package", "xtask", "--"])
        .args(env::args_os().skip(1))
        .status()?;
    if !status.success() {
        bail!("the benchmark failed");
    }
    Ok(())
}

fn print(rows: &[Row]) {
    println!("| workload | figure | median | target |");
    println!("|---|---|---:|---|");
    for row in rows {
        let digits = if row.value < 10.0 { 2 } else { 0 };
        let target = row.target.as_deref().unwrap_or("");
        println!("| {} | {} | {:.digits$} {} | {target} |", row.workload, row.figure, row.value, row.unit);
    }
}
