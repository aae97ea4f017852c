//! The Jobs and CronJobs under torture: shell scripts that keep their own record of every line and exit code.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::Runtime;
use crate::image;

/// How many Jobs exceed their memory limit, where limits are kept.
const GREEDY: u32 = 10;

/// What the pods run, and where they keep their own records.
pub struct Load {
    records: PathBuf,
    seconds: u32,
    runtime: Runtime,
}

impl Load {
    /// Records go below `directory`; the torture lasts `seconds`.
    ///
    /// # Errors
    /// If the directory cannot be made.
    pub fn new(directory: &Path, seconds: u32, runtime: Runtime) -> anyhow::Result<Self> {
        let records = directory.join("records");
        fs::create_dir(&records)?;
        Ok(Load { records, seconds, runtime })
    }

    /// Where each pod writes `<pod>.log` and, at its end, `<pod>.exit`.
    pub fn records(&self) -> &Path {
        &self.records
    }

    /// CronJobs that fire every minute and keep all their Jobs.
    pub fn cronjobs(&self, count: u32) -> impl Iterator<Item = Value> {
        let history = self.seconds / 60 + 10;
        let template = self.job_spec(5, 0);
        (0..count).map(move |i| {
            json!({
                "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": format!("tick-{i}")},
                "spec": {
                    "schedule": "* * * * *", "successfulJobsHistoryLimit": history, "failedJobsHistoryLimit": history,
                    "jobTemplate": {"spec": template},
                },
            })
        })
    }

    /// Jobs that keep `pods` pods running until the torture is over, one after the other with random lengths; and a
    /// quarter as many Jobs whose one pod fails with a random exit code. Of containers, some more are ended by the kernel.
    pub fn jobs(&self, pods: u32, random: &mut fastrand::Rng) -> impl Iterator<Item = Value> {
        let mut jobs = Vec::new();
        for i in 0..pods {
            let lines = random.u32(20..200);
            let mut spec = self.job_spec(lines, 0);
            // A line takes 100 ms or more, so that no Job runs out of completions early.
            spec["completions"] = (self.seconds * 10 / lines).max(1).into();
            jobs.push(job(&format!("load-{i}"), &spec));
        }
        for i in 0..pods / 4 {
            let mut spec = self.job_spec(random.u32(20..self.seconds * 5), random.u8(1..100));
            spec["backoffLimit"] = 0.into();
            jobs.push(job(&format!("failing-{i}"), &spec));
        }
        if self.runtime == Runtime::Oci && crate::ci::is_root() {
            jobs.extend((0..GREEDY).map(|i| job(&format!("greedy-{i}"), &self.greedy(random.u32(20..200)))));
        }
        jobs.into_iter()
    }

    /// A pod that says how it will end, and then wants more memory than it may have.
    fn greedy(&self, lines: u32) -> Value {
        let mut spec = self.job_spec(lines, 137);
        let container = &mut spec["template"]["spec"]["containers"][0];
        let script = container["command"][2].as_str().unwrap_or_default();
        container["command"][2] =
            script.replace("exit 137", "exec dd if=/dev/zero of=/dev/null bs=64M count=1").into();
        container["resources"] = json!({"limits": {"memory": "16Mi"}});
        spec["backoffLimit"] = 0.into();
        spec
    }

    fn job_spec(&self, lines: u32, code: u8) -> Value {
        // The record is written before the line is printed: a printed line that is missing in the record would be
        // as wrong as a recorded one that is missing in the log.
        let script = format!(
            "r={}/$HOSTNAME; i=0; while [ $i -lt {lines} ]; do echo \"line $i\" >>$r.log; echo \"line $i\"; \
             i=$((i+1)); sleep 0.1; done; echo {code} >$r.exit; exit {code}",
            self.records.display()
        );
        let mut container = json!({"name": "c", "image": "busybox", "command": ["sh", "-c", script]});
        let mut volumes = json!([]);
        if self.runtime == Runtime::Oci {
            container["image"] = image::NAME.into();
            container["imagePullPolicy"] = "Never".into();
            container["volumeMounts"] = json!([{"name": "records", "mountPath": self.records}]);
            volumes = json!([{"name": "records", "hostPath": {"path": self.records, "type": "Directory"}}]);
        }
        json!({"template": {"spec": {
            "restartPolicy": "Never", "containers": [container], "volumes": volumes,
        }}})
    }
}

fn job(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec})
}
