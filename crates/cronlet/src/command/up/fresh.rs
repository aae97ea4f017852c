//! Leaves nothing behind of a node whose first start came to nothing.

use std::{fs, io, path::PathBuf};

use cronlet_store::DataDir;

use crate::{bootstrap::Options, place};

/// What a start adds where there was nothing.
pub struct Fresh {
    data_dir: Option<Vacancy>,
    kubeconfig: Option<PathBuf>,
}

/// A directory that held nothing.
struct Vacancy {
    path: PathBuf,
    existed: bool,
}

impl Fresh {
    /// Looks before the start.
    pub fn before(options: &Options) -> Self {
        let path = options.data_dir.clone();
        let vacant = match fs::read_dir(&path) {
            Ok(mut entries) => entries.next().is_none().then_some(true),
            Err(error) => (error.kind() == io::ErrorKind::NotFound).then_some(false),
        };
        let kubeconfig =
            options.kubeconfig.clone().unwrap_or_else(|| options.data_dir.join(place::KUBECONFIG_NAME));
        Fresh {
            data_dir: vacant.map(|existed| Vacancy { path, existed }),
            kubeconfig: (!kubeconfig.exists()).then_some(kubeconfig),
        }
    }

    /// Removes what was added, once the node has ended. What cannot be removed is left; the node has told worse.
    pub fn remove(self) {
        let Some(Vacancy { path, existed }) = self.data_dir else { return };
        // Another node may have taken the directory meanwhile.
        let Ok(_lock) = DataDir::lock(&path) else { return };
        for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
            let removed = match entry.file_type() {
                Ok(kind) if kind.is_dir() => fs::remove_dir_all(entry.path()),
                _ => fs::remove_file(entry.path()),
            };
            drop(removed);
        }
        if !existed {
            drop(fs::remove_dir(&path));
        }
        if let Some(kubeconfig) = self.kubeconfig {
            drop(fs::remove_file(kubeconfig));
        }
    }
}
