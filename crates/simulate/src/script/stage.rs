//! Where scenarios are played: a simulation, and what its commands do to it.

use std::{cell::RefCell, rc::Rc};

use cronlet_controller::Settings;
use cronlet_object::{
    Key, Kind, Object, Typed, admit::Subresource, document::decode_typed, ledger::Entry, table,
};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{
    command::{Command, Rule, Target},
    tell::Teller,
};
use crate::{Behaviour, Call, Checks, Fate, PodIdentity, Simulation, Step, course::triggered};

/// The seed of names that scenarios do not show.
const SEED: u64 = 1;
const NAMESPACE: &str = "default";

/// A simulation under way; none before `start`.
#[derive(Default)]
pub(super) struct Stage {
    play: Option<Play>,
    rules: Rc<RefCell<Vec<Rule>>>,
}

struct Play {
    simulation: Simulation,
    checks: Checks,
    teller: Teller,
}

impl Stage {
    /// Does what a command says. Returns what came of it, in lines.
    pub(super) fn perform(&mut self, command: Command) -> Result<Vec<String>, String> {
        match command {
            Command::Start { time, zone } => {
                let time_zone = cronlet_schedule::load_time_zone(&zone).map_err(|error| error.to_string())?;
                self.rules.borrow_mut().clear();
                let rules = self.rules.clone();
                let behave = Box::new(move |pod: &PodIdentity| behaviour(&rules.borrow(), pod));
                let settings = Settings {
                    node_name: None,
                    time_zone: time_zone.clone(),
                    cluster_ca: None,
                    volumes_dir: "/volumes".into(),
                };
                let simulation = Simulation::new(time, settings, SEED, behave);
                let teller = Teller::new(time_zone);
                let mut play = Play { simulation, checks: Checks::default(), teller };
                play.go_on(SignedDuration::ZERO)?;
                self.play = Some(play);
                Ok(Vec::new())
            }
            Command::Pods(rule) => {
                self.rules.borrow_mut().push(rule);
                Ok(Vec::new())
            }
            other => self.play.as_mut().ok_or("the first command is `start`")?.perform(other),
        }
    }
}

/// What a pod does: what the last rule about it says; without any it succeeds at once.
fn behaviour(rules: &[Rule], pod: &PodIdentity) -> Behaviour {
    let rule = rules.iter().rev().find(|rule| rule.is_about(pod));
    rule.map_or_else(|| Behaviour::ends(SignedDuration::ZERO, 0), |rule| rule.behaviour.clone())
}

impl Play {
    fn perform(&mut self, command: Command) -> Result<Vec<String>, String> {
        match command {
            Command::Apply(manifests) => self.apply(&manifests),
            Command::Trigger { cron_job, job } => self.trigger(&cron_job, &job),
            Command::Patch { target, patch, status } => {
                let subresource = if status { Subresource::Status } else { Subresource::Main };
                let key = self.key(&target)?;
                self.call(Call::Patch { key, subresource, patch }, &target, "patched")
            }
            Command::Delete { target, policy, grace } => {
                let key = self.key(&target)?;
                let call = Call::Delete { key, propagation: policy, grace_seconds: grace };
                self.call(call, &target, "deleted")
            }
            Command::Advance(by) => self.go_on(by),
            Command::Clock(by) => {
                if by.is_negative() {
                    self.checks.clock_was_set_back();
                }
                self.simulation.step_clock(by);
                self.go_on(SignedDuration::ZERO)
            }
            Command::Crash(down) => {
                self.simulation.crash(down, Fate::Lost);
                self.go_on(down)
            }
            Command::Reboot(down) => {
                self.simulation.restart_machine(down, Fate::Lost);
                self.go_on(down)
            }
            Command::Disk { full } => {
                self.simulation.disk_mut().full = full;
                Ok(Vec::new())
            }
            Command::Get(kind) => Ok(self.table(kind)),
            Command::Status(target) => self.status(&target),
            Command::Decisions(name) => Ok(self.decisions(&name)),
            Command::Start { .. } | Command::Pods(_) => Ok(Vec::new()),
        }
    }

    /// Lets time pass, and tells what happens.
    fn go_on(&mut self, by: SignedDuration) -> Result<Vec<String>, String> {
        let limit = self.simulation.elapsed().saturating_add(by);
        let mut told = Vec::new();
        loop {
            match self.simulation.step(limit) {
                Step::Reached => return Ok(told),
                Step::Committed(commit) => {
                    self.checks.commit(&commit).map_err(|violation| violation.to_string())?;
                    told.extend(self.teller.tell(&commit));
                }
                Step::AtRest => {
                    self.checks.rest(&self.simulation).map_err(|violation| violation.to_string())?;
                }
                Step::Looked(_) | Step::Happened => {}
            }
        }
    }

    fn apply(&mut self, manifests: &[Value]) -> Result<Vec<String>, String> {
        let mut told = Vec::new();
        for manifest in manifests {
            let text = |field: &str| manifest[field].as_str().unwrap_or_default();
            let kind = Kind::from_manifest(text("apiVersion"), text("kind"));
            let kind = kind.ok_or_else(|| format!("{} is no kind that is known", text("kind")))?;
            let mut object =
                decode_typed(kind, manifest).map_err(|error| format!("{}: {error}", error.path()))?.object;
            object.metadata_mut().namespace.get_or_insert_with(|| NAMESPACE.to_owned());
            let name = object.metadata().name.clone().unwrap_or_default();
            let target = Target { kind, name };
            let key = self.key(&target)?;
            let exists = self.simulation.snapshot().get(&key).is_some();
            let (call, done) = if exists {
                let patch = json!({"spec": manifest["spec"]});
                (Call::Patch { key, subresource: Subresource::Main, patch }, "configured")
            } else {
                (Call::Create(Box::new(object)), "created")
            };
            told.extend(self.call(call, &target, done)?);
        }
        Ok(told)
    }

    fn trigger(&mut self, cron_job: &str, job: &str) -> Result<Vec<String>, String> {
        let parent = self.stored(&Target { kind: Kind::CronJob, name: cron_job.to_owned() })?;
        let mut object: Typed = triggered(parent);
        object.metadata_mut().generate_name = None;
        object.metadata_mut().name = Some(job.to_owned());
        let target = Target { kind: Kind::Job, name: job.to_owned() };
        self.call(Call::Create(Box::new(object)), &target, "created")
    }

    /// Sends a request and lets what follows from it at once happen.
    fn call(&mut self, call: Call, target: &Target, done: &str) -> Result<Vec<String>, String> {
        let resource = target.kind.descriptor().singular;
        let mut told = match self.simulation.call(call) {
            Ok(()) => vec![format!("{resource}/{} {done}", target.name)],
            Err(error) => vec![error.message().to_owned()],
        };
        told.extend(self.go_on(SignedDuration::ZERO)?);
        Ok(told)
    }

    fn key(&self, target: &Target) -> Result<Key, String> {
        let name = match target.kind {
            Kind::Pod => {
                self.teller.pod_name(&target.name).ok_or_else(|| format!("no pod {}", target.name))?
            }
            _ => target.name.clone(),
        };
        let namespace = if target.kind.descriptor().namespaced { NAMESPACE } else { "" };
        Ok(Key::new(target.kind, namespace, name))
    }

    fn stored(&self, target: &Target) -> Result<&Object, String> {
        let found = self.simulation.snapshot().get(&self.key(target)?);
        found.map(AsRef::as_ref).ok_or_else(|| format!("there is no {} {}", target.kind, target.name))
    }

    /// The table that kubectl shows.
    fn table(&self, kind: Kind) -> Vec<String> {
        let shown: Vec<bool> = table::columns(kind).iter().map(|column| column.priority == 0).collect();
        let header = table::columns(kind).iter().map(|column| column.name.to_uppercase()).collect();
        let mut rows: Vec<Vec<String>> = vec![header];
        for object in self.simulation.snapshot().list_namespace(kind, NAMESPACE) {
            let cells = table::row(object, self.simulation.now()).cells;
            let text = |cell: &Value| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned);
            rows.push(cells.iter().map(|cell| self.teller.shown(&text(cell))).collect());
        }
        for row in &mut rows {
            let mut column = 0;
            row.retain(|_| {
                column += 1;
                shown[column - 1]
            });
        }
        rows[1..].sort();
        let widths: Vec<usize> = (0..rows[0].len())
            .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default() + 3)
            .collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<String>().trim_end().to_owned()
        };
        rows.iter().map(line).collect()
    }

    /// The status of an object, a field on each line.
    fn status(&self, target: &Target) -> Result<Vec<String>, String> {
        let status = self.stored(target)?.value()["status"].take();
        let fields = status.as_object().cloned().unwrap_or_default();
        let mut lines = Vec::new();
        for (name, value) in fields {
            match (name.as_str(), &value) {
                ("conditions", Value::Array(conditions)) => {
                    let text = |condition: &Value, field: &str| {
                        condition[field].as_str().unwrap_or_default().to_owned()
                    };
                    lines.extend(conditions.iter().map(|of| {
                        format!("{}: {} {}", text(of, "type"), text(of, "status"), text(of, "reason"))
                    }));
                }
                ("active", Value::Array(active)) => {
                    let names: Vec<&str> = active.iter().filter_map(|job| job["name"].as_str()).collect();
                    lines.push(format!("active: {}", names.join(" ")));
                }
                ("uncountedTerminatedPods", _) => {}
                (name, Value::String(text)) => lines.push(format!("{name}: {text}")),
                (name, value) => lines.push(format!("{name}: {value}")),
            }
        }
        Ok(lines)
    }

    fn decisions(&self, name: &str) -> Vec<String> {
        let decisions = self.simulation.ledger().iter().filter_map(|entry| match entry {
            Entry::Decision(decision) if decision.cronjob == name => Some(decision),
            _ => None,
        });
        let line = |decision: &cronlet_object::ledger::Decision| {
            let scheduled = decision.scheduled.map_or_else(|| "-".to_owned(), |time| time.to_string());
            format!("{scheduled} {}: {}", decision.reason.as_str(), decision.message)
        };
        decisions.map(line).collect()
    }
}
