//! Which attempts of a pod's containers have begun, and the order in which their outputs are shown.

use std::collections::HashMap;

use futures_util::{FutureExt, future::Shared};
use serde_json::Value;
use tokio::sync::oneshot;

/// One attempt of a container, of which the output is to be shown.
pub struct Attempt {
    /// The container's name.
    pub container: String,
    /// Counted from 0.
    pub number: u32,
    /// Whether a later attempt is known to have begun.
    pub is_previous: bool,
    /// When its output may be shown.
    pub turn: Turn,
}

/// Holds an output back until those are shown that belong before it, and those that belong after it until it is dropped.
pub struct Turn {
    before: Vec<Shown>,
    _done: oneshot::Sender<()>,
}

impl Turn {
    /// Waits for the outputs that belong before this one.
    pub async fn come(&mut self) {
        for shown in self.before.drain(..) {
            // They are never sent to: the other end goes when the output has been shown.
            let _gone = shown.await;
        }
    }
}

/// Ready when an output has been shown, or was given up.
type Shown = Shared<oneshot::Receiver<()>>;

/// What has begun in pods, told once. Attempts are known by their number, since several may have begun and ended between
/// two looks at a pod.
#[derive(Default)]
pub struct Attempts(HashMap<String, PodAttempts>);

#[derive(Default)]
struct PodAttempts {
    /// By container: how many attempts were told, and the last of them.
    told: HashMap<String, (u32, Shown)>,
    /// The last attempt of an init container. Its pod has passed it when another container begins.
    init: Option<Shown>,
}

impl Attempts {
    /// The attempts of a pod that were not told of yet, in the order in which they began.
    pub fn begun(&mut self, pod: &Value) -> Vec<Attempt> {
        let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
        let known = self.0.entry(uid.to_owned()).or_default();
        let mut begun = Vec::new();
        for list in ["initContainerStatuses", "containerStatuses"] {
            for status in pod["status"][list].as_array().into_iter().flatten() {
                let name = status["name"].as_str().unwrap_or_default();
                let passed = list == "initContainerStatuses" && !is_sidecar(pod, name);
                let count = count(status);
                let told = known.told.get(name).map_or(0, |(told, _)| *told);
                begun.extend((told..count).map(|number| Attempt {
                    container: name.to_owned(),
                    number,
                    is_previous: number + 1 < count,
                    turn: known.turn(name, number, passed),
                }));
            }
        }
        begun
    }

    /// How many pods are remembered.
    pub fn pods(&self) -> usize {
        self.0.len()
    }

    /// Forgets all pods but those whose UID is to be kept.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|uid, _| keep(uid));
    }
}

impl PodAttempts {
    fn turn(&mut self, container: &str, number: u32, passed: bool) -> Turn {
        let (done, shown) = oneshot::channel();
        let shown = shown.shared();
        let earlier = self.told.insert(container.to_owned(), (number + 1, shown.clone()));
        let before = earlier.map(|(_, shown)| shown).into_iter().chain(self.init.clone()).collect();
        if passed {
            self.init = Some(shown);
        }
        Turn { before, _done: done }
    }
}

/// How many attempts of a container have begun.
fn count(status: &Value) -> u32 {
    let state = &status["state"];
    // One that never ran may be shown as ended, but has no ID.
    let begun = !status["containerID"].as_str().unwrap_or_default().is_empty()
        && (!state["running"].is_null()
            || !state["terminated"].is_null()
            || !status["lastState"]["terminated"].is_null());
    let restarts = status["restartCount"].as_u64().and_then(|count| u32::try_from(count).ok());
    if begun { restarts.unwrap_or_default().saturating_add(1) } else { 0 }
}

/// Whether an init container runs beside the others instead of before them.
fn is_sidecar(pod: &Value, name: &str) -> bool {
    let containers = pod["spec"]["initContainers"].as_array();
    containers.into_iter().flatten().any(|c| c["name"] == name && c["restartPolicy"] == "Always")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(init: &Value, regular: &Value) -> Value {
        json!({
            "metadata": {"uid": "u"},
            "spec": {"initContainers": [{"name": "first"}, {"name": "proxy", "restartPolicy": "Always"}]},
            "status": {"initContainerStatuses": init, "containerStatuses": regular},
        })
    }

    fn status(name: &str, state: &str, restarts: u32) -> Value {
        json!({"name": name, "containerID": "x", "state": {state: {}}, "restartCount": restarts})
    }

    fn told(attempts: &[Attempt]) -> Vec<(&str, u32, bool)> {
        attempts.iter().map(|a| (a.container.as_str(), a.number, a.is_previous)).collect()
    }

    #[test]
    fn every_attempt_is_told_once_also_those_nobody_saw() {
        let mut attempts = Attempts::default();
        let waiting = json!([{"name": "c", "state": {"waiting": {}}, "restartCount": 0}]);
        assert_eq!(told(&attempts.begun(&pod(&waiting, &waiting))), []);
        let running = pod(&json!([status("first", "terminated", 0)]), &json!([status("c", "running", 0)]));
        assert_eq!(told(&attempts.begun(&running)), [("first", 0, false), ("c", 0, false)]);
        assert_eq!(told(&attempts.begun(&running)), []);
        let later = pod(&json!([status("first", "terminated", 0)]), &json!([status("c", "running", 3)]));
        assert_eq!(told(&attempts.begun(&later)), [("c", 1, true), ("c", 2, true), ("c", 3, false)]);
        attempts.retain(|_| false);
        assert_eq!(attempts.pods(), 0);
    }

    #[test]
    fn outputs_wait_for_what_ran_before_them_and_not_for_what_runs_beside_them() {
        let mut attempts = Attempts::default();
        let init = json!([status("first", "terminated", 0), status("proxy", "running", 0)]);
        let mut begun = attempts.begun(&pod(&init, &json!([status("c", "running", 1)])));
        let [first, proxy, c0, c1] = begun.as_mut_slice() else { panic!("{:?}", told(&begun)) };
        let come = |attempt: &mut Attempt| attempt.turn.come().now_or_never().is_some();
        assert!(come(first));
        assert!(!come(proxy) && !come(c0) && !come(c1));
    }

    #[test]
    fn an_output_that_was_shown_lets_the_next_one_through() {
        let mut attempts = Attempts::default();
        let mut begun = attempts.begun(&pod(&json!([]), &json!([status("c", "running", 1)])));
        let mut second = begun.pop().unwrap();
        drop(begun);
        assert!(second.turn.come().now_or_never().is_some());
    }
}
