//! What the LimitRanges of a namespace say about its pods and claims: upstream's admission plugin `LimitRanger`.

use k8s_openapi::api::core::v1::{LimitRangeItem, ResourceRequirements};

use crate::{
    ApiError, Kind, Snapshot,
    api::{Container, LimitRange, PersistentVolumeClaim, Pod, PodSpec},
    kinds::limit_range::{Amounts, CLAIM, CONTAINER, POD},
    quantity::Quantity,
    validate::resources::parse,
};

/// Annotation of a pod: what it was given.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";

fn items(snapshot: &Snapshot, namespace: &str) -> Vec<LimitRangeItem> {
    let ranges = snapshot.list_namespace(Kind::LimitRange, namespace);
    ranges.flat_map(|object| object.decode::<LimitRange>().spec.unwrap_or_default().limits).collect()
}

/// Gives the containers of a new pod the defaults of its namespace, and holds it against the bounds.
///
/// # Errors
/// 403 with all bounds that it breaks.
pub(super) fn admit_pod(snapshot: &Snapshot, pod: &mut Pod) -> Result<(), ApiError> {
    let items = items(snapshot, pod.metadata.namespace.as_deref().unwrap_or_default());
    if items.is_empty() {
        return Ok(());
    }
    let mut given = Vec::new();
    let spec = pod.spec.get_or_insert_default();
    for item in items.iter().filter(|item| item.type_ == CONTAINER) {
        for container in &mut spec.containers {
            fill(container, "container", item, &mut given);
        }
        for container in spec.init_containers.iter_mut().flatten() {
            fill(container, "init container", item, &mut given);
        }
    }
    let mut faults = Vec::new();
    for item in &items {
        match item.type_.as_str() {
            CONTAINER => {
                let all = spec.containers.iter().chain(spec.init_containers.iter().flatten());
                for container in all {
                    let resources = container.resources.clone().unwrap_or_default();
                    check(item, &Asked::of(&resources), &mut faults);
                }
            }
            POD => check(item, &Asked::together(spec), &mut faults),
            _ => {}
        }
    }
    if !given.is_empty() {
        let text = format!("LimitRanger plugin set: {}", given.join("; "));
        pod.metadata.annotations.get_or_insert_default().insert(ANNOTATION.to_owned(), text);
    }
    refuse(&faults).map_or(Ok(()), |why| Err(super::refused(pod, &why)))
}

/// Holds a new claim against the bounds of its namespace.
///
/// # Errors
/// 403 with all bounds that it breaks.
pub(super) fn check_claim(snapshot: &Snapshot, claim: &PersistentVolumeClaim) -> Result<(), ApiError> {
    let mut faults = Vec::new();
    let resources = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    let requests = resources.and_then(|resources| resources.requests.clone()).unwrap_or_default();
    for item in items(snapshot, claim.metadata.namespace.as_deref().unwrap_or_default()) {
        if item.type_ != CLAIM {
            continue;
        }
        // A claim has no limit.
        let asked = Asked { requests: requests.clone(), limits: requests.clone() };
        let of_claims = LimitRangeItem { max_limit_request_ratio: None, ..item };
        let mut own = Vec::new();
        check(&of_claims, &asked, &mut own);
        faults.extend(
            own.into_iter()
                .map(|fault| fault.replace("limit is", "request is").replace("No limit", "No request")),
        );
    }
    faults.dedup();
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    let refused = |why: String| Err(ApiError::forbidden(Kind::PersistentVolumeClaim, name, &why));
    refuse(&faults).map_or(Ok(()), refused)
}

fn refuse(faults: &[String]) -> Option<String> {
    match faults {
        [] => None,
        [one] => Some(one.clone()),
        several => Some(format!("[{}]", several.join(", "))),
    }
}

fn fill(container: &mut Container, what: &str, item: &LimitRangeItem, given: &mut Vec<String>) {
    let resources = container.resources.get_or_insert_default();
    let pairs = [
        ("request", &mut resources.requests, &item.default_request),
        ("limit", &mut resources.limits, &item.default),
    ];
    for (part, own, defaults) in pairs {
        let mut names = Vec::new();
        for (name, amount) in defaults.iter().flatten() {
            if !own.as_ref().is_some_and(|own| own.contains_key(name)) {
                own.get_or_insert_default().insert(name.clone(), amount.clone());
                names.push(name.as_str());
            }
        }
        if !names.is_empty() {
            given.push(format!("{} {part} for {what} {}", names.join(", "), container.name));
        }
    }
}

/// What is asked for.
struct Asked {
    requests: Amounts,
    limits: Amounts,
}

impl Asked {
    fn of(resources: &ResourceRequirements) -> Self {
        Asked {
            requests: resources.requests.clone().unwrap_or_default(),
            limits: resources.limits.clone().unwrap_or_default(),
        }
    }

    /// Of a pod: its containers together, or the init container that asks for more; sidecars run beside both.
    fn together(spec: &PodSpec) -> Self {
        let of = |container: &Container| Asked::of(&container.resources.clone().unwrap_or_default());
        let (mut sum, mut beside, mut first) = (Asked::none(), Asked::none(), Asked::none());
        for container in &spec.containers {
            sum.combine(&of(container), Quantity::saturating_add);
        }
        for container in spec.init_containers.iter().flatten() {
            let mut own = of(container);
            if container.restart_policy.as_deref() == Some("Always") {
                beside.combine(&own, Quantity::saturating_add);
                first.combine(&beside, Quantity::max);
            } else {
                own.combine(&beside, Quantity::saturating_add);
                first.combine(&own, Quantity::max);
            }
        }
        sum.combine(&beside, Quantity::saturating_add);
        sum.combine(&first, Quantity::max);
        sum
    }

    fn none() -> Self {
        Asked { requests: Amounts::new(), limits: Amounts::new() }
    }

    fn combine(&mut self, other: &Asked, how: impl Fn(Quantity, Quantity) -> Quantity) {
        for (own, other) in [(&mut self.requests, &other.requests), (&mut self.limits, &other.limits)] {
            for (name, amount) in other {
                let both =
                    own.get(name).and_then(parse).zip(parse(amount)).map(|(a, b)| how(a, b).to_string());
                let amount = both
                    .map_or_else(|| amount.clone(), k8s_openapi::apimachinery::pkg::api::resource::Quantity);
                own.insert(name.clone(), amount);
            }
        }
    }
}

/// Adds the bounds that are broken, in upstream's words.
fn check(item: &LimitRangeItem, asked: &Asked, faults: &mut Vec<String>) {
    let of = |amounts: &Amounts, name: &str| amounts.get(name).and_then(parse);
    let kind = &item.type_;
    for (name, bound) in item.min.iter().flatten() {
        let Some(min) = parse(bound) else { continue };
        let mut tell =
            |what: String| faults.push(format!("minimum {name} usage per {kind} is {}{what}", bound.0));
        match (of(&asked.requests, name), of(&asked.limits, name)) {
            (None, _) => tell(".  No request is specified".to_owned()),
            (Some(request), _) if request < min => tell(format!(", but request is {request}")),
            (_, Some(limit)) if limit < min => tell(format!(", but limit is {limit}")),
            _ => {}
        }
    }
    for (name, bound) in item.max.iter().flatten() {
        let Some(max) = parse(bound) else { continue };
        let mut tell =
            |what: String| faults.push(format!("maximum {name} usage per {kind} is {}{what}", bound.0));
        match (of(&asked.requests, name), of(&asked.limits, name)) {
            (_, None) => tell(".  No limit is specified".to_owned()),
            (_, Some(limit)) if limit > max => tell(format!(", but limit is {limit}")),
            (Some(request), _) if request > max => tell(format!(", but request is {request}")),
            _ => {}
        }
    }
    for (name, bound) in item.max_limit_request_ratio.iter().flatten() {
        let Some(max) = parse(bound) else { continue };
        let mut tell = |what: String| {
            faults.push(format!("{name} max limit to request ratio per {kind} is {}, but {what}", bound.0));
        };
        let amount = |amounts: &Amounts| {
            of(amounts, name).map(|amount| amount.milli_value()).filter(|amount| *amount != 0)
        };
        match (amount(&asked.requests), amount(&asked.limits)) {
            (None, _) => tell("no request is specified or request is 0".to_owned()),
            (_, None) => tell("no limit is specified or limit is 0".to_owned()),
            (Some(request), Some(limit)) => {
                // As upstream, which divides and shows numbers with a point.
                let ratio = limit as f64 / request as f64;
                let max = max.milli_value() as f64 / 1000.0;
                if ratio > max {
                    tell(format!("provided ratio is {ratio:.6}"));
                }
            }
        }
    }
}
