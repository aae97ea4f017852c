//! Pods with a network of their own, on a node whose network is not the machine's either: each test is run anew in a
//! network namespace that is empty but for loopback. What the machine lacks for that is named.

use std::{
    fs,
    io::Read,
    net::{TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
};

use cronlet_object::api::{Pod, PodStatus};
use rustix::process::{Signal, geteuid, kill_process};
use serde_json::{Value, json};

use crate::{
    containers::{node, of_image},
    node::{Node, exit_code, is_running, phase},
    servers::{shim_of, unprivileged},
};

crate::tests![
    a_pod_on_the_bridge_has_an_address_of_its_own,
    the_containers_of_a_pod_share_its_network_and_keep_it,
    what_a_pod_had_of_the_network_vanishes_with_it,
    a_server_takes_addresses_back_and_sweeps_what_is_left,
    a_pod_keeps_its_address_when_its_shim_dies,
    a_pod_that_cannot_have_its_network_says_why,
    without_root_no_pod_is_on_the_bridge,
    probes_ask_at_the_address_of_the_pod,
    pods_of_a_subdomain_find_each_other_by_name,
    in_the_nodes_network_the_pods_of_a_subdomain_have_its_address,
    pods_reach_what_is_outside_by_the_nodes_address,
    a_port_of_the_node_leads_to_its_pod,
    a_pod_does_not_reach_what_listens_on_the_nodes_loopback,
];

/// Set for a test that is run in a network of its own.
const INSIDE: &str = "CRONLET_TEST_NETWORK";

/// Runs a test in a network of its own.
fn in_own_network(name: &str, test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        command("ip link set lo up");
        return test();
    }
    let lacks = |what: &str| println!("not run: {name}: {what}");
    if !geteuid().is_root() {
        return lacks("only root can make bridges");
    }
    if Command::new("ip").arg("-V").output().is_err() || Command::new("nsenter").arg("-V").output().is_err() {
        return lacks("there is no `ip` (Debian's iproute2) or no `nsenter` (util-linux)");
    }
    let probe = "ip link add probe0 type bridge && ip link add probe1 type veth peer name probe2";
    if !Command::new("unshare").args(["-n", "sh", "-c", probe]).output().is_ok_and(|out| out.status.success())
    {
        return lacks("the kernel has no network namespaces, bridges or veth pairs for us");
    }
    let this = std::env::current_exe().unwrap();
    let output =
        Command::new("unshare").arg("-n").arg(this).arg(format!("network::{name}")).env(INSIDE, "1").output();
    let Output { status, stdout, stderr } = output.unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    if ["Operation", "Protocol"]
        .iter()
        .any(|what| stderr.contains(&format!("nft_nat): {what} not supported")))
    {
        return lacks("the kernel has no nftables with address translation");
    }
    assert!(status.success() && stdout.contains("ok"), "{stdout}\n{stderr}");
}

/// Runs a command of the machine's in the node's network; what it prints.
fn command(text: &str) -> String {
    let output = Command::new("sh").args(["-c", text]).output().unwrap();
    assert!(output.status.success(), "{text}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A pod on the bridge with one container `c`.
fn on_bridge(name: &str, script: &str, container: Value) -> Pod {
    let mut pod = of_image(name, script, container);
    pod.metadata.annotations = Some([("cronlet.dev/network".to_owned(), "bridge".to_owned())].into());
    pod
}

fn with(mut pod: Pod, change: impl FnOnce(&mut cronlet_object::api::PodSpec)) -> Pod {
    change(pod.spec.as_mut().unwrap());
    pod
}

fn ip(status: &PodStatus) -> &str {
    let ip = status.pod_ip.as_deref().unwrap_or_default();
    let all: Vec<&str> = status.pod_ips.iter().flatten().map(|pod_ip| pod_ip.ip.as_str()).collect();
    assert_eq!(all, [ip]);
    ip
}

/// Waits until a pod runs, and for what it says if it cannot.
fn started(node: &mut Node, name: &str) -> PodStatus {
    loop {
        let status = node.pod(name).status.unwrap_or_default();
        if is_running(&status) || matches!(phase(&status), "Succeeded" | "Failed") {
            return status;
        }
        let refused = node.events(name).into_iter().find(|(reason, _)| *reason == "FailedCreatePodSandBox");
        assert_eq!(refused, None);
        node.next();
    }
}

/// The interfaces of pods in the node's network.
fn pairs() -> usize {
    command("ip -o link show type veth").lines().count()
}

/// The node's bridge.
fn bridge() -> String {
    command("ip -o link show type bridge").split(": ").nth(1).unwrap().to_owned()
}

pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    // Each look takes a process, so this is a minute and more.
    for _ in 0..20_000 {
        if is_so() {
            return;
        }
        command("sleep 0.005");
    }
    panic!("in vain was it waited until {what}");
}

fn a_pod_on_the_bridge_has_an_address_of_its_own() {
    in_own_network("a_pod_on_the_bridge_has_an_address_of_its_own", || {
        let dir = tempfile::tempdir().unwrap();
        let mut node = node(dir.path());
        let script = "ip -o -4 addr show dev eth0; ip -o -4 addr show dev lo; ip route; echo self $IP node $HOST; \
                      cat /etc/hosts; ping -c 1 -W 5 10.244.0.1 | grep received; ping -c 1 $IP | grep received";
        let field = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
        let env = json!([field("IP", "status.podIP"), field("HOST", "status.hostIP")]);
        node.create(&on_bridge("p", script, json!({ "env": env })));
        let status = started(&mut node, "p");
        assert_eq!((ip(&status), status.host_ip.as_deref()), ("10.244.0.2", Some("127.0.0.1")));
        assert_eq!(exit_code(&node.end("p")), Some(0));
        let log = node.log("p");
        for wanted in [
            "inet 10.244.0.2/24",
            "inet 127.0.0.1/8",
            "default via 10.244.0.1 dev eth0",
            "self 10.244.0.2 node 127.0.0.1",
            "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n",
            "\n10.244.0.2\tp\n",
        ] {
            assert!(log.contains(wanted), "{wanted}: {log}");
        }
        assert_eq!(log.matches("1 packets received").count(), 2, "{log}");
        assert_eq!(fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap().trim(), "1");
        // Who asks for the host's network has it, whatever the annotation says.
        let host = with(on_bridge("h", "ip -o link", json!({})), |spec| spec.host_network = Some(true));
        node.create(&host);
        assert_eq!(ip(&node.end("h")), "127.0.0.1");
        assert!(node.log("h").contains("crl"), "{}", node.log("h"));
    });
}

fn the_containers_of_a_pod_share_its_network_and_keep_it() {
    in_own_network("the_containers_of_a_pod_share_its_network_and_keep_it", || {
        let dir = tempfile::tempdir().unwrap();
        let mut node = node(dir.path());
        let mounts = json!([{ "name": "v", "mountPath": "/v" }]);
        // The number of an interface is another one in another network.
        let script = "ip -o link show dev eth0 > /v/now; if [ -e /v/again ]; then cat /v/init /v/first /v/now; else \
                      touch /v/again; cp /v/now /v/first; exit 1; fi";
        let pod = with(on_bridge("p", script, json!({ "volumeMounts": mounts })), |spec| {
            spec.restart_policy = Some("OnFailure".into());
            let mut init = spec.containers[0].clone();
            init.name = "i".into();
            init.command.as_mut().unwrap()[2] = "ip -o link show dev eth0 > /v/init".into();
            spec.init_containers = Some(vec![init]);
            spec.volumes = serde_json::from_value(json!([{ "name": "v", "emptyDir": {} }])).unwrap();
        });
        node.create(&pod);
        let status = node.end("p");
        assert_eq!(phase(&status), "Succeeded");
        let log = node.log("p");
        let lines: Vec<&str> = log.lines().collect();
        assert!(lines.len() == 3 && lines.iter().all(|line| *line == lines[0]), "{log}");
    });
}

fn what_a_pod_had_of_the_network_vanishes_with_it() {
    in_own_network("what_a_pod_had_of_the_network_vanishes_with_it", || {
        let dir = tempfile::tempdir().unwrap();
        let mut node = node(dir.path());
        node.create(&on_bridge("p", "exec sleep 1000", json!({})));
        started(&mut node, "p");
        assert_eq!(pairs(), 1);
        node.delete("p", 2);
        node.end("p");
        wait_until("the pod's interfaces are gone", || pairs() == 0);
        // Addresses are given out in turn.
        for i in 0..3 {
            let name = format!("q{i}");
            node.create(&on_bridge(&name, "true", json!({})));
            assert_eq!(ip(&node.end(&name)), format!("10.244.0.{}", i + 3));
        }
        drop(node);
        assert_eq!(command("ip -o link show type bridge"), "", "the bridge goes with the server");
    });
}

fn a_server_takes_addresses_back_and_sweeps_what_is_left() {
    in_own_network("a_server_takes_addresses_back_and_sweeps_what_is_left", || {
        let dir = tempfile::tempdir().unwrap();
        let mut first = node(dir.path());
        first.create(&on_bridge("p", "exec sleep 1000", json!({})));
        assert_eq!(ip(&started(&mut first, "p")), "10.244.0.2");
        let pod = first.pod("p");
        drop(first);
        // It is needed as long as there are pods.
        let bridge = bridge();
        command(&format!("ip link add left0 type veth peer name left1 && ip link set left0 master {bridge}"));
        assert_eq!(pairs(), 3);
        let mut second = node(dir.path());
        wait_until("what was left is gone", || pairs() == 1);
        second.store(&pod);
        second.runtime.adopt(second.snapshot());
        second.create(&on_bridge("q", "ping -c 1 -W 5 10.244.0.2 | grep received", json!({})));
        let status = second.end("q");
        assert_eq!((ip(&status), exit_code(&status)), ("10.244.0.3", Some(0)), "{}", second.log("q"));
        second.delete("p", 2);
        assert_eq!(ip(&second.end("p")), "10.244.0.2");
    });
}

fn a_pod_keeps_its_address_when_its_shim_dies() {
    in_own_network("a_pod_keeps_its_address_when_its_shim_dies", || {
        let dir = tempfile::tempdir().unwrap();
        let mut node = node(dir.path());
        let script = "ip -o -4 addr show dev eth0; exec sleep 1000";
        let pod = with(on_bridge("p", script, json!({})), |spec| spec.restart_policy = Some("Always".into()));
        node.create(&pod);
        started(&mut node, "p");
        node.follow_until("p", "10.244.0.2/24");
        // What it is connected with is made anew if need be, too, as after a boot.
        command(&format!("ip link del {}", bridge()));
        kill_process(shim_of(dir.path(), "p"), Signal::KILL).unwrap();
        let again =
            |status: &PodStatus| crate::node::container(status).restart_count == 1 && is_running(status);
        assert_eq!(ip(&node.wait("p", again)), "10.244.0.2");
        assert!(node.follow_until("p", "10.244.0.2/24").contains("10.244.0.2/24"));
        assert_eq!(pairs(), 1);
        assert_eq!(fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap().trim(), "1");
        node.delete("p", 2);
        node.end("p");
    });
}

/// Why a pod cannot have its network.
fn refusal(node: &mut Node, name: &str) -> String {
    loop {
        let events = node.events(name);
        if let Some((_, why)) = events.iter().find(|(reason, _)| *reason == "FailedCreatePodSandBox") {
            return why.strip_prefix("Failed to create pod sandbox: ").unwrap().to_owned();
        }
        node.next();
    }
}

fn without_root_no_pod_is_on_the_bridge() {
    const TEST: &str = "network::without_root_no_pod_is_on_the_bridge";
    let dir = tempfile::tempdir().unwrap();
    if geteuid().is_root() {
        let mut program = unprivileged(dir.path());
        let output = program.env("TMPDIR", dir.path()).arg(TEST).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        if !text.contains("... ok") {
            println!("not run: {TEST}: this system has no user namespaces for us");
        }
        return;
    }
    let mut node = node(dir.path());
    node.create(&on_bridge("p", "true", json!({})));
    let why = refusal(&mut node, "p");
    assert!(why.contains("needs root: run the node as root, or choose \"host\" or \"none\""), "{why}");
}

fn probes_ask_at_the_address_of_the_pod() {
    in_own_network("probes_ask_at_the_address_of_the_pod", || {
        let dir = tempfile::tempdir().unwrap();
        let mut node = node(dir.path());
        // What listens there alone, and not on loopback.
        let script = "exec /bin/busybox httpd -f -h /tmp -p \
                      $(ip -o -4 addr show dev eth0 | grep -o '10.244.0.[0-9]*' | head -n 1):80";
        let probe = json!({ "tcpSocket": { "port": 80 }, "periodSeconds": 1 });
        node.create(&on_bridge("p", script, json!({ "readinessProbe": probe })));
        node.wait("p", |status| is_running(status) && crate::node::container(status).ready);
        node.delete("p", 2);
        node.end("p");
    });
}

fn a_pod_that_cannot_have_its_network_says_why() {
    in_own_network("a_pod_that_cannot_have_its_network_says_why", || {
        let dir = tempfile::tempdir().unwrap();
        let mut node = node(dir.path());
        let mut unknown = on_bridge("u", "true", json!({}));
        unknown.metadata.annotations.as_mut().unwrap().insert("cronlet.dev/network".into(), "brigde".into());
        node.create(&unknown);
        assert!(refusal(&mut node, "u").contains("it must be \"host\", \"none\" or \"bridge\""));
        // The machine is in the pods' network already.
        command("ip link add there type bridge && ip addr add 10.244.0.9/16 dev there");
        node.create(&on_bridge("p", "true", json!({})));
        let why = refusal(&mut node, "p");
        assert!(why.contains("10.244.0.0/24, overlap with 10.244.0.9 of the interface there"), "{why}");
        assert_eq!(phase(&node.pod("p").status.unwrap()), "Pending");
        // It is tried again.
        command("ip link del there");
        node.sync("p");
        assert_eq!(phase(&node.end("p")), "Succeeded");
        let named = with(on_bridge("n", "true", json!({})), |spec| {
            spec.set_hostname_as_fqdn = Some(true);
            spec.subdomain = Some("s".repeat(63));
        });
        node.create(&named);
        assert!(refusal(&mut node, "n").contains("is too long (64 characters is the max, "));
    });
}

fn pods_of_a_subdomain_find_each_other_by_name() {
    in_own_network("pods_of_a_subdomain_find_each_other_by_name", || {
        let dir = tempfile::tempdir().unwrap();
        let mut node = node(dir.path());
        let pod = |index: usize, script: &str| {
            with(on_bridge(&format!("job-{index}-x"), script, json!({})), |spec| {
                spec.hostname = Some(format!("job-{index}"));
                spec.subdomain = Some("sub".into());
            })
        };
        let reach = |name: &str| format!("until ping -c 1 -W 1 {name}; do sleep 0.05; done; ");
        // The other is not there yet.
        let script = ["job-1", "job-1.sub", "job-1.sub.default.svc.cluster.local"].map(reach).concat();
        let gone = "echo found; while grep job-1 /etc/hosts; do sleep 0.05; done; grep job-0 /etc/hosts";
        node.create(&pod(0, &(script + gone)));
        started(&mut node, "job-0-x");
        let own = "hostname; ping -c 1 -W 5 job-0.sub; ping -c 1 job-1; exec sleep 1000";
        node.create(&pod(1, own));
        node.follow_until("job-0-x", "found");
        let log = node.follow_until("job-1-x", "PING job-1 ");
        assert!(log.contains("job-1\nPING job-0.sub (10.244.0.2)"), "{log}");
        node.delete("job-1-x", 2);
        node.end("job-1-x");
        assert_eq!(exit_code(&node.end("job-0-x")), Some(0), "{}", node.log("job-0-x"));
    });
}

fn in_the_nodes_network_the_pods_of_a_subdomain_have_its_address() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = node(dir.path());
    let pod = |index: usize, script: &str| {
        with(of_image(&format!("job-{index}-x"), script, json!({})), |spec| {
            spec.hostname = Some(format!("job-{index}"));
            spec.subdomain = Some("sub".into());
        })
    };
    let other = "grep -q '^127.0.0.1.job-1.sub.default.svc.cluster.local' /etc/hosts";
    let script = format!(
        "until {other}; do sleep 0.05; done; echo found; while {other}; do sleep 0.05; done; grep job-0.sub /etc/hosts"
    );
    node.create(&pod(0, &script));
    node.wait("job-0-x", is_running);
    node.create(&pod(1, "exec sleep 1000"));
    node.follow_until("job-0-x", "found");
    node.delete("job-1-x", 2);
    node.end("job-1-x");
    assert_eq!(exit_code(&node.end("job-0-x")), Some(0), "{}", node.log("job-0-x"));
}

/// A machine besides the node's, at the other end of a wire: 192.0.2.2, where the node is 192.0.2.1. It knows nothing of
/// pods.
struct Outside(Child);

impl Outside {
    fn new() -> Self {
        let child =
            Command::new("unshare").args(["-n", "sleep", "1000"]).stdin(Stdio::null()).spawn().unwrap();
        let outside = Outside(child);
        let pid = outside.0.id();
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        wait_until("the other machine is there", || {
            fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|other| other != own)
        });
        command(&format!("ip link add wire0 type veth peer name wire1 netns {pid}"));
        command("ip addr add 192.0.2.1/24 dev wire0 && ip link set wire0 up");
        outside.command("ip addr add 192.0.2.2/24 dev wire1 && ip link set wire1 up && ip link set lo up");
        outside
    }

    fn command(&self, text: &str) -> String {
        command(&format!("nsenter -t {} -n sh -c '{text}'", self.0.id()))
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn pods_reach_what_is_outside_by_the_nodes_address() {
    in_own_network("pods_reach_what_is_outside_by_the_nodes_address", || {
        let outside = Outside::new();
        let dir = tempfile::tempdir().unwrap();
        let mut node = node(dir.path());
        // There is no way back to the pod's own address.
        node.create(&on_bridge("p", "ping -c 1 -W 5 192.0.2.2", json!({})));
        assert_eq!(exit_code(&node.end("p")), Some(0), "{}", node.log("p"));
        assert!(!outside.command("ip route").contains("10.244"));
    });
}

/// What somebody says who is called.
fn heard(address: &str) -> String {
    let mut text = String::new();
    if let Ok(mut stream) = TcpStream::connect(address) {
        let _ = stream.read_to_string(&mut text);
    }
    text
}

fn a_port_of_the_node_leads_to_its_pod() {
    in_own_network("a_port_of_the_node_leads_to_its_pod", || {
        let outside = Outside::new();
        let dir = tempfile::tempdir().unwrap();
        let mut node = node(dir.path());
        let serve = "nc -ll -p 80 -e /bin/echo hello";
        let ports = json!([
            { "containerPort": 80, "hostPort": 8080 },
            { "containerPort": 80, "hostPort": 8081, "hostIP": "192.0.2.1" },
        ]);
        node.create(&on_bridge("p", &format!("echo up; exec {serve}"), json!({ "ports": ports })));
        let status = started(&mut node, "p");
        node.follow_until("p", "up");
        let pod = format!("{}:80", ip(&status));
        wait_until("the pod answers", || heard(&pod) == "hello\n");
        assert_eq!(heard("127.0.0.1:8080"), "hello\n");
        assert_eq!(heard("192.0.2.1:8080"), "hello\n");
        assert_eq!(heard("192.0.2.1:8081"), "hello\n");
        assert_eq!(heard("127.0.0.1:8081"), "", "it is on another address");
        assert_eq!(outside.command("busybox nc -w 5 192.0.2.1 8080 < /dev/null"), "hello\n");
        // Another pod comes that way, too, and so does the pod itself.
        let ask = "nc -w 5 192.0.2.1 8080 < /dev/null; nc -w 5 10.244.0.1 8080 < /dev/null";
        node.create(&on_bridge("q", ask, json!({})));
        node.end("q");
        assert_eq!(node.log("q"), "hello\nhello\n");
        // Nobody else gets it meanwhile.
        let same = json!([{ "containerPort": 1, "hostPort": 8080, "hostIP": "192.0.2.1" }]);
        node.create(&on_bridge("r", "echo mine", json!({ "ports": same })));
        while node.events("r").iter().all(|(reason, _)| *reason != "FailedCreatePodSandBox") {
            node.next();
        }
        let why = node.events("r").last().unwrap().1.to_owned();
        assert!(why.contains("the port 8080/TCP of the node is taken by the pod default/p"), "{why}");
        node.delete("p", 2);
        node.end("p");
        assert_eq!(heard("127.0.0.1:8080"), "");
        node.sync("r");
        assert_eq!(phase(&node.end("r")), "Succeeded");
    });
}

fn a_pod_does_not_reach_what_listens_on_the_nodes_loopback() {
    in_own_network("a_pod_does_not_reach_what_listens_on_the_nodes_loopback", || {
        let dir = tempfile::tempdir().unwrap();
        let mut node = node(dir.path());
        // With a port of the node, the kernel lets packets from there pass to the bridge.
        let ports = json!([{ "containerPort": 80, "hostPort": 8080 }]);
        node.create(&on_bridge("p", "exec sleep 1000", json!({ "ports": ports })));
        started(&mut node, "p");
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shim = shim_of(dir.path(), "p").as_raw_nonzero();
        // What a pod could do that may change its network.
        let in_pod = |text: &str| format!("nsenter -t {shim} -n sh -c '{text}'");
        command(&in_pod(
            "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet; ip addr del 127.0.0.1/8 dev lo; \
             ip route add 127.0.0.0/8 via 10.244.0.1 src 10.244.0.2",
        ));
        listener.set_nonblocking(true).unwrap();
        let reaches = |address: &str| {
            let call = in_pod(&format!("busybox nc -w 1 {address} {port} < /dev/null"));
            Command::new("timeout").args(["3", "sh", "-c", &call]).output().unwrap();
            listener.accept().is_ok()
        };
        assert!(reaches("10.244.0.1"), "the node itself is there");
        assert!(!reaches("127.0.0.1"), "the node's loopback is open to pods");
        node.delete("p", 2);
        node.end("p");
    });
}
