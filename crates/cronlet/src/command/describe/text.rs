//! The text of a description: labelled lines, nested by indentation, then the events as a table.

use serde_json::Value;

use crate::{print, resources::Resource};

/// Column at which values start, in characters.
const VALUE_COLUMN: usize = 28;

/// Describes an object of any kind; kinds that people run get sections of their own.
pub fn describe(resource: &Resource, object: &Value, events: &[Value]) -> String {
    let mut text = Text::default();
    text.metadata(object);
    match resource.kind.as_str() {
        "CronJob" => text.cronjob(object),
        "Job" => text.job(object),
        "Pod" => text.pod(object),
        _ => text.whole(object),
    }
    text.events(events);
    text.0
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, depth: usize, label: &str, value: &str) {
        let head = format!("{}{label}:", "  ".repeat(depth));
        if value.is_empty() {
            self.0.push_str(&head);
        } else {
            self.0.push_str(&format!("{head:<VALUE_COLUMN$} {value}"));
        }
        self.0.push('\n');
    }

    fn field(&mut self, depth: usize, label: &str, value: &Value) {
        if !value.is_null() {
            self.line(depth, label, &plain(value));
        }
    }

    fn metadata(&mut self, object: &Value) {
        let metadata = &object["metadata"];
        self.field(0, "Name", &metadata["name"]);
        self.field(0, "Namespace", &metadata["namespace"]);
        for (label, field) in [("Labels", "labels"), ("Annotations", "annotations")] {
            let entries = metadata[field].as_object();
            let mut entries =
                entries.into_iter().flatten().filter(|(key, _)| !key.ends_with("last-applied-configuration"));
            let Some((key, value)) = entries.next() else {
                self.line(0, label, "<none>");
                continue;
            };
            self.line(0, label, &format!("{key}={}", plain(value)));
            for (key, value) in entries {
                self.0.push_str(&format!("{:VALUE_COLUMN$} {key}={}\n", "", plain(value)));
            }
        }
        for owner in metadata["ownerReferences"].as_array().into_iter().flatten() {
            self.line(0, "Controlled By", &format!("{}/{}", plain(&owner["kind"]), plain(&owner["name"])));
        }
        self.field(0, "Created", &metadata["creationTimestamp"]);
        self.field(0, "Deleting since", &metadata["deletionTimestamp"]);
    }

    fn cronjob(&mut self, object: &Value) {
        let (spec, status) = (&object["spec"], &object["status"]);
        self.field(0, "Schedule", &spec["schedule"]);
        self.line(0, "Time Zone", spec["timeZone"].as_str().unwrap_or("<the node's>"));
        self.field(0, "Concurrency Policy", &spec["concurrencyPolicy"]);
        self.field(0, "Suspend", &spec["suspend"]);
        self.field(0, "Starting Deadline Seconds", &spec["startingDeadlineSeconds"]);
        self.field(0, "Successful Jobs Kept", &spec["successfulJobsHistoryLimit"]);
        self.field(0, "Failed Jobs Kept", &spec["failedJobsHistoryLimit"]);
        let template = &spec["jobTemplate"]["spec"];
        self.field(0, "Backoff Limit", &template["backoffLimit"]);
        self.field(0, "Active Deadline Seconds", &template["activeDeadlineSeconds"]);
        self.template(&template["template"]["spec"], &Value::Null);
        self.line(0, "Last Schedule Time", status["lastScheduleTime"].as_str().unwrap_or("<unset>"));
        self.line(0, "Last Successful Time", status["lastSuccessfulTime"].as_str().unwrap_or("<unset>"));
        let active: Vec<String> =
            status["active"].as_array().into_iter().flatten().map(|job| plain(&job["name"])).collect();
        self.line(
            0,
            "Active Jobs",
            if active.is_empty() { "<none>".into() } else { active.join(", ") }.as_str(),
        );
    }

    fn job(&mut self, object: &Value) {
        let (spec, status) = (&object["spec"], &object["status"]);
        self.field(0, "Parallelism", &spec["parallelism"]);
        self.line(0, "Completions", &plain_or(&spec["completions"], "<unset>"));
        self.field(0, "Completion Mode", &spec["completionMode"]);
        self.field(0, "Backoff Limit", &spec["backoffLimit"]);
        self.field(0, "Suspend", &spec["suspend"]);
        self.field(0, "Active Deadline Seconds", &spec["activeDeadlineSeconds"]);
        self.field(0, "TTL Seconds After Finished", &spec["ttlSecondsAfterFinished"]);
        self.field(0, "Start Time", &status["startTime"]);
        self.field(0, "Completed At", &status["completionTime"]);
        let count = |field: &str| status[field].as_i64().unwrap_or_default();
        let counts = format!(
            "{} Active ({} Ready) / {} Succeeded / {} Failed",
            count("active"),
            count("ready"),
            count("succeeded"),
            count("failed")
        );
        self.line(0, "Pods Statuses", &counts);
        self.conditions(&status["conditions"]);
        self.template(&spec["template"]["spec"], &Value::Null);
    }

    fn pod(&mut self, object: &Value) {
        let (spec, status) = (&object["spec"], &object["status"]);
        self.line(0, "Node", spec["nodeName"].as_str().unwrap_or("<none>"));
        self.field(0, "Start Time", &status["startTime"]);
        self.field(0, "Status", &status["phase"]);
        self.field(0, "Reason", &status["reason"]);
        self.field(0, "Message", &status["message"]);
        self.field(0, "IP", &status["podIP"]);
        self.field(0, "Restart Policy", &spec["restartPolicy"]);
        self.template(spec, status);
        self.conditions(&status["conditions"]);
    }

    fn conditions(&mut self, conditions: &Value) {
        let Some(conditions) = conditions.as_array().filter(|list| !list.is_empty()) else { return };
        self.line(0, "Conditions", "");
        for condition in conditions {
            let mut words = plain(&condition["status"]);
            for field in ["reason", "message"] {
                if let Some(text) = condition[field].as_str().filter(|text| !text.is_empty()) {
                    words.push_str(&format!("  {text}"));
                }
            }
            self.line(1, &plain(&condition["type"]), &words);
        }
    }

    /// Containers and volumes of a pod spec, with what is known of them in `status`.
    fn template(&mut self, spec: &Value, status: &Value) {
        for (label, list, states) in [
            ("Init Containers", "initContainers", "initContainerStatuses"),
            ("Containers", "containers", "containerStatuses"),
        ] {
            let Some(containers) = spec[list].as_array() else { continue };
            self.line(0, label, "");
            for container in containers {
                let states = status[states].as_array().into_iter().flatten();
                let state = states.into_iter().find(|state| state["name"] == container["name"]);
                self.container(container, state);
            }
        }
        let Some(volumes) = spec["volumes"].as_array().filter(|list| !list.is_empty()) else { return };
        self.line(0, "Volumes", "");
        for volume in volumes {
            let source = volume.as_object().into_iter().flatten().find(|(key, _)| *key != "name");
            let words = source.map(|(kind, source)| format!("{kind} {source}")).unwrap_or_default();
            self.line(1, &plain(&volume["name"]), &words);
        }
    }

    fn container(&mut self, container: &Value, state: Option<&Value>) {
        self.line(1, &plain(&container["name"]), "");
        self.field(2, "Image", &container["image"]);
        for (label, field) in [("Command", "command"), ("Args", "args")] {
            if let Some(words) = container[field].as_array() {
                let words: Vec<String> = words.iter().map(Value::to_string).collect();
                self.line(2, label, &words.join(" "));
            }
        }
        if let Some(state) = state {
            self.state(state);
        }
        for variable in container["env"].as_array().into_iter().flatten() {
            let value = match variable["value"].as_str() {
                Some(value) => value.to_owned(),
                None => format!("<from {}>", variable["valueFrom"]),
            };
            self.line(2, &format!("Env {}", plain(&variable["name"])), &value);
        }
        for mount in container["volumeMounts"].as_array().into_iter().flatten() {
            let read_only = if mount["readOnly"] == true { " (read-only)" } else { "" };
            let words = format!("{} from {}{read_only}", plain(&mount["mountPath"]), plain(&mount["name"]));
            self.line(2, "Mount", &words);
        }
    }

    fn state(&mut self, state: &Value) {
        for (label, field) in [("State", "state"), ("Last State", "lastState")] {
            for (name, details) in state[field].as_object().into_iter().flatten() {
                self.line(2, label, name);
                for (key, value) in details.as_object().into_iter().flatten() {
                    if key != "containerID" {
                        self.line(3, key, &plain(value));
                    }
                }
            }
        }
        self.field(2, "Restart Count", &state["restartCount"]);
    }

    /// Objects without sections of their own are shown as they are. Secrets' values are not.
    fn whole(&mut self, object: &Value) {
        for (field, value) in object.as_object().into_iter().flatten() {
            if ["apiVersion", "kind", "metadata"].contains(&field.as_str()) {
                continue;
            }
            let secret = object["kind"] == "Secret" && field == "data";
            self.line(0, field, "");
            for (key, value) in value.as_object().into_iter().flatten() {
                let shown = if secret {
                    format!("{} characters of base64", plain(value).len())
                } else {
                    plain(value)
                };
                self.line(1, key, &shown);
            }
        }
    }

    fn events(&mut self, events: &[Value]) {
        if events.is_empty() {
            return self.line(0, "Events", "<none>");
        }
        self.line(0, "Events", "");
        let mut rows =
            vec![["  Last Seen", "Type", "Reason", "Count", "Message"].map(str::to_owned).to_vec()];
        rows.extend(events.iter().map(|event| {
            vec![
                format!("  {}", plain(&event["lastTimestamp"])),
                plain(&event["type"]),
                plain(&event["reason"]),
                event["count"].as_i64().unwrap_or(1).to_string(),
                plain(&event["message"]).trim().to_owned(),
            ]
        }));
        let mut table = Vec::new();
        if print::columns(&mut table, &rows).is_ok() {
            self.0.push_str(&String::from_utf8_lossy(&table));
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn plain_or(value: &Value, absent: &str) -> String {
    if value.is_null() { absent.to_owned() } else { plain(value) }
}
