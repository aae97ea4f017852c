//! What pods and the node use of processors and memory: `metrics.k8s.io/v1beta1`, which `kubectl top` reads.
//!
//! Nothing is measured unless somebody asks: the first who does waits a second for the second of two measurements.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::response::Response;
use cronlet_object::{ApiError, Key, Kind, Object};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{sync::Mutex, task::spawn_blocking, time::timeout};

use crate::{
    api::Shared,
    filter::Filter,
    limits::{METRICS_AGE_MAX, METRICS_WINDOW},
    query::{ListOptions, Query},
    reply,
};

/// The API group.
pub(crate) const GROUP: &str = "metrics.k8s.io";
/// Its version.
pub(crate) const VERSION: &str = "v1beta1";

/// Measures what is used up to now. It may take milliseconds.
pub type Gauge = Arc<dyn Fn() -> Usage + Send + Sync>;

/// What was used up to some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// The time of processors, all of them together.
    pub cpu: Duration,
    /// Memory at that moment, in bytes.
    pub memory_bytes: u64,
}

/// One measurement.
#[derive(Clone, Debug)]
pub struct Usage {
    /// When it was made.
    pub at: Timestamp,
    /// The whole machine.
    pub machine: Used,
    /// The containers that run by the UID of their pod, with their names.
    pub pods: HashMap<String, Vec<(String, Used)>>,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Metrics {
    /// The node, in a list.
    Nodes,
    /// A node by its name.
    Node(String),
    /// The pods that run: of one namespace, or of all.
    Pods(Option<String>),
    /// A pod by its namespace and name.
    Pod(String, String),
}

impl Metrics {
    /// What a path below the group's version asks for.
    pub fn from_resource(rest: &[&str]) -> Option<Metrics> {
        match rest {
            ["nodes"] => Some(Metrics::Nodes),
            ["nodes", name] => Some(Metrics::Node((*name).to_owned())),
            ["pods"] => Some(Metrics::Pods(None)),
            ["namespaces", namespace, "pods"] => Some(Metrics::Pods(Some((*namespace).to_owned()))),
            ["namespaces", namespace, "pods", name] => {
                Some(Metrics::Pod((*namespace).to_owned(), (*name).to_owned()))
            }
            _ => None,
        }
    }

    /// Answers with what is used.
    ///
    /// # Errors
    /// 400 for selectors that cannot be read; 404 for an object that is not there or does not run.
    pub(crate) async fn answer(self, api: &Shared, query: &Query) -> Result<Response, ApiError> {
        let options = ListOptions::parse(query)?;
        let filter =
            |kind, namespace| Filter::new(kind, namespace, &options.label_selector, &options.field_selector);
        let (filter, single) = match self {
            Metrics::Nodes => (filter(Kind::Node, None)?, None),
            Metrics::Pods(namespace) => (filter(Kind::Pod, namespace)?, None),
            Metrics::Node(name) => (filter(Kind::Node, None)?, Some(Key::new(Kind::Node, "", name))),
            Metrics::Pod(namespace, name) => {
                (filter(Kind::Pod, None)?, Some(Key::new(Kind::Pod, namespace, name)))
            }
        };
        let is_node = filter.kind() == Kind::Node;
        let between = api.meter.between(api).await?;
        let snapshot = api.store.snapshot();
        let entry = |object: &Arc<Object>| match is_node {
            true => Some(between.node(object)),
            false => between.pod(object),
        };
        let Some(key) = single else {
            let objects = snapshot.list(filter.kind()).filter(|object| filter.matches(object));
            return Ok(reply::json(&json!({
                "kind": if is_node { "NodeMetricsList" } else { "PodMetricsList" },
                "apiVersion": format!("{GROUP}/{VERSION}"),
                "metadata": {},
                "items": objects.filter_map(entry).collect::<Vec<_>>(),
            })));
        };
        match snapshot.get(&key).and_then(entry) {
            Some(mut entry) => {
                entry["kind"] = json!(if is_node { "NodeMetrics" } else { "PodMetrics" });
                entry["apiVersion"] = json!(format!("{GROUP}/{VERSION}"));
                Ok(reply::json(&entry))
            }
            None if is_node => Err(ApiError::not_found_as(GROUP, "nodemetrics", &key.name)),
            None => {
                let name = format!("{}/{}", key.namespace, key.name);
                Err(ApiError::not_found_as(GROUP, "podmetrics", &name))
            }
        }
    }
}

/// Keeps the latest two measurements.
pub(crate) struct Meter {
    gauge: Gauge,
    latest: Mutex<Option<Between>>,
}

impl Meter {
    pub(crate) fn new(gauge: Gauge) -> Self {
        Meter { gauge, latest: Mutex::new(None) }
    }

    /// Two measurements of which the later one is not old.
    async fn between(&self, api: &Shared) -> Result<Between, ApiError> {
        let mut latest = self.latest.lock().await;
        let now = api.now();
        let age = latest.as_ref().map(|latest| now.duration_since(latest.later.at).unsigned_abs());
        let between = match latest.take() {
            Some(between) if age.is_some_and(|age| age < METRICS_WINDOW) => between,
            Some(between) if age.is_some_and(|age| age < METRICS_AGE_MAX) => {
                Between { earlier: between.later, later: Arc::new(self.measure().await?) }
            }
            _ => {
                let earlier = Arc::new(self.measure().await?);
                // Who stops the server does not wait for it.
                let _ = timeout(METRICS_WINDOW, api.closing().wait_for(|closing| *closing)).await;
                Between { earlier, later: Arc::new(self.measure().await?) }
            }
        };
        *latest = Some(between.clone());
        Ok(between)
    }

    async fn measure(&self) -> Result<Usage, ApiError> {
        let gauge = self.gauge.clone();
        spawn_blocking(move || gauge()).await.map_err(|error| {
            ApiError::internal(format!("Internal error occurred: what is used cannot be measured: {error}"))
        })
    }
}

/// The time between two measurements.
#[derive(Clone)]
struct Between {
    earlier: Arc<Usage>,
    later: Arc<Usage>,
}

impl Between {
    fn node(&self, object: &Object) -> Value {
        let mut entry = self.entry(object);
        entry["usage"] = self.usage(self.later.machine, Some(self.earlier.machine));
        entry
    }

    /// Nothing of a pod that does not run.
    fn pod(&self, object: &Object) -> Option<Value> {
        let uid = object.meta().uid.as_ref();
        let running = self.later.pods.get(uid).filter(|containers| !containers.is_empty())?;
        let earlier = self.earlier.pods.get(uid);
        let containers = running.iter().map(|(name, later)| {
            let mut earlier = earlier.into_iter().flatten();
            let earlier = earlier.find(|(earlier, _)| earlier == name).map(|(_, used)| *used);
            json!({"name": name, "usage": self.usage(*later, earlier)})
        });
        let containers: Vec<Value> = containers.collect();
        let mut entry = self.entry(object);
        entry["containers"] = json!(containers);
        Some(entry)
    }

    fn entry(&self, object: &Object) -> Value {
        let metadata = &object.value()["metadata"];
        let mut own = json!({"name": object.name(), "creationTimestamp": metadata["creationTimestamp"]});
        for field in ["namespace", "labels"] {
            if let Some(value) = metadata.get(field) {
                own[field] = value.clone();
            }
        }
        json!({"metadata": own, "timestamp": self.later.at, "window": format!("{:.3}s", self.elapsed().as_secs_f64())})
    }

    /// At least a millisecond, also if the clock was set back.
    fn elapsed(&self) -> Duration {
        let elapsed = self.later.at.duration_since(self.earlier.at);
        Duration::try_from(elapsed).unwrap_or_default().max(Duration::from_millis(1))
    }

    /// Memory as it is, processors on average. What was not there before, or has begun anew, has used all of its time
    /// since.
    fn usage(&self, later: Used, earlier: Option<Used>) -> Value {
        let before = earlier.map(|earlier| earlier.cpu).filter(|before| *before <= later.cpu);
        let cpu = later.cpu.saturating_sub(before.unwrap_or_default());
        let nanocores = cpu.as_nanos() * 1_000_000_000 / self.elapsed().as_nanos();
        json!({"cpu": format!("{nanocores}n"), "memory": format!("{}Ki", later.memory_bytes / 1024)})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(seconds: i64, cpu_millis: u64) -> Arc<Usage> {
        let machine = Used { cpu: Duration::from_millis(cpu_millis), memory_bytes: 5 << 20 };
        let at = Timestamp::from_second(seconds).unwrap();
        Arc::new(Usage { at, machine, pods: HashMap::new() })
    }

    #[test]
    fn processors_are_averaged_and_memory_is_the_latest() {
        let between = Between { earlier: usage(10, 500), later: usage(14, 1500) };
        let (earlier, later) = (between.earlier.machine, between.later.machine);
        assert_eq!(between.usage(later, Some(earlier)), json!({"cpu": "250000000n", "memory": "5120Ki"}));
        assert_eq!(between.usage(later, None)["cpu"], "375000000n", "it has begun since");
        assert_eq!(between.usage(earlier, Some(later))["cpu"], "125000000n", "it has begun anew since");
    }

    #[test]
    fn a_clock_that_was_set_back_is_no_fault() {
        let between = Between { earlier: usage(10, 500), later: usage(3, 501) };
        let (earlier, later) = (between.earlier.machine, between.later.machine);
        assert_eq!(between.usage(later, Some(earlier))["cpu"], "1000000000n");
    }

    #[test]
    fn paths_name_nodes_and_pods() {
        assert_eq!(Metrics::from_resource(&["pods"]), Some(Metrics::Pods(None)));
        assert_eq!(
            Metrics::from_resource(&["namespaces", "a", "pods"]),
            Some(Metrics::Pods(Some("a".into())))
        );
        let pod = Metrics::Pod("a".into(), "b".into());
        assert_eq!(Metrics::from_resource(&["namespaces", "a", "pods", "b"]), Some(pod));
        assert_eq!(Metrics::from_resource(&["nodes", "n"]), Some(Metrics::Node("n".into())));
        assert_eq!(Metrics::from_resource(&["jobs"]), None);
        assert_eq!(Metrics::from_resource(&["namespaces", "a", "nodes"]), None);
    }
}
