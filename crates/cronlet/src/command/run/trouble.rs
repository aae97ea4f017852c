//! What keeps a Job's pods from running: the warnings about them, each told once.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use crate::limits::EARLY_WARNINGS_MAX;

/// The warnings about one Job and its pods.
#[derive(Debug)]
pub struct Trouble {
    job_uid: String,
    pods: HashSet<String>,
    /// The latest warnings about pods that were not seen yet, newest first: pods and events are not watched in step.
    early: Vec<Value>,
    told: HashSet<String>,
    /// The latest warning about each pod of which nothing has run yet.
    unsolved: BTreeMap<String, String>,
}

impl Trouble {
    /// Knows of no warning yet.
    pub fn of_job(uid: &str) -> Self {
        Trouble {
            job_uid: uid.to_owned(),
            pods: HashSet::new(),
            early: Vec::new(),
            told: HashSet::new(),
            unsolved: BTreeMap::new(),
        }
    }

    /// Takes in a pod of the Job; answers with what is to be told about it.
    pub fn pod(&mut self, pod: &Value) -> Vec<String> {
        let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
        let told = if self.pods.insert(uid.to_owned()) {
            std::mem::take(&mut self.early).iter().rev().filter_map(|event| self.event(event)).collect()
        } else {
            Vec::new()
        };
        if has_begun(pod) || !pod["metadata"]["deletionTimestamp"].is_null() {
            self.unsolved.remove(uid);
            self.unsolved.remove(&self.job_uid);
        }
        told
    }

    /// Takes in an event of type Warning; answers with what is to be told.
    pub fn event(&mut self, event: &Value) -> Option<String> {
        let about = &event["involvedObject"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (uid, reason) = (text(&about["uid"]), text(&event["reason"]));
        if uid == self.job_uid {
            // The Job's outcome is told at its end. Only that it gets no pods would not be seen otherwise.
            if reason != "FailedCreate" {
                return None;
            }
        } else if !self.pods.contains(&uid) {
            if about["kind"] == "Pod" {
                self.early.truncate(EARLY_WARNINGS_MAX - 1);
                self.early.insert(0, event.clone());
            }
            return None;
        }
        let kind = text(&about["kind"]).to_lowercase();
        let line = format!("{kind}/{}: {reason}: {}", text(&about["name"]), text(&event["message"]));
        self.unsolved.insert(uid, line.clone());
        self.told.insert(line.clone()).then_some(line)
    }

    /// What keeps pods from running now.
    pub fn unsolved(&self) -> Option<String> {
        let lines: Vec<&str> = self.unsolved.values().map(String::as_str).collect();
        (!lines.is_empty()).then(|| lines.join("; "))
    }
}

/// Whether any container of the pod has started.
fn has_begun(pod: &Value) -> bool {
    ["initContainerStatuses", "containerStatuses"].iter().any(|list| {
        let statuses = pod["status"][*list].as_array();
        statuses.is_some_and(|s| s.iter().any(|s| s["state"]["waiting"].is_null() && !s["state"].is_null()))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn warning(kind: &str, uid: &str, reason: &str) -> Value {
        let about = json!({"kind": kind, "uid": uid, "name": "x"});
        json!({"type": "Warning", "reason": reason, "message": "why", "involvedObject": about})
    }

    #[test]
    fn warnings_are_told_once_also_those_that_come_before_their_pod() {
        let mut trouble = Trouble::of_job("j");
        assert_eq!(trouble.event(&warning("Pod", "p", "Failed")), None);
        assert_eq!(trouble.event(&warning("Pod", "another", "Failed")), None);
        let pod = json!({"metadata": {"uid": "p"}});
        assert_eq!(trouble.pod(&pod), ["pod/x: Failed: why"]);
        assert_eq!(trouble.event(&warning("Pod", "p", "Failed")), None);
        assert_eq!(trouble.event(&warning("Pod", "p", "BackOff")).unwrap(), "pod/x: BackOff: why");
        assert_eq!(trouble.event(&warning("Job", "j", "FailedCreate")).unwrap(), "job/x: FailedCreate: why");
        assert_eq!(trouble.event(&warning("Job", "j", "BackoffLimitExceeded")), None);
        assert_eq!(trouble.event(&warning("Job", "other", "FailedCreate")), None);
    }

    #[test]
    fn trouble_ends_when_the_pod_runs() {
        let mut trouble = Trouble::of_job("j");
        trouble.pod(&json!({"metadata": {"uid": "p"}}));
        trouble.event(&warning("Pod", "p", "FailedMount"));
        assert_eq!(trouble.unsolved().unwrap(), "pod/x: FailedMount: why");
        let running = json!([{"state": {"running": {}}}]);
        trouble.pod(&json!({"metadata": {"uid": "p"}, "status": {"containerStatuses": running}}));
        assert_eq!(trouble.unsolved(), None);
    }
}
