//! Measures what it takes to run pods that do nothing: `cargo run --release -p cronlet-runtime --example measure`.

use std::sync::{Arc, mpsc::channel};

use cronlet_object::{Clock, Draft, Snapshot, api::Pod};
use cronlet_runtime::{Config, Runtime};
use jiff::Timestamp;
use serde_json::json;

struct WallClock;

impl Clock for WallClock {
    #[allow(clippy::disallowed_methods, reason = "the edge of this program")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

fn cpu_ms() -> (f64, f64) {
    let read = |path: &str| -> Vec<f64> {
        let text = std::fs::read_to_string(path).unwrap();
        let fields = text.rsplit(')').next().unwrap().split_whitespace().skip(11).take(4);
        fields.map(|f| f.parse::<f64>().unwrap() * 10.0).collect()
    };
    let t = read("/proc/self/stat");
    (t[0] + t[1], t[2] + t[3])
}

fn main() {
    cronlet_runtime::fork_server::main_if_requested();
    let arg =
        |n: usize, default: usize| std::env::args().nth(n).and_then(|a| a.parse().ok()).unwrap_or(default);
    let (count, parallel) = (arg(1, 500), arg(2, 1));
    let dir = tempfile::tempdir_in(std::env::args().nth(3).unwrap_or("/tmp".into())).unwrap();
    let (sender, reports) = channel();
    let config = Config {
        data_dir: dir.path().join("data"),
        log_root: dir.path().join("log"),
        run_dir: None,
        node_name: "here".into(),
        node_ip: [127, 0, 0, 1].into(),
        executable: std::env::current_exe().unwrap(),
        images: None,
        network: cronlet_runtime::NetworkConfig::default(),
        pods_max: 10_000,
        pod_pids_max: None,
        disk_threshold: None,
        oci_runtime: None,
        tokens: None,
        clock: Arc::new(WallClock),
    };
    let runtime = Runtime::new(config, Arc::new(move |report| drop(sender.send(report)))).unwrap();
    let snapshot = Snapshot::default();
    let start = |i: usize| {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": format!("p{i}"), "namespace": "default", "uid": format!("uid-{i:032}"), "generation": 1 },
            "spec": { "nodeName": "here", "restartPolicy": "Never", "containers": [
                { "name": "c", "image": "unused", "command": ["true"] }] },
        }))
        .unwrap();
        runtime.sync(&Arc::new(Draft::of(&pod).seal(i as u64 + 1)), &snapshot);
    };
    let (own, children) = cpu_ms();
    let begun = WallClock.now();
    let mut latencies = Vec::new();
    let mut started = parallel.min(count);
    (0..started).for_each(start);
    let (mut ended, mut told) = (0, 0);
    let mut at = begun;
    while ended < count {
        let report = reports.recv().unwrap();
        told += 1;
        if report.stopped {
            assert_eq!(report.status.phase.as_deref(), Some("Succeeded"));
            ended += 1;
            let now = WallClock.now();
            latencies.push(now.duration_since(at).as_secs_f64() * 1e3);
            at = now;
            if started < count {
                start(started);
                started += 1;
            }
        }
    }
    let wall = WallClock.now().duration_since(begun).as_secs_f64() * 1e3;
    drop(runtime);
    let (own2, children2) = cpu_ms();
    latencies.sort_by(f64::total_cmp);
    let n = count as f64;
    println!(
        "{count} pods, {parallel} at once: wall {:.2} ms/pod (p50 {:.2}), CPU server {:.2} + shims {:.2} ms/pod, reports {:.2}",
        wall / n,
        latencies[count / 2],
        (own2 - own) / n,
        (children2 - children) / n,
        told as f64 / n
    );
}
