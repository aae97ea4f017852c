//! Pods.

mod cells;
mod status;
mod update;

use jiff::Timestamp;

use super::{Rules, pod_template};
use crate::{
    FieldErrors, Path,
    api::{Container, Pod, PodSpec, PodStatus},
    quantity::Quantity,
    table::{self, Column, Row},
    validate::{
        equal,
        names::{NameRule, dns_label_errors},
        pod_spec,
    },
};

const PENDING: &str = "Pending";
/// The account of pods that name none.
const SERVICE_ACCOUNT: &str = "default";

impl Rules for Pod {
    const NAME: NameRule = NameRule::Subdomain;
    const FIELDS: &[&str] = &[
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.podIPs",
        "status.nominatedNodeName",
    ];
    const COLUMNS: &[Column] = &[
        table::NAME,
        Column::text("Ready"),
        Column::text("Status"),
        Column::text("Restarts"),
        Column::text("Age"),
        Column::wide("IP"),
        Column::wide("Node"),
        Column::wide("Nominated Node"),
        Column::wide("Readiness Gates"),
    ];

    fn set_defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        pod_template::set_spec_defaults(spec);
        spec.enable_service_links.get_or_insert(true);
        let host_network = spec.host_network == Some(true);
        for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
            request_limits(container);
            if host_network {
                open_host_ports(container);
            }
        }
    }

    fn prepare_create(&mut self) {
        let spec = self.spec.get_or_insert_default();
        if spec.service_account_name.is_none() {
            spec.service_account_name = Some(SERVICE_ACCOUNT.to_owned());
            pod_template::mirror_service_account(spec);
        }
        spec.priority.get_or_insert(0);
        spec.preemption_policy.get_or_insert_with(|| "PreemptLowerPriority".to_owned());
        self.status = Some(PodStatus {
            phase: Some(PENDING.to_owned()),
            qos_class: Some(qos_class(spec).to_owned()),
            ..Default::default()
        });
    }

    fn prepare_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status_update(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
        self.metadata.owner_references.clone_from(&old.metadata.owner_references);
        let status = self.status.get_or_insert_default();
        if status.qos_class.as_deref().unwrap_or_default().is_empty() {
            status.qos_class = old.status.as_ref().and_then(|status| status.qos_class.clone());
        }
    }

    fn spec_differs(&self, old: &Self) -> bool {
        !equal(&self.spec, &old.spec)
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let Some(spec) = &self.spec else { return };
        validate_spec(self, spec, errors);
        let field = Path::root("spec");
        if spec.ephemeral_containers.as_ref().is_some_and(|containers| !containers.is_empty()) {
            errors.forbidden(&field.child("ephemeralContainers"), "cannot be set on create");
        }
        let bound = spec.node_name.as_ref().is_some_and(|name| !name.is_empty());
        if bound && spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()) {
            let detail = "cannot be set until all schedulingGates have been cleared";
            errors.forbidden(&field.child("nodeName"), detail);
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        let (Some(new), Some(before)) = (&self.spec, &old.spec) else { return };
        validate_spec(self, new, errors);
        update::validate(new, before, errors);
    }

    fn validate_status_update(&self, old: &Self, errors: &mut FieldErrors) {
        status::validate_update(self, old, errors);
    }

    fn warnings(&self, old: Option<&Self>) -> Vec<String> {
        if old.is_some_and(|old| !self.spec_differs(old)) {
            return Vec::new();
        }
        let mut warnings: Vec<String> =
            self.spec.iter().flat_map(|spec| pod_template::warnings(spec, &Path::root("spec"))).collect();
        let faults = dns_label_errors(self.metadata.name.as_deref().unwrap_or_default());
        if old.is_none() && !faults.is_empty() {
            warnings.push(format!(
                "metadata.name: this is used in the Pod's hostname, which can result in surprising \
                 behavior; a DNS label is recommended: [{}]",
                faults.join(" ")
            ));
        }
        warnings
    }

    fn field(&self, label: &str) -> Option<String> {
        let (spec, status) = (self.spec.as_ref(), self.status.as_ref());
        match label {
            "spec.nodeName" => spec?.node_name.clone(),
            "spec.restartPolicy" => spec?.restart_policy.clone(),
            "spec.schedulerName" => spec?.scheduler_name.clone(),
            "spec.serviceAccountName" => spec?.service_account_name.clone(),
            "spec.hostNetwork" => Some(spec?.host_network.unwrap_or_default().to_string()),
            "status.phase" => status?.phase.clone(),
            "status.podIP" | "status.podIPs" => status?.pod_ip.clone(),
            _ => status?.nominated_node_name.clone(),
        }
    }

    fn row(&self, now: Timestamp) -> Row {
        cells::row(self, now)
    }
}

/// What is asked of the specification of a pod whenever it is written.
fn validate_spec(pod: &Pod, spec: &PodSpec, errors: &mut FieldErrors) {
    let field = Path::root("spec");
    pod_spec::validate(spec, Some(&pod.metadata), &field, errors);
    let lists = [("containers", Some(&spec.containers)), ("initContainers", spec.init_containers.as_ref())];
    for (list, containers) in lists {
        for (i, container) in containers.into_iter().flatten().enumerate() {
            let image = container.image.as_deref().unwrap_or_default();
            if image.trim() != image {
                let at = field.child(list).index(i).child("image");
                errors.invalid(&at, image, "must not have leading or trailing whitespace");
            }
        }
    }
}

/// Where only a limit is given, as much is requested.
fn request_limits(container: &mut Container) {
    let Some(resources) = &mut container.resources else { return };
    let Some(limits) = resources.limits.as_ref().filter(|limits| !limits.is_empty()) else { return };
    let requests = resources.requests.get_or_insert_default();
    for (name, limit) in limits {
        if !requests.contains_key(name) {
            requests.insert(name.clone(), limit.clone());
        }
    }
}

/// In the host's network a container's ports are the host's.
fn open_host_ports(container: &mut Container) {
    for port in container.ports.iter_mut().flatten() {
        if port.host_port.unwrap_or_default() == 0 {
            port.host_port = Some(port.container_port);
        }
    }
}

/// The class that decides which pods must give way when memory runs short.
fn qos_class(spec: &PodSpec) -> &'static str {
    let containers = || spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let amount = |container: &Container, limits: bool, name: &str| {
        let resources = container.resources.as_ref()?;
        let amounts = if limits { &resources.limits } else { &resources.requests };
        let amount: Quantity = amounts.as_ref()?.get(name)?.0.parse().ok()?;
        (!amount.is_zero()).then_some(amount)
    };
    let names = ["cpu", "memory"];
    let any = |limits| containers().any(|c| names.iter().any(|name| amount(c, limits, name).is_some()));
    let limited = |container: &Container| {
        names.iter().all(|name| {
            let limit = amount(container, true, name);
            limit.is_some() && amount(container, false, name) == limit
        })
    };
    if !any(true) && !any(false) {
        "BestEffort"
    } else if containers().all(limited) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

#[cfg(test)]
mod tests;
