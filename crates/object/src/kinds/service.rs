//! Services: stored for the sake of clients that expect them. Nothing gives them an address or forwards what is sent to
//! one, so a Service is headless here unless it says otherwise.

use core::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{LoadBalancerStatus, ServicePort, ServiceSpec, ServiceStatus},
    apimachinery::pkg::util::intstr::IntOrString,
};
use serde_json::Value;

use super::Rules;
use crate::{
    FieldErrors, Path,
    api::Service,
    table::{self, Column, Row},
    validate::{
        inclusive_range,
        labels::validate_labels,
        names::{NameRule, dns_label_errors, dns_subdomain_errors, port_name_errors, report},
        one_of,
    },
};

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const AFFINITIES: [&str; 2] = ["ClientIP", "None"];
const EXTERNAL_NAME: &str = "ExternalName";
const HEADLESS: &str = "None";
const PORT_MAX: i32 = 65_535;
/// How long a client stays with a pod, in seconds, unless the Service says (upstream's default).
const AFFINITY_SECONDS: i32 = 10_800;

impl Rules for Service {
    const NAME: NameRule = NameRule::ServiceLabel;
    const FIELDS: &[&str] = &["spec.clusterIP", "spec.type"];
    const COLUMNS: &[Column] = &[
        table::NAME,
        Column::text("Type"),
        Column::text("Cluster-IP"),
        Column::text("External-IP"),
        Column::text("Port(s)"),
        Column::text("Age"),
        Column::wide("Selector"),
    ];

    fn set_defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        let kind = spec.type_.get_or_insert_with(|| "ClusterIP".to_owned()).clone();
        let affinity = spec.session_affinity.get_or_insert_with(|| "None".to_owned()).clone();
        if affinity == "ClientIP" {
            let config = spec.session_affinity_config.get_or_insert_default();
            config.client_ip.get_or_insert_default().timeout_seconds.get_or_insert(AFFINITY_SECONDS);
        }
        for port in spec.ports.iter_mut().flatten() {
            port.protocol.get_or_insert_with(|| "TCP".to_owned());
            let own = port.port;
            let is_unset = |target: &IntOrString| match target {
                IntOrString::Int(number) => *number == 0,
                IntOrString::String(name) => name.is_empty(),
            };
            if port.target_port.as_ref().is_none_or(is_unset) {
                port.target_port = Some(IntOrString::Int(own));
            }
        }
        if kind != EXTERNAL_NAME {
            spec.internal_traffic_policy.get_or_insert_with(|| "Cluster".to_owned());
        }
        self.status.get_or_insert_default().load_balancer.get_or_insert_default();
    }

    fn prepare_create(&mut self) {
        self.status =
            Some(ServiceStatus { load_balancer: Some(LoadBalancerStatus::default()), ..Default::default() });
        allot(self.spec.get_or_insert_default());
    }

    fn prepare_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
        let (Some(spec), Some(before)) = (self.spec.as_mut(), &old.spec) else { return };
        // Who leaves it out does not want it changed.
        if spec.type_ != Some(EXTERNAL_NAME.to_owned()) && cluster_ip(spec).is_empty() {
            spec.cluster_ip.clone_from(&before.cluster_ip);
            spec.cluster_ips.clone_from(&before.cluster_ips);
        }
        allot(spec);
    }

    fn prepare_status_update(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let absent = ServiceSpec::default();
        validate_spec(self.spec.as_ref().unwrap_or(&absent), errors);
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        let absent = ServiceSpec::default();
        let (new, before) = (self.spec.as_ref().unwrap_or(&absent), old.spec.as_ref().unwrap_or(&absent));
        let is_named = |spec: &ServiceSpec| spec.type_.as_deref() == Some(EXTERNAL_NAME);
        let kept = cluster_ip(before).is_empty() || cluster_ip(new) == cluster_ip(before);
        if !is_named(new) && !is_named(before) && !kept {
            let field = Path::root("spec").child("clusterIPs").index(0);
            errors.invalid(&field, &new.cluster_ips, "may not change once set");
        }
        self.validate(errors);
    }

    fn warnings(&self, _old: Option<&Self>) -> Vec<String> {
        let kind = self.spec.as_ref().and_then(|spec| spec.type_.as_deref()).unwrap_or_default();
        if matches!(kind, "LoadBalancer" | "NodePort") {
            vec![format!(
                "spec.type: {kind} opens no port here: this node stores Services and forwards nothing to them"
            )]
        } else {
            Vec::new()
        }
    }

    fn field(&self, label: &str) -> Option<String> {
        let spec = self.spec.as_ref()?;
        if label == "spec.type" { spec.type_.clone() } else { spec.cluster_ip.clone() }
    }

    fn row(&self, now: Timestamp) -> Row {
        let absent = ServiceSpec::default();
        let spec = self.spec.as_ref().unwrap_or(&absent);
        let kind = spec.type_.as_deref().unwrap_or_default();
        let selector = spec.selector.iter().flatten().map(|(key, value)| format!("{key}={value}"));
        let selector = selector.collect::<Vec<_>>().join(",");
        let addresses = spec.cluster_ips.as_deref().unwrap_or_default();
        Row::of([
            table::name(&self.metadata),
            kind.into(),
            table::text_or(addresses.first().map(String::as_str), "<none>"),
            external(spec, kind),
            table::text_or(Some(&ports_text(spec)), "<none>"),
            table::age_of(&self.metadata, now),
            table::text_or(Some(&selector), "<none>"),
        ])
    }
}

fn cluster_ip(spec: &ServiceSpec) -> &str {
    spec.cluster_ip.as_deref().unwrap_or_default()
}

/// Gives a Service what upstream's allocators would. There are no addresses to give, so it becomes headless.
fn allot(spec: &mut ServiceSpec) {
    if spec.type_.as_deref() == Some(EXTERNAL_NAME) {
        spec.cluster_ip = None;
        spec.cluster_ips = None;
        return;
    }
    if cluster_ip(spec).is_empty() {
        let first = spec.cluster_ips.iter().flatten().next().cloned();
        spec.cluster_ip = Some(first.unwrap_or_else(|| HEADLESS.to_owned()));
    }
    if spec.cluster_ips.as_ref().is_none_or(Vec::is_empty) {
        spec.cluster_ips = spec.cluster_ip.clone().map(|address| vec![address]);
    }
    let family = match cluster_ip(spec).parse() {
        Ok(IpAddr::V6(_)) => "IPv6",
        _ => "IPv4",
    };
    spec.ip_families.get_or_insert_with(|| vec![family.to_owned()]);
    spec.ip_family_policy.get_or_insert_with(|| "SingleStack".to_owned());
}

fn external(spec: &ServiceSpec, kind: &str) -> Value {
    let addresses = spec.external_ips.as_deref().unwrap_or_default().join(",");
    match kind {
        EXTERNAL_NAME => spec.external_name.clone().unwrap_or_default().into(),
        // Nobody balances here, so none is ever there.
        "LoadBalancer" => table::text_or(Some(&addresses), "<pending>"),
        _ => table::text_or(Some(&addresses), "<none>"),
    }
}

fn ports_text(spec: &ServiceSpec) -> String {
    let text = |port: &ServicePort| {
        let protocol = port.protocol.as_deref().unwrap_or_default();
        match port.node_port.filter(|port| *port > 0) {
            Some(node_port) => format!("{}:{node_port}/{protocol}", port.port),
            None => format!("{}/{protocol}", port.port),
        }
    };
    spec.ports.iter().flatten().map(text).collect::<Vec<_>>().join(",")
}

fn validate_spec(spec: &ServiceSpec, errors: &mut FieldErrors) {
    let field = |name: &str| Path::root("spec").child(name);
    let kind = spec.type_.as_deref().unwrap_or_default();
    let ports = spec.ports.as_deref().unwrap_or_default();
    let headless = cluster_ip(spec) == HEADLESS;
    if ports.is_empty() && !headless && kind != EXTERNAL_NAME {
        errors.required(&field("ports"), "");
    }
    if kind == EXTERNAL_NAME {
        let name = spec.external_name.as_deref().unwrap_or_default();
        let bare = name.strip_suffix('.').unwrap_or(name);
        if bare.is_empty() {
            errors.required(&field("externalName"), "");
        } else {
            report(dns_subdomain_errors(bare), name, || field("externalName"), errors);
        }
    }
    validate_ports(ports, errors);
    validate_labels(spec.selector.as_ref(), || field("selector"), errors);
    one_of(
        spec.session_affinity.as_deref().unwrap_or_default(),
        &AFFINITIES,
        || field("sessionAffinity"),
        errors,
    );
    one_of(kind, &TYPES, || field("type"), errors);
    for (i, address) in spec.cluster_ips.iter().flatten().enumerate() {
        if address != HEADLESS && address.parse::<IpAddr>().is_err() {
            let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            errors.invalid(&field("clusterIPs").index(i), address, detail);
        }
    }
    let first = spec.cluster_ips.iter().flatten().next();
    if first.is_some_and(|first| first != cluster_ip(spec)) {
        let detail = "first value must match `clusterIP`";
        errors.invalid(&field("clusterIPs"), &spec.cluster_ips, detail);
    }
}

fn validate_ports(ports: &[ServicePort], errors: &mut FieldErrors) {
    for (i, port) in ports.iter().enumerate() {
        let at = Path::root("spec").child("ports").index(i);
        let name = port.name.as_deref().unwrap_or_default();
        if name.is_empty() {
            if ports.len() > 1 {
                errors.required(&at.child("name"), "");
            }
        } else {
            report(dns_label_errors(name), name, || at.child("name"), errors);
            if ports[..i].iter().any(|other| other.name.as_deref() == Some(name)) {
                errors.duplicate(&at.child("name"), name);
            }
        }
        if !(1..=PORT_MAX).contains(&port.port) {
            errors.invalid(&at.child("port"), port.port, inclusive_range(1, PORT_MAX.into()));
        }
        let protocol = port.protocol.as_deref().unwrap_or_default();
        one_of(protocol, &PROTOCOLS, || at.child("protocol"), errors);
        match &port.target_port {
            Some(IntOrString::Int(number)) if !(1..=PORT_MAX).contains(number) => {
                errors.invalid(&at.child("targetPort"), number, inclusive_range(1, PORT_MAX.into()));
            }
            Some(IntOrString::String(name)) => {
                report(port_name_errors(name), name, || at.child("targetPort"), errors);
            }
            _ => {}
        }
        if ports[..i].iter().any(|other| (other.port, &other.protocol) == (port.port, &port.protocol)) {
            let twin = ServicePort { port: port.port, protocol: port.protocol.clone(), ..Default::default() };
            errors.duplicate(&at, twin);
        }
    }
}
