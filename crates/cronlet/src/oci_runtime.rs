//! Finds the OCI runtime that is to make containers in place of this program.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail};
use cronlet_runtime::spec::OciRuntime;

use crate::{arguments::RuntimeChoice, bootstrap::Options};

/// The runtime that a node is to use, if it names one.
///
/// # Errors
/// If there is no such program, it is no such runtime, or the node cannot use one.
pub fn find(options: &Options) -> anyhow::Result<Option<OciRuntime>> {
    let Some(wanted) = &options.oci.oci_runtime else { return Ok(None) };
    let shown = wanted.display();
    if options.runtime != RuntimeChoice::Oci {
        bail!("--oci-runtime {shown}: only containers are made by a runtime\nhint: add `--runtime oci`");
    }
    if !cronlet_runtime::users::is_machine_root() {
        bail!(
            "--oci-runtime {shown}: only root can have containers made by another program\nhint: run the node as \
             root, or leave the option out: cronlet makes containers without root, too"
        );
    }
    let Some(path) = locate(wanted) else {
        bail!(
            "--oci-runtime {shown}: there is no such program\nhint: install it (Debian: `apt install crun` or `runc`), or \
             give its path"
        );
    };
    let path = fs::canonicalize(&path).with_context(|| format!("--oci-runtime {shown}"))?;
    let name = own_name(&path).with_context(|| format!("--oci-runtime {shown}"))?;
    Ok(Some(OciRuntime { path, name }))
}

/// Where a program is that is named as a shell would take it.
fn locate(wanted: &Path) -> Option<PathBuf> {
    if wanted.components().count() > 1 || wanted.is_absolute() {
        return is_program(wanted).then(|| wanted.to_owned());
    }
    let path = env::var_os("PATH")?;
    // Where root's programs are, whoever started this one.
    let dirs = env::split_paths(&path).chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from));
    dirs.map(|dir| dir.join(wanted)).find(|file| is_program(file))
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// What a runtime is called by itself: the first word that it says of its version, as in `crun version 1.8.1`.
fn own_name(path: &Path) -> anyhow::Result<String> {
    let said = Command::new(path).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&said.stdout);
    let mut words = said.split_whitespace();
    match (words.next(), words.next()) {
        (Some(name), Some("version")) => Ok(name.to_owned()),
        _ => bail!("{} does not say which version it is, as an OCI runtime does", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_name_or_path() {
        assert!(locate(Path::new("sh")).is_some_and(|found| found.is_absolute()));
        assert_eq!(locate(Path::new("/bin/sh")), Some("/bin/sh".into()));
        assert_eq!(locate(Path::new("no-such-runtime")), None);
        assert_eq!(locate(Path::new("/")), None);
    }

    #[test]
    fn what_is_no_runtime_is_refused() {
        let error = own_name(Path::new("/bin/true")).unwrap_err().to_string();
        assert!(error.contains("does not say which version"), "{error}");
    }
}
