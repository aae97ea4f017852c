//! `cronlet kubeconfig`.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::Args;

use crate::place;

/// Print the admin kubeconfig of the node on this machine.
#[derive(Args)]
pub struct Kubeconfig {
    /// The node's data directory
    #[arg(long, value_name = "DIR", env = "CRONLET_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Print the file's path instead of its content
    #[arg(long)]
    path: bool,
}

/// Prints what `cronlet up` wrote.
pub fn run(arguments: &Kubeconfig) -> anyhow::Result<ExitCode> {
    let path = place::data_dir(arguments.data_dir.as_deref())?.join(place::KUBECONFIG_NAME);
    let text = fs::read_to_string(&path)
        .with_context(|| format!("{}: no kubeconfig\nhint: `cronlet up` writes it at its first start", path.display()))?;
    if arguments.path {
        println!("{}", path.display());
    } else {
        print!("{text}");
    }
    Ok(ExitCode::SUCCESS)
}
