//! `cronlet kubeconfig`.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::anyhow;
use clap::Args;

use crate::{place, print};

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
    let text = fs::read_to_string(&path).map_err(|error| {
        anyhow!("{}: no kubeconfig: {error}\nhint: `cronlet up` writes it at its first start", path.display())
    })?;
    if arguments.path {
        print::out(&format!("{}\n", path.display()))?;
    } else {
        print::out(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}
