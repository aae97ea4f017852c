//! Running a course: each step is held against the checks.

use std::collections::VecDeque;

use cronlet_controller::Settings;
use cronlet_object::{
    Kind, Object, Typed,
    admit::Subresource,
    api::{CronJob, Job, OwnerReference},
    document::decode_typed,
};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{Act, Course, Event, Fault, Outcome, draw::behaviour};
use crate::{
    Call, Checks, Commit, Decide, Simulation, Step, Violation,
    limits::{STEPS_PER_INSTANT_MAX, TRACE_STEPS_MAX},
};

/// How long a run goes on undisturbed at its end: long enough for most of what is due to be done.
const CALM: SignedDuration = SignedDuration::from_mins(6);

/// A run under way.
struct Run {
    simulation: Simulation,
    checks: Checks,
    outcome: Outcome,
    /// Steps since the clock moved.
    idle_steps: u32,
    /// Something that breaks after so many steps.
    armed: Option<(u32, Fault)>,
    trace: Option<VecDeque<String>>,
}

/// What broke, and the last steps if they were kept.
pub(super) struct Broken {
    pub(super) violation: Violation,
    pub(super) trace: Vec<String>,
}

impl Course {
    /// Runs it to its end.
    ///
    /// # Errors
    /// What was broken.
    pub fn run(&self, decide: Decide, trace: bool) -> Result<Outcome, Violation> {
        self.run_traced(decide, trace).map_err(|broken| broken.violation)
    }

    pub(super) fn run_traced(&self, decide: Decide, trace: bool) -> Result<Outcome, Broken> {
        let mut run = Run::new(self, decide, trace);
        let result = run.all(self);
        let trace = || run.trace.iter().flatten().cloned().collect();
        result.map(|()| run.outcome).map_err(|violation| Broken { violation, trace: trace() })
    }
}

impl Run {
    fn new(course: &Course, decide: Decide, trace: bool) -> Self {
        let time_zone =
            cronlet_schedule::load_time_zone(&course.time_zone).expect("courses name known zones");
        let settings =
            Settings { node_name: None, time_zone, cluster_ca: None, volumes_dir: "/volumes".into() };
        let seed = course.seed;
        let behave = Box::new(move |pod: &crate::PodIdentity| behaviour(seed, pod));
        let mut simulation = Simulation::new(course.start, settings, seed, behave);
        simulation.set_decide(decide);
        simulation.set_chance(seed, course.latency_max);
        Run {
            simulation,
            checks: Checks::default(),
            outcome: Outcome::default(),
            idle_steps: 0,
            armed: None,
            trace: trace.then(VecDeque::new),
        }
    }

    fn all(&mut self, course: &Course) -> Result<(), Violation> {
        let mut full_until = None;
        for (at, event) in &course.events {
            if let Some(until) = full_until.filter(|until| until <= at) {
                self.until(until)?;
                self.simulation.disk_mut().full = false;
                full_until = None;
            }
            self.until(*at)?;
            self.tell(|| event.to_string());
            match event {
                Event::Act(act) => self.act(act),
                Event::Fault(Fault::DiskFull(lasts)) => {
                    self.simulation.disk_mut().full = true;
                    full_until = Some(at.saturating_add(*lasts));
                }
                Event::Fault(Fault::Latency(latency)) => self.simulation.set_latency(*latency),
                Event::Fault(Fault::Clock(by)) => {
                    if by.is_negative() {
                        self.checks.clock_was_set_back();
                    }
                    self.simulation.step_clock(*by);
                }
                Event::Fault(fault @ Fault::Crash { steps, .. } | fault @ Fault::Restart { steps, .. }) => {
                    self.armed = Some((*steps, fault.clone()));
                }
            }
        }
        self.until(course.lasts)?;
        self.armed = None;
        self.simulation.disk_mut().full = false;
        self.simulation.set_latency(SignedDuration::ZERO);
        self.until(course.lasts.saturating_add(CALM))
    }

    fn until(&mut self, limit: SignedDuration) -> Result<(), Violation> {
        loop {
            let before = self.simulation.elapsed();
            let step = self.simulation.step(limit);
            self.outcome.steps += 1;
            self.idle_steps = if self.simulation.elapsed() == before { self.idle_steps + 1 } else { 0 };
            if self.idle_steps > STEPS_PER_INSTANT_MAX {
                let found = format!("{STEPS_PER_INSTANT_MAX} steps at {}", self.simulation.now());
                return Err(Violation { invariant: "the controllers come to rest", found });
            }
            match step {
                Step::Reached => return Ok(()),
                Step::AtRest => self.checks.rest(&self.simulation)?,
                Step::Committed(commit) => self.committed(&commit)?,
                Step::Looked(work) => {
                    self.tell(|| format!("{:?} looks at {}", work.0, work.1));
                }
                Step::Happened => {}
            }
            self.break_what_is_armed()?;
        }
    }

    fn committed(&mut self, commit: &Commit) -> Result<(), Violation> {
        for committed in &commit.committed {
            for change in committed.changes.iter() {
                self.tell(|| describe(change));
                if change.old.is_none() {
                    self.outcome.jobs += u64::from(change.object().kind() == Kind::Job);
                    self.outcome.pods += u64::from(change.object().kind() == Kind::Pod);
                }
            }
        }
        self.checks.commit(commit)
    }

    fn break_what_is_armed(&mut self) -> Result<(), Violation> {
        match self.armed.take() {
            Some((0, fault)) => {
                self.outcome.crashes += 1;
                self.tell(|| format!("now: {fault:?}"));
                let kept = match fault {
                    Fault::Restart { down, fate, .. } => self.simulation.restart_machine(down, fate),
                    Fault::Crash { down, fate, .. } => self.simulation.crash(down, fate),
                    _ => None,
                };
                kept.map_or(Ok(()), |commit| self.committed(&commit))
            }
            Some((steps, fault)) => {
                self.armed = Some((steps - 1, fault));
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        let Some(trace) = &mut self.trace else { return };
        trace.push_back(format!("{} {}", self.simulation.now(), line()));
        if trace.len() > TRACE_STEPS_MAX {
            trace.pop_front();
        }
    }

    /// A client does something. What the server refuses, or what there is nothing to do it to, does not happen.
    fn act(&mut self, act: &Act) {
        let Some(call) = self.call_of(act) else { return };
        if let Err(error) = self.simulation.call(call) {
            self.tell(|| format!("refused: {error}"));
        }
    }

    fn call_of(&self, act: &Act) -> Option<Call> {
        let delete = |kind, nth, policy: &str| {
            let key = self.nth(kind, nth)?.key().clone();
            Some(Call::Delete { key, propagation: Some(policy.to_owned()), grace_seconds: None })
        };
        let patch = |kind, nth, spec: &Value| {
            let key = self.nth(kind, nth)?.key().clone();
            Some(Call::Patch { key, subresource: Subresource::Main, patch: json!({"spec": spec}) })
        };
        match act {
            Act::Create(object) => {
                let kind = Kind::from_manifest("batch/v1", object["kind"].as_str()?)?;
                Some(Call::Create(Box::new(decode_typed(kind, object).ok()?.object)))
            }
            Act::Trigger(nth) => Some(Call::Create(Box::new(triggered(self.nth(Kind::CronJob, *nth)?)))),
            Act::PatchCronJob(nth, spec) => patch(Kind::CronJob, *nth, spec),
            Act::PatchJob(nth, spec) => patch(Kind::Job, *nth, spec),
            Act::ForgetLastSchedule(nth) => {
                let key = self.nth(Kind::CronJob, *nth)?.key().clone();
                let patch = json!({"status": {"lastScheduleTime": null}});
                Some(Call::Patch { key, subresource: Subresource::Status, patch })
            }
            Act::DeleteCronJob(nth, policy) => delete(Kind::CronJob, *nth, policy),
            Act::DeleteJob(nth, policy) => delete(Kind::Job, *nth, policy),
            Act::DeletePod(nth, grace_seconds) => {
                let key = self.nth(Kind::Pod, *nth)?.key().clone();
                Some(Call::Delete { key, propagation: None, grace_seconds: *grace_seconds })
            }
        }
    }

    fn nth(&self, kind: Kind, nth: usize) -> Option<&Object> {
        let objects: Vec<_> = self.simulation.snapshot().list(kind).collect();
        let place = nth.checked_rem(objects.len())?;
        Some(objects[place])
    }
}

/// A Job from a CronJob, as `kubectl create job --from` makes it.
pub(crate) fn triggered(parent: &Object) -> Typed {
    let cron_job: CronJob = parent.decode();
    let template = cron_job.spec.job_template;
    let mut job = Job { metadata: template.metadata.unwrap_or_default(), spec: template.spec, status: None };
    job.metadata.generate_name = Some("manual-".into());
    job.metadata.namespace = Some(parent.namespace().to_owned());
    let annotations = job.metadata.annotations.get_or_insert_default();
    annotations.insert("cronjob.kubernetes.io/instantiate".into(), "manual".into());
    job.metadata.owner_references = Some(vec![OwnerReference {
        api_version: "batch/v1".into(),
        kind: "CronJob".into(),
        name: parent.name().to_owned(),
        uid: parent.meta().uid.as_ref().to_owned(),
        controller: Some(true),
        block_owner_deletion: None,
    }]);
    Typed::from(job)
}

fn describe(change: &cronlet_object::Change) -> String {
    let key = change.object().key();
    match (&change.old, &change.new) {
        (_, None) => format!("{key} is gone"),
        (None, Some(new)) if key.kind == Kind::Event => {
            let event: cronlet_object::api::Event = new.decode();
            format!("event {} {}", event.reason.unwrap_or_default(), event.message.unwrap_or_default())
        }
        (None, Some(_)) => format!("{key} is created"),
        (Some(_), Some(new)) if key.kind == Kind::Job || key.kind == Kind::CronJob => {
            format!("{key} becomes {}", new.status_json().unwrap_or_default())
        }
        (Some(_), Some(new)) if key.kind == Kind::Pod => {
            let pod: cronlet_object::api::Pod = new.decode();
            let phase = pod.status.and_then(|status| status.phase).unwrap_or_default();
            let deleting = if new.meta().deleted.is_some() { ", deleting" } else { "" };
            let held = if new.meta().finalizers.is_empty() { ", counted" } else { "" };
            format!("{key} is {phase}{deleting}{held}")
        }
        (Some(_), Some(_)) => format!("{key} changes"),
    }
}
