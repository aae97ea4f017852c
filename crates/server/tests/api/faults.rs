//! Faults of the server's own: a full disk, a defect in an answer.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use cronlet_object::ledger;
use cronlet_server::PodLogs;
use cronlet_store::{Batch, Disk, DiskError, Loaded, SqliteDisk};
use serde_json::json;

use super::{
    CONFIG_MAPS, PODS, config_map,
    harness::{MERGE, Server, quiet_logs},
    pod,
};

/// A disk that is full when it is told to be.
struct Filling {
    disk: SqliteDisk,
    full: Arc<AtomicBool>,
}

impl Disk for Filling {
    fn load(&mut self) -> Result<Loaded, DiskError> {
        self.disk.load()
    }

    fn write(&mut self, batch: &Batch) -> Result<(), DiskError> {
        if self.full.load(Ordering::SeqCst) {
            return Err(DiskError::Full { path: "/data/cronlet.db".into() });
        }
        self.disk.write(batch)
    }

    fn runs(&mut self, namespace: &str, cronjob: &str, limit: usize) -> Result<Vec<ledger::Run>, DiskError> {
        self.disk.runs(namespace, cronjob, limit)
    }

    fn decisions(
        &mut self,
        namespace: &str,
        cronjob: &str,
        limit: usize,
    ) -> Result<Vec<ledger::Decision>, DiskError> {
        self.disk.decisions(namespace, cronjob, limit)
    }
}

#[tokio::test]
async fn a_full_disk_is_named_and_writing_resumes_when_there_is_room() {
    let full = Arc::new(AtomicBool::new(false));
    let disk = Filling { disk: SqliteDisk::in_memory().unwrap(), full: full.clone() };
    let server = Server::over(Box::new(disk), quiet_logs()).await;

    full.store(true, Ordering::SeqCst);
    let refused = server.post(CONFIG_MAPS, &config_map("a", "1")).await;
    assert_eq!(
        refused.refusal(500, "InternalError"),
        "Internal error occurred: no space left for /data/cronlet.db: free some on its file system; writing resumes by \
         itself"
    );
    assert_eq!(server.get(&format!("{CONFIG_MAPS}/a")).await.code, 404);
    let unready = server.get("/readyz").await;
    assert_eq!((unready.code.as_u16(), unready.text().contains("[-]store failed")), (500, true));

    full.store(false, Ordering::SeqCst);
    server.post(CONFIG_MAPS, &config_map("a", "1")).await.expect(201);
    assert_eq!(server.get("/readyz").await.code, 200);
}

#[tokio::test]
async fn a_defect_in_one_answer_is_a_refusal_and_the_server_goes_on() {
    let defective: PodLogs =
        Arc::new(|request| panic!("no log of {}: this panic is part of a test", request.container));
    let server = Server::over(Box::new(SqliteDisk::in_memory().unwrap()), defective).await;
    server.post(PODS, &pod("p")).await.expect(201);
    let status = json!({"name": "main", "image": "busybox", "imageID": "", "ready": true, "restartCount": 0,
        "state": {"running": {}}});
    let patch = json!({"status": {"containerStatuses": [status]}});
    server.patch(&format!("{PODS}/p/status"), MERGE, &patch).await.expect(200);
    let refused = server.get(&format!("{PODS}/p/log")).await;
    assert!(refused.refusal(500, "InternalError").contains("the server failed while handling the request"));
    server.get(&format!("{PODS}/p")).await.expect(200);
}
