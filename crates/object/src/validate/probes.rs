//! Probes and lifecycle handlers.

use super::{
    inclusive_range,
    names::{pattern_rule, port_name_errors, report},
    non_negative,
};
use crate::{FieldErrors, Path};
use k8s_openapi::{
    api::core::v1::{Container, ExecAction, HTTPGetAction, Lifecycle, LifecycleHandler, Probe, SleepAction},
    apimachinery::pkg::util::intstr::IntOrString,
};

const PORT_MAX: i64 = 65_535;

/// The probes and handlers of a container that may have them; `grace` is the pod's termination grace period.
pub(crate) fn validate_probes(
    container: &Container,
    grace: Option<i64>,
    field: &Path,
    errors: &mut FieldErrors,
) {
    if let Some(lifecycle) = &container.lifecycle {
        validate_lifecycle(lifecycle, grace, &field.child("lifecycle"), errors);
    }
    if let Some(probe) = &container.liveness_probe {
        validate_deciding_probe(probe, &field.child("livenessProbe"), errors);
    }
    if let Some(probe) = &container.readiness_probe {
        let field = field.child("readinessProbe");
        validate_probe(probe, &field, errors);
        if let Some(seconds) = probe.termination_grace_period_seconds {
            let at = field.child("terminationGracePeriodSeconds");
            errors.invalid(&at, seconds, "must not be set for readinessProbes");
        }
    }
    if let Some(probe) = &container.startup_probe {
        validate_deciding_probe(probe, &field.child("startupProbe"), errors);
    }
}

/// A probe whose first success decides.
fn validate_deciding_probe(probe: &Probe, field: &Path, errors: &mut FieldErrors) {
    validate_probe(probe, field, errors);
    let threshold = probe.success_threshold.unwrap_or_default();
    if threshold != 1 {
        errors.invalid(&field.child("successThreshold"), threshold, "must be 1");
    }
}

fn validate_probe(probe: &Probe, field: &Path, errors: &mut FieldErrors) {
    let mut handlers = Handlers { field, count: 0, errors };
    handlers.exec(probe.exec.as_ref());
    handlers.http_get(probe.http_get.as_ref());
    handlers.tcp_socket(probe.tcp_socket.as_ref().map(|tcp| &tcp.port));
    if let Some(grpc) = &probe.grpc {
        handlers.one("grpc", |field, errors| {
            validate_port_number(i64::from(grpc.port), || field.child("port"), errors);
        });
    }
    handlers.finish();
    let numbers = [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ];
    for (name, value) in numbers {
        non_negative(i64::from(value.unwrap_or_default()), || field.child(name), errors);
    }
    if let Some(seconds) = probe.termination_grace_period_seconds.filter(|seconds| *seconds <= 0) {
        errors.invalid(&field.child("terminationGracePeriodSeconds"), seconds, "must be greater than 0");
    }
}

fn validate_lifecycle(lifecycle: &Lifecycle, grace: Option<i64>, field: &Path, errors: &mut FieldErrors) {
    let handlers = [("postStart", &lifecycle.post_start), ("preStop", &lifecycle.pre_stop)];
    for (name, handler) in handlers {
        if let Some(handler) = handler {
            validate_handler(handler, grace, &field.child(name), errors);
        }
    }
}

fn validate_handler(handler: &LifecycleHandler, grace: Option<i64>, field: &Path, errors: &mut FieldErrors) {
    let mut handlers = Handlers { field, count: 0, errors };
    handlers.exec(handler.exec.as_ref());
    handlers.http_get(handler.http_get.as_ref());
    handlers.tcp_socket(handler.tcp_socket.as_ref().map(|tcp| &tcp.port));
    if let Some(sleep) = &handler.sleep {
        handlers.one("sleep", |field, errors| validate_sleep(sleep, grace, field, errors));
    }
    handlers.finish();
}

fn validate_sleep(sleep: &SleepAction, grace: Option<i64>, field: &Path, errors: &mut FieldErrors) {
    if let Some(grace) = grace.filter(|grace| sleep.seconds < 0 || sleep.seconds > *grace) {
        let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.invalid(field, sleep.seconds, detail);
    }
}

/// Counts the handlers of a probe or hook, of which there must be exactly one.
struct Handlers<'a> {
    field: &'a Path,
    count: usize,
    errors: &'a mut FieldErrors,
}

impl Handlers<'_> {
    fn one(&mut self, name: &str, validate: impl FnOnce(&Path, &mut FieldErrors)) {
        self.count += 1;
        let field = self.field.child(name);
        if self.count > 1 {
            self.errors.forbidden(&field, "may not specify more than 1 handler type");
        } else {
            validate(&field, self.errors);
        }
    }

    fn exec(&mut self, exec: Option<&ExecAction>) {
        let Some(exec) = exec else { return };
        self.one("exec", |field, errors| {
            if exec.command.as_deref().unwrap_or_default().is_empty() {
                errors.required(&field.child("command"), "");
            }
        });
    }

    fn http_get(&mut self, http: Option<&HTTPGetAction>) {
        let Some(http) = http else { return };
        self.one("httpGet", |field, errors| {
            if http.path.as_deref().unwrap_or_default().is_empty() {
                errors.required(&field.child("path"), "");
            }
            validate_port(&http.port, || field.child("port"), errors);
            let scheme = http.scheme.as_deref().unwrap_or_default();
            if !["HTTP", "HTTPS"].contains(&scheme) {
                errors.not_supported(&field.child("scheme"), scheme, &["HTTP", "HTTPS"]);
            }
            for header in http.http_headers.iter().flatten() {
                report(header_name_errors(&header.name), &header.name, || field.child("httpHeaders"), errors);
            }
        });
    }

    fn tcp_socket(&mut self, port: Option<&IntOrString>) {
        if let Some(port) = port {
            self.one("tcpSocket", |field, errors| validate_port(port, || field.child("port"), errors));
        }
    }

    fn finish(self) {
        if self.count == 0 {
            self.errors.required(self.field, "must specify a handler type");
        }
    }
}

fn header_name_errors(name: &str) -> Vec<String> {
    if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Vec::new();
    }
    let rule = "a valid HTTP header must consist of alphanumeric characters or '-'";
    vec![pattern_rule(rule, "[-A-Za-z0-9]+", &["X-Header-Name"])]
}

fn validate_port(port: &IntOrString, field: impl FnOnce() -> Path, errors: &mut FieldErrors) {
    match port {
        IntOrString::Int(number) => validate_port_number(i64::from(*number), field, errors),
        IntOrString::String(name) => report(port_name_errors(name), name, field, errors),
    }
}

/// The number of a port.
pub(crate) fn validate_port_number(number: i64, field: impl FnOnce() -> Path, errors: &mut FieldErrors) {
    if !(1..=PORT_MAX).contains(&number) {
        errors.invalid(&field(), number, inclusive_range(1, PORT_MAX));
    }
}
