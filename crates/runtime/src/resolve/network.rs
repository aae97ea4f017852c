//! Which network a pod is to have, what it is called there, and which ports of the node are to lead to it.

use std::net::{IpAddr, Ipv4Addr};

use cronlet_object::api;

use super::roles;
use crate::{
    limits,
    network::PodNetwork,
    spec::{HostPort, Peer, Protocol, Role},
};

/// Annotation of a pod: `host`, `none` or `bridge`.
const ANNOTATION: &str = "cronlet.dev/network";

/// The domain of a cluster, where nobody says otherwise.
const CLUSTER_DOMAIN: &str = "cluster.local";

/// The network of a pod of containers: the node's if its specification asks for it, else what its annotation says.
pub(crate) fn of_pod(pod: &api::Pod, default: PodNetwork) -> Result<PodNetwork, String> {
    if pod.spec.as_ref().is_some_and(|spec| spec.host_network == Some(true)) {
        return Ok(PodNetwork::Host);
    }
    let annotations = pod.metadata.annotations.as_ref();
    match annotations.and_then(|annotations| annotations.get(ANNOTATION)).map(String::as_str) {
        None => Ok(default),
        Some("host") => Ok(PodNetwork::Host),
        Some("none") => Ok(PodNetwork::None),
        Some("bridge") => Ok(PodNetwork::Bridge),
        Some(other) => Err(format!(
            "the annotation {ANNOTATION} is {other:?}: it must be \"host\", \"none\" or \"bridge\""
        )),
    }
}

/// A pod's own host name: its `hostname` or its name, cut to what a host name may be.
pub(crate) fn own_hostname(pod: &api::Pod) -> String {
    let own = pod.spec.as_ref().and_then(|spec| spec.hostname.as_deref()).filter(|name| !name.is_empty());
    let name = own.or(pod.metadata.name.as_deref()).unwrap_or_default();
    let cut = &name[..name.floor_char_boundary(limits::HOSTNAME_BYTES_MAX)];
    cut.trim_end_matches(['-', '.']).to_owned()
}

/// How others of its subdomain find a pod, if it has one.
pub(super) fn peer(pod: &api::Pod, address: &str) -> Option<Peer> {
    let subdomain = pod.spec.as_ref()?.subdomain.clone().filter(|subdomain| !subdomain.is_empty())?;
    Some(Peer { hostname: own_hostname(pod), subdomain, address: address.parse().ok()? })
}

/// The names of a headless Service, the whole one first.
pub(crate) fn names_of(service: &str, namespace: &str) -> [String; 4] {
    let short = format!("{service}.{namespace}");
    [format!("{short}.svc.{CLUSTER_DOMAIN}"), format!("{short}.svc"), short, service.to_owned()]
}

/// The domain that a pod with a subdomain is in.
pub(super) fn domain(pod: &api::Pod, spec: &api::PodSpec) -> Option<String> {
    let subdomain = spec.subdomain.as_deref().filter(|subdomain| !subdomain.is_empty())?;
    let [whole, ..] = names_of(subdomain, pod.metadata.namespace.as_deref().unwrap_or_default());
    Some(whole)
}

/// The name that the kernel has for a pod's host: with its domain if the pod wants that. Why it cannot is in the
/// kubelet's words.
pub(super) fn kernel_hostname(pod: &api::Pod, spec: &api::PodSpec) -> Result<String, String> {
    let hostname = own_hostname(pod);
    let Some(domain) = domain(pod, spec).filter(|_| spec.set_hostname_as_fqdn == Some(true)) else {
        return Ok(hostname);
    };
    let whole = format!("{hostname}.{domain}");
    let (length, max) = (whole.len(), limits::KERNEL_HOSTNAME_BYTES_MAX);
    if length > max {
        return Err(format!(
            "failed to construct FQDN from pod hostname and cluster domain, FQDN {whole} is too long ({max} characters \
             is the max, {length} characters requested)"
        ));
    }
    Ok(whole)
}

/// The ports of the node that are to lead to a pod: those of its containers and sidecars.
pub(crate) fn host_ports(pod: &api::Pod) -> Vec<HostPort> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let containers = roles(spec).filter(|(role, _)| *role != Role::Init);
    let ports = containers.flat_map(|(_, container)| container.ports.iter().flatten());
    ports
        .filter_map(|port| {
            let number = |port: i32| u16::try_from(port).ok().filter(|port| *port > 0);
            let host_ip = match port.host_ip.as_deref().unwrap_or_default().parse() {
                Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) | Err(_) => None,
                Ok(IpAddr::V4(address)) => Some(address),
                // Pods have no such addresses.
                Ok(IpAddr::V6(address)) if address.is_unspecified() => None,
                Ok(IpAddr::V6(_)) => return None,
            };
            Some(HostPort {
                protocol: match port.protocol.as_deref() {
                    Some("UDP") => Protocol::Udp,
                    Some("SCTP") => Protocol::Sctp,
                    _ => Protocol::Tcp,
                },
                host_ip,
                host_port: number(port.host_port?)?,
                port: number(port.container_port)?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(annotation: Option<&str>, spec: Value) -> api::Pod {
        let mut pod = api::Pod::default();
        pod.metadata.name = Some("job-0-abcde".into());
        pod.metadata.namespace = Some("ns".into());
        pod.metadata.annotations = annotation.map(|value| [(ANNOTATION.to_owned(), value.to_owned())].into());
        pod.spec = Some(serde_json::from_value(spec).unwrap());
        pod
    }

    #[test]
    fn the_annotation_outranks_the_nodes_network_and_the_pods_own_field_both() {
        let plain = json!({ "containers": [] });
        for default in [PodNetwork::Host, PodNetwork::None, PodNetwork::Bridge] {
            assert_eq!(of_pod(&pod(None, plain.clone()), default), Ok(default));
            assert_eq!(of_pod(&pod(Some("none"), plain.clone()), default), Ok(PodNetwork::None));
            assert_eq!(of_pod(&pod(Some("host"), plain.clone()), default), Ok(PodNetwork::Host));
            assert_eq!(of_pod(&pod(Some("bridge"), plain.clone()), default), Ok(PodNetwork::Bridge));
            let in_host = json!({ "containers": [], "hostNetwork": true });
            assert_eq!(of_pod(&pod(Some("bridge"), in_host), default), Ok(PodNetwork::Host));
        }
        let error = of_pod(&pod(Some("None"), plain), PodNetwork::Host).unwrap_err();
        assert!(error.contains("\"None\": it must be \"host\", \"none\" or \"bridge\""), "{error}");
    }

    #[test]
    fn the_host_name_has_its_domain_if_the_pod_wants_that() {
        let of = |spec: Value| {
            let pod = pod(None, spec);
            kernel_hostname(&pod, pod.spec.as_ref().unwrap())
        };
        let named = |wanted: bool, subdomain: &str| {
            of(
                json!({ "containers": [], "hostname": "job-0", "subdomain": subdomain, "setHostnameAsFQDN": wanted }),
            )
        };
        assert_eq!(named(true, "sub"), Ok("job-0.sub.ns.svc.cluster.local".to_owned()));
        assert_eq!(named(false, "sub"), Ok("job-0".to_owned()));
        assert_eq!(of(json!({ "containers": [], "setHostnameAsFQDN": true })), Ok("job-0-abcde".to_owned()));
        // 64 bytes are the most.
        let rest = "job-0..ns.svc.cluster.local".len();
        assert_eq!(named(true, &"s".repeat(64 - rest)).unwrap().len(), 64);
        let long = "s".repeat(65 - rest);
        let expected = format!(
            "failed to construct FQDN from pod hostname and cluster domain, FQDN job-0.{long}.ns.svc.cluster.local is \
             too long (64 characters is the max, 65 characters requested)"
        );
        assert_eq!(named(true, &long), Err(expected));
    }

    #[test]
    fn ports_of_the_node_are_those_of_containers_that_ask_for_them() {
        let ports = json!([
            { "containerPort": 80, "hostPort": 8080 },
            { "containerPort": 53, "hostPort": 5353, "protocol": "UDP", "hostIP": "127.0.0.1" },
            { "containerPort": 1 },
            { "containerPort": 81, "hostPort": 8081, "hostIP": "0.0.0.0" },
            { "containerPort": 82, "hostPort": 8082, "hostIP": "fd00::1" },
        ]);
        let side = json!([{ "containerPort": 9, "hostPort": 9 }]);
        let all = host_ports(&pod(
            None,
            json!({
                "containers": [{ "name": "c", "ports": ports }],
                "initContainers": [
                    { "name": "i", "ports": [{ "containerPort": 7, "hostPort": 7 }] },
                    { "name": "s", "ports": side, "restartPolicy": "Always" },
                ],
            }),
        ));
        let texts: Vec<String> = all
            .iter()
            .map(|port| format!("{:?} {}/{} {}", port.host_ip, port.host_port, port.protocol, port.port))
            .collect();
        assert_eq!(
            texts,
            ["None 9/TCP 9", "None 8080/TCP 80", "Some(127.0.0.1) 5353/UDP 53", "None 8081/TCP 81"]
        );
        assert!(all[1].collides_with(&HostPort { host_ip: Some([10, 0, 0, 1].into()), ..all[1] }));
        assert!(!all[1].collides_with(&HostPort { protocol: Protocol::Udp, ..all[1] }));
        assert!(!all[2].collides_with(&HostPort { host_ip: Some([127, 0, 0, 2].into()), ..all[2] }));
    }
}
