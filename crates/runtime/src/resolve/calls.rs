//! Turns probes and hooks into the calls that a shim makes.

use cronlet_object::api::Container;
use k8s_openapi::{
    api::core::v1::{
        ExecAction, GRPCAction, HTTPGetAction, LifecycleHandler, Probe as ApiProbe, TCPSocketAction,
    },
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{Inputs, environment};
use crate::spec::{Call, HttpGet, Probe, ProbeKind};

/// Who probes and hooks of a pod ask unless they name a host: the pod's address. One without a network has none, but
/// its shim can reach it where it is.
pub(super) fn default_host(inputs: &Inputs<'_>, no_network: bool) -> String {
    if no_network { "127.0.0.1".to_owned() } else { inputs.pod_ip() }
}

/// The hooks of a container: `postStart` and `preStop`.
pub(super) fn hooks(container: &Container, host: &str) -> [Option<Call>; 2] {
    let lifecycle = container.lifecycle.as_ref();
    let call = |handler: &LifecycleHandler| hook(container, handler, host);
    [
        lifecycle.and_then(|hooks| hooks.post_start.as_ref()),
        lifecycle.and_then(|hooks| hooks.pre_stop.as_ref()),
    ]
    .map(|handler| handler.map(call))
}

/// The probes of a container.
pub(super) fn probes(container: &Container, host: &str) -> Vec<Probe> {
    let all = [
        (ProbeKind::Startup, &container.startup_probe),
        (ProbeKind::Liveness, &container.liveness_probe),
        (ProbeKind::Readiness, &container.readiness_probe),
    ];
    let some = all.into_iter().filter_map(|(kind, probe)| Some((kind, probe.as_ref()?)));
    some.map(|(kind, probe)| resolve(container, kind, probe, host)).collect()
}

fn resolve(container: &Container, kind: ProbeKind, probe: &ApiProbe, host: &str) -> Probe {
    let number = |value: Option<i32>, default: u32| {
        value.and_then(|value| u32::try_from(value).ok()).filter(|&value| value > 0).unwrap_or(default)
    };
    let call = if let Some(exec) = &probe.exec {
        // Only what the container itself sets is put in: the kubelet knows no more at that point.
        let known = literals(container);
        let argv = exec.command.iter().flatten();
        Call::Exec { argv: argv.map(|part| environment::expand(part, &known)).collect() }
    } else if let Some(get) = &probe.http_get {
        http(container, get, host, false)
    } else if let Some(tcp) = &probe.tcp_socket {
        socket(container, tcp, host)
    } else if let Some(grpc) = &probe.grpc {
        health(grpc, host)
    } else {
        Call::Impossible { message: format!("missing probe handler for {}", container.name) }
    };
    Probe {
        kind,
        call,
        initial_delay_seconds: number(probe.initial_delay_seconds, 0),
        period_seconds: number(probe.period_seconds, 10),
        timeout_seconds: number(probe.timeout_seconds, 1),
        success_threshold: number(probe.success_threshold, 1),
        failure_threshold: number(probe.failure_threshold, 3),
        grace_seconds: probe.termination_grace_period_seconds,
    }
}

fn hook(container: &Container, handler: &LifecycleHandler, host: &str) -> Call {
    if let Some(ExecAction { command }) = &handler.exec {
        Call::Exec { argv: command.clone().unwrap_or_default() }
    } else if let Some(get) = &handler.http_get {
        http(container, get, host, true)
    } else if let Some(sleep) = &handler.sleep {
        Call::Sleep {
            seconds: u32::try_from(sleep.seconds.clamp(0, i64::from(u32::MAX))).unwrap_or(u32::MAX),
        }
    } else {
        // Upstream keeps `tcpSocket` for compatibility, and answers the same.
        Call::Impossible { message: "cannot run handler".to_owned() }
    }
}

fn literals(container: &Container) -> Vec<(String, String)> {
    let set = container.env.iter().flatten().filter(|variable| variable.value_from.is_none());
    set.map(|variable| (variable.name.clone(), variable.value.clone().unwrap_or_default())).collect()
}

fn host_or(named: Option<&String>, default: &str) -> String {
    named.filter(|host| !host.is_empty()).map_or(default, String::as_str).to_owned()
}

fn http(container: &Container, get: &HTTPGetAction, host: &str, any_status: bool) -> Call {
    let port = match port(container, &get.port) {
        Ok(port) => port,
        Err(message) => return Call::Impossible { message },
    };
    let path = get.path.as_deref().unwrap_or_default();
    let headers = get.http_headers.iter().flatten();
    Call::HttpGet(HttpGet {
        tls: get.scheme.as_deref() == Some("HTTPS"),
        host: host_or(get.host.as_ref(), host),
        port,
        path: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
        headers: headers.map(|header| (header.name.clone(), header.value.clone())).collect(),
        any_status,
    })
}

fn socket(container: &Container, tcp: &TCPSocketAction, host: &str) -> Call {
    match port(container, &tcp.port) {
        Ok(port) => Call::TcpSocket { host: host_or(tcp.host.as_ref(), host), port },
        Err(message) => Call::Impossible { message },
    }
}

fn health(grpc: &GRPCAction, host: &str) -> Call {
    match u16::try_from(grpc.port) {
        Ok(port) => {
            Call::Grpc { host: host.to_owned(), port, service: grpc.service.clone().unwrap_or_default() }
        }
        Err(_) => Call::Impossible { message: format!("invalid port number: {}", grpc.port) },
    }
}

/// A port by its number, or by the name that the container gives it.
fn port(container: &Container, port: &IntOrString) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            let mut ports = container.ports.iter().flatten();
            match ports.find(|port| port.name.as_ref() == Some(name)) {
                Some(found) => found.container_port,
                None => name.parse().map_err(|_| format!("couldn't find port: {name}"))?,
            }
        }
    };
    u16::try_from(number)
        .ok()
        .filter(|&port| port > 0)
        .ok_or_else(|| format!("invalid port number: {number}"))
}
