//! Whom a pod asks for names: its `/etc/resolv.conf`.

use std::{collections::HashSet, fmt::Write, net::IpAddr};

use cronlet_object::api;
use k8s_openapi::api::core::v1::PodDNSConfig;

use super::NodeFacts;
use crate::{limits, spec::Sandbox};

/// What such a file says.
#[derive(Debug, Default)]
struct Config {
    servers: Vec<String>,
    searches: Vec<String>,
    options: Vec<String>,
}

impl Config {
    fn read(text: &str) -> Self {
        let mut config = Config::default();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace().map(str::to_owned);
            match words.next().as_deref() {
                Some("nameserver") => config.servers.extend(words.next()),
                Some("search") => config.searches = words.collect(),
                Some("options") => config.options.extend(words),
                _ => {}
            }
        }
        config
    }

    /// Adds what a pod wants besides; its options stand in for others of the same name.
    fn add(&mut self, own: PodDNSConfig) {
        self.servers.extend(own.nameservers.into_iter().flatten());
        self.searches.extend(own.searches.into_iter().flatten());
        for option in own.options.into_iter().flatten() {
            let name = option.name.unwrap_or_default();
            let text = option.value.map_or_else(|| name.clone(), |value| format!("{name}:{value}"));
            self.options.retain(|known| known.split(':').next() != Some(&name));
            self.options.push(text);
        }
    }

    /// Leaves out what comes twice, and what is more than resolvers take (the kubelet's rules). What was more, in the
    /// kubelet's words.
    fn cut(&mut self) -> Vec<String> {
        for list in [&mut self.servers, &mut self.searches] {
            let mut seen = HashSet::new();
            list.retain(|entry| seen.insert(entry.clone()));
        }
        let (servers, searches) = (self.servers.len(), self.searches.len());
        self.servers.truncate(limits::DNS_SERVERS_MAX);
        self.searches.truncate(limits::DNS_SEARCHES_MAX);
        self.searches.retain(|search| search.len() <= limits::DNS_NAME_BYTES_MAX);
        while self.searches.join(" ").len() > limits::DNS_SEARCH_BYTES_MAX {
            self.searches.pop();
        }
        let mut omitted = Vec::new();
        if self.servers.len() < servers {
            omitted.push(format!(
                "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: {}",
                self.servers.join(" ")
            ));
        }
        if self.searches.len() < searches {
            omitted.push(format!(
                "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: {}",
                self.searches.join(" ")
            ));
        }
        omitted
    }

    fn write(&self) -> String {
        let mut text = String::new();
        // Writing to a text does not fail.
        if !self.searches.is_empty() {
            let _ = writeln!(text, "search {}", self.searches.join(" "));
        }
        for server in &self.servers {
            let _ = writeln!(text, "nameserver {server}");
        }
        if !self.options.is_empty() {
            let _ = writeln!(text, "options {}", self.options.join(" "));
        }
        text
    }
}

/// The node's file with the pod's additions, or these alone with `dnsPolicy: None`.
pub(super) fn resolv_conf(node: &NodeFacts, spec: &api::PodSpec, sandbox: &Sandbox) -> String {
    let (config, _) = config(of_node(node, sandbox), spec);
    config.write()
}

/// What is left out of it, to be told.
pub(crate) fn omitted(node: &NodeFacts, spec: &api::PodSpec, sandbox: &Sandbox) -> Vec<String> {
    config(of_node(node, sandbox), spec).1
}

/// The node's file as it counts for a pod.
fn of_node<'a>(node: &'a NodeFacts, sandbox: &Sandbox) -> &'a str {
    let is_elsewhere = sandbox.bridge.is_some() || sandbox.no_network;
    if is_elsewhere { &node.resolv_conf_elsewhere } else { &node.resolv_conf }
}

fn config(of_node: &str, spec: &api::PodSpec) -> (Config, Vec<String>) {
    let mut config = match spec.dns_policy.as_deref() {
        Some("None") => Config::default(),
        _ => Config::read(of_node),
    };
    config.add(spec.dns_config.clone().unwrap_or_default());
    let omitted = config.cut();
    (config, omitted)
}

/// The node's file for pods that are not in its network. A server on the node's loopback cannot be asked from there:
/// without another one, those count that systemd-resolved says it asks itself.
pub(crate) fn resolv_conf_elsewhere(of_node: &str, of_resolved: &str) -> String {
    let is_reachable = |server: &String| !server.parse().is_ok_and(|server: IpAddr| server.is_loopback());
    let reachable = |text: &str| {
        let mut config = Config::read(text);
        config.servers.retain(is_reachable);
        config
    };
    let config = reachable(of_node);
    if config.servers.is_empty() && !Config::read(of_resolved).servers.is_empty() {
        return reachable(of_resolved).write();
    }
    config.write()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn both(own: &Value) -> (String, Vec<String>) {
        let spec = json!({ "containers": [], "dnsPolicy": "None", "dnsConfig": own });
        let (config, omitted) = config("nameserver 10.0.0.1\n", &serde_json::from_value(spec).unwrap());
        (config.write(), omitted)
    }

    fn of(own: &Value) -> String {
        both(own).0
    }

    #[test]
    fn what_is_left_out_is_told_in_the_kubelets_words() {
        let (_, omitted) = both(&json!({ "nameservers": ["1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4"] }));
        let words = "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line \
            is: 1.1.1.1 2.2.2.2 3.3.3.3";
        assert_eq!(omitted, [words]);
        let long = "x".repeat(254);
        let (_, omitted) = both(&json!({ "searches": [long, "short"] }));
        let words = "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: \
            short";
        assert_eq!(omitted, [words]);
        let (_, omitted) = both(&json!({ "nameservers": ["1.1.1.1", "1.1.1.1"], "searches": ["a", "a"] }));
        assert!(omitted.is_empty(), "what comes twice is not missed");
    }

    #[test]
    fn more_than_resolvers_take_is_left_out() {
        let servers = ["10.0.0.1", "10.0.0.2", "10.0.0.2", "10.0.0.3", "10.0.0.4"];
        assert_eq!(
            of(&json!({ "nameservers": servers })),
            "nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n"
        );
        let searches = |count: usize, bytes: usize| {
            let all: Vec<String> = (0..count).map(|i| format!("{i:0>bytes$}")).collect();
            let text = of(&json!({ "searches": all }));
            let kept = text.trim_end().split(' ').skip(1).map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(kept, all[..kept.len()]);
            kept.len()
        };
        assert_eq!(searches(33, 10), 32);
        // Eight and the spaces between them are just as long as they may be, nine are not.
        assert_eq!((8 * 249 + 7, searches(9, 249)), (1999, 8));
        assert_eq!(searches(40, 63), 32);
        assert_eq!(searches(32, 64), 31);
        let long = "x".repeat(254);
        assert_eq!(of(&json!({ "searches": [long, "short"] })), "search short\n");
    }

    #[test]
    fn a_server_on_the_nodes_loopback_is_not_asked_from_elsewhere() {
        let stub = "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch home\n";
        let asked = "nameserver 192.168.1.1\nsearch home\n";
        assert_eq!(resolv_conf_elsewhere(stub, asked), "search home\nnameserver 192.168.1.1\n");
        // One that can be asked is, and what else there is stays.
        let mixed = "nameserver 127.0.0.1\nnameserver 10.0.0.1\noptions ndots:2\n";
        assert_eq!(resolv_conf_elsewhere(mixed, asked), "nameserver 10.0.0.1\noptions ndots:2\n");
        assert_eq!(resolv_conf_elsewhere("nameserver ::1\nsearch home\n", ""), "search home\n");
    }
}
