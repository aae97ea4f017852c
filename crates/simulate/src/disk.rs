//! A disk in memory: what was synced survives a crash, and nothing else does.

use std::{collections::BTreeMap, sync::Arc};

use cronlet_object::{Key, Object, ledger};
use cronlet_store::{Batch, Disk, DiskError, Loaded};

/// What a disk holds. It outlives the server that writes to it.
#[derive(Debug, Default)]
pub struct SimulatedDisk {
    revision: u64,
    objects: BTreeMap<Key, Arc<Object>>,
    /// The ledger, in the order in which it was written.
    pub entries: Vec<ledger::Entry>,
    /// Whether there is no room for anything more.
    pub full: bool,
}

impl Disk for SimulatedDisk {
    fn load(&mut self) -> Result<Loaded, DiskError> {
        Ok(Loaded { revision: self.revision, objects: self.objects.values().cloned().collect() })
    }

    fn write(&mut self, batch: &Batch) -> Result<(), DiskError> {
        if self.full {
            return Err(DiskError::Full { path: "simulated disk".into() });
        }
        for change in batch.changes() {
            match &change.new {
                Some(new) => self.objects.insert(new.key().clone(), new.clone()),
                None => self.objects.remove(change.object().key()),
            };
        }
        self.revision = batch.revision();
        self.entries.extend_from_slice(batch.ledger());
        Ok(())
    }

    fn runs(&mut self, namespace: &str, cronjob: &str, limit: usize) -> Result<Vec<ledger::Run>, DiskError> {
        // A later entry about the same Job replaces the earlier one.
        let mut latest: Vec<ledger::Run> = Vec::new();
        for entry in &self.entries {
            let ledger::Entry::Run(run) = entry else { continue };
            if run.namespace != namespace || run.cronjob.as_deref() != Some(cronjob) {
                continue;
            }
            match latest.iter_mut().find(|known| known.job_uid == run.job_uid) {
                Some(known) => known.clone_from(run),
                None => latest.push(run.clone()),
            }
        }
        latest.reverse();
        latest.truncate(limit);
        Ok(latest)
    }

    fn decisions(
        &mut self,
        namespace: &str,
        cronjob: &str,
        limit: usize,
    ) -> Result<Vec<ledger::Decision>, DiskError> {
        let about = |entry: &ledger::Entry| match entry {
            ledger::Entry::Decision(decision)
                if decision.namespace == namespace && decision.cronjob == cronjob =>
            {
                Some(decision.clone())
            }
            _ => None,
        };
        Ok(self.entries.iter().rev().filter_map(about).take(limit).collect())
    }
}
