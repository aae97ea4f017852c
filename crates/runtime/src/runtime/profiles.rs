//! Reads the profiles for system calls that pods name.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use cronlet_object::api;

use crate::{
    limits,
    resolve::confinement::{Profiles, local_profiles},
};

/// The profiles that the containers of a pod want, from the directory of the node's.
pub(super) fn of_pod(dir: &Path, pod: &api::Pod) -> Profiles {
    let names = pod.spec.iter().flat_map(local_profiles);
    names.map(|name| (name.to_owned(), read(&dir.join(name)))).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => format!("open {}: no such file or directory", path.display()),
        io::ErrorKind::PermissionDenied => format!("open {}: permission denied", path.display()),
        _ => format!("read {}: {error}", path.display()),
    };
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limits::SECCOMP_PROFILE_BYTES_MAX + 1).read_to_end(&mut text))
        .map_err(failed)?;
    if text.len() as u64 > limits::SECCOMP_PROFILE_BYTES_MAX {
        return Err(format!("{} has more than {} bytes", path.display(), limits::SECCOMP_PROFILE_BYTES_MAX));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    #[test]
    fn profiles_are_read_or_it_is_said_why_not() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.json"), "{}").unwrap();
        let large = File::create(dir.path().join("large.json")).unwrap();
        large.set_len(limits::SECCOMP_PROFILE_BYTES_MAX + 1).unwrap();
        let with =
            |name: &str| json!({ "seccompProfile": { "type": "Localhost", "localhostProfile": name } });
        let container =
            |name: &str| json!({ "name": name, "securityContext": with(&format!("{name}.json")) });
        let pod = json!({ "spec": {
            "securityContext": with("missing.json"),
            "containers": [container("a"), container("large"), { "name": "other" }],
        } });
        let profiles = of_pod(dir.path(), &serde_json::from_value(pod).unwrap());
        assert_eq!(profiles["a.json"], Ok(b"{}".to_vec()));
        let missing = dir.path().join("missing.json");
        let expected = format!("open {}: no such file or directory", missing.display());
        assert_eq!(profiles["missing.json"], Err(expected));
        assert!(profiles["large.json"].as_ref().is_err_and(|why| why.ends_with("more than 1048576 bytes")));
        assert_eq!(profiles.len(), 3);
    }
}
