//! `cronlet image login`: asks the registry before it keeps anything. The password is typed unseen or comes over standard
//! input, never as an argument, which everybody on the machine could read.

use std::io::{self, BufRead as _, IsTerminal, Write as _};

use anyhow::{Context, bail};
use clap::Args;
use cronlet_image::{Credentials, DEFAULT_REGISTRY, Error, Registry, keep_credentials};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::{block_on, use_tls};
use crate::print;

/// Who logs in where.
#[derive(Args)]
pub struct Login {
    /// The registry, as HOST or HOST:PORT
    #[arg(default_value = DEFAULT_REGISTRY)]
    registry: String,
    /// Name of the user
    #[arg(short, long)]
    username: String,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
}

/// A registry by its name alone, as people copy it from elsewhere.
pub fn name(registry: &str) -> &str {
    let bare = registry.trim_start_matches("https://").trim_start_matches("http://");
    let host = bare.split('/').next().unwrap_or(bare);
    if host == "index.docker.io" { DEFAULT_REGISTRY } else { host }
}

/// Logs in.
pub fn run(login: &Login, registry: &Registry) -> anyhow::Result<()> {
    let host = name(&login.registry);
    if login.username.contains(':') {
        bail!("a user's name has no colon: {:?}", login.username);
    }
    let password = if login.password_stdin { read_line()? } else { ask()? };
    if password.is_empty() {
        bail!("the password is empty");
    }
    let credentials = Credentials { user: login.username.clone(), password };
    use_tls();
    block_on(async {
        registry.check(host, &credentials).await.map_err(|error| match error {
            Error::AccessDenied { cause, .. } => {
                anyhow::anyhow!("{host} does not take this user with this password: {cause}")
            }
            Error::RegistryUnavailable { cause, .. } => {
                anyhow::anyhow!("{host} is not available: {cause}; check the network and the registry's name")
            }
            other => other.into(),
        })
    })?;
    let path = keep_credentials(host, &credentials)?;
    Ok(print::out(&format!("logged in to {host}; kept in {}, readable for you alone\n", path.display()))?)
}

fn read_line() -> anyhow::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("cannot read the password from standard input")?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// Asks for the password on the terminal, which does not show it.
fn ask() -> anyhow::Result<String> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        bail!("there is no terminal to type the password on: use --password-stdin");
    }
    let before = tcgetattr(&stdin)?;
    let mut unseen = before.clone();
    unseen.local_modes.remove(LocalModes::ECHO);
    eprint!("Password: ");
    io::stderr().flush()?;
    tcsetattr(&stdin, OptionalActions::Flush, &unseen)?;
    let line = read_line();
    tcsetattr(&stdin, OptionalActions::Flush, &before)?;
    eprintln!();
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_known_by_its_host() {
        for (written, host) in [
            ("localhost:5000", "localhost:5000"),
            ("https://registry.example/", "registry.example"),
            ("registry.example/team/app", "registry.example"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("docker.io", "docker.io"),
        ] {
            assert_eq!(name(written), host);
        }
    }
}
