//! What is due now: whether a Job is started for it, and when to look again.

use cronlet_object::{
    Object, Typed, Write,
    admit::{self, Admitted},
    api::{ObjectReference, Time},
    event::{self, Note},
    ledger::{Entry, Reason, Run},
};
use cronlet_schedule::{Schedule, load_time_zone, mentions_time_zone};
use jiff::{Timestamp, tz::TimeZone};

use super::{
    Pass,
    due::{ConcurrencyPolicy, Missed, Timing, Verdict},
    template,
};

/// A scheduled time that is due.
struct Tick {
    /// The scheduled time.
    due: Timestamp,
    /// How many scheduled times have passed, this one included.
    missed: Missed,
    /// The latest of those that the starting deadline rules out.
    too_late: Option<Timestamp>,
    /// The zone in which the Job is told its scheduled time: `spec.timeZone`, or UTC.
    zone: TimeZone,
}

impl Pass<'_> {
    /// Starts the Job that is due, if one is and nothing stands against it. Returns when to look again.
    pub(super) fn start_due(&mut self) -> Option<Timestamp> {
        // In a namespace that ends nothing can be created, neither a Job nor an event that says so.
        let namespace_open = self.view.snapshot.namespace_is_open(self.object.namespace());
        if self.object.meta().deleted.is_some() || !namespace_open {
            return None;
        }
        let named_zone = self.named_zone()?;
        if self.spec().suspend == Some(true) {
            return None;
        }
        let schedule = self.schedule()?;
        let mut timing = Timing {
            schedule: &schedule,
            zone: named_zone.as_ref().unwrap_or(&self.view.settings.time_zone),
            since: self.last_scheduled().or(self.object.meta().created).unwrap_or(self.view.now),
            deadline_seconds: self.spec().starting_deadline_seconds,
        };
        match timing.due(self.view.now) {
            Err(error) => {
                let message = format!("invalid schedule: {} : {error}", schedule.as_str());
                self.reject_schedule("InvalidSchedule", Reason::InvalidSchedule, &message);
                return None;
            }
            Ok(passed) => {
                if let Some(due) = passed.most_recent {
                    let too_late = timing.latest_missed(self.view.now);
                    let zone = named_zone.clone().unwrap_or(TimeZone::UTC);
                    self.consider(&Tick { due, missed: passed.missed, too_late, zone });
                }
            }
        }
        timing.since = self.last_scheduled().unwrap_or(timing.since);
        timing.next_look(self.view.now)
    }

    fn last_scheduled(&self) -> Option<Timestamp> {
        self.status.last_schedule_time.as_ref().map(|time| time.0)
    }

    /// The zone of `spec.timeZone`: `Some(None)` if the field is absent, `None` if the zone is not known.
    fn named_zone(&mut self) -> Option<Option<TimeZone>> {
        let Some(name) = self.spec().time_zone.as_deref() else { return Some(None) };
        match load_time_zone(name) {
            Ok(zone) => Some(Some(zone)),
            Err(error) => {
                let message = format!("invalid timeZone: {name:?}: {error}");
                self.reject_schedule("UnknownTimeZone", Reason::UnknownTimeZone, &message);
                None
            }
        }
    }

    fn schedule(&mut self) -> Option<Schedule> {
        let text = self.spec().schedule.clone();
        if mentions_time_zone(&text) {
            let message = format!(
                "CRON_TZ or TZ used in schedule {text:?} is not officially supported, see \
                 https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
            );
            self.tell_once(&Note::warning("UnsupportedSchedule", &message), Timestamp::MIN);
        }
        match Schedule::parse(&text) {
            Ok(schedule) => Some(schedule),
            Err(error) => {
                let message = format!("unparseable schedule: {text:?} : {error}");
                self.reject_schedule("UnparseableSchedule", Reason::InvalidSchedule, &message);
                None
            }
        }
    }

    /// Says once that nothing will be started before the spec is changed.
    fn reject_schedule(&mut self, event: &str, reason: Reason, message: &str) {
        if self.tell_once(&Note::warning(event, message), Timestamp::MIN) {
            self.decide(None, reason, message, None);
        }
    }

    /// Decides whether a Job is started for a scheduled time.
    fn consider(&mut self, tick: &Tick) {
        if tick.missed == Missed::Many {
            let message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
            self.tell_once(&Note::warning("TooManyMissedTimes", message), tick.due);
        }
        let name = template::job_name(self.object.name(), tick.due);
        if self.active().iter().any(|job| job.name.as_deref() == Some(&name)) {
            return;
        }
        let policy = ConcurrencyPolicy::of(self.spec().concurrency_policy.as_deref());
        let verdict = policy.verdict(self.active().len());
        if verdict == Verdict::HoldBack {
            self.hold_back(tick);
        } else if let Some(job) = self.stored_job(&name) {
            self.adopt(job, tick);
        } else if let Some(job) = self.make_job(tick)
            && (verdict != Verdict::Replace || self.delete_active())
        {
            self.start(job, tick);
        }
    }

    fn hold_back(&mut self, tick: &Tick) {
        let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
        if self.tell_once(&Note::normal("JobAlreadyActive", message), tick.due) {
            let names: Vec<&str> = self.active().iter().filter_map(|job| job.name.as_deref()).collect();
            let message = format!("concurrencyPolicy is Forbid and {} is still active", names.join(", "));
            self.decide(Some(tick.due), Reason::ForbiddenByActiveJob, &message, None);
        }
    }

    /// The Job of this scheduled time exists. If it is this CronJob's, the time counts as started; upstream lists the
    /// Job as active even if it has ended, only to see it completed once more. A Job of someone else stays untouched,
    /// and this scheduled time without a start.
    fn adopt(&mut self, job: &Object, tick: &Tick) {
        let Some(own) = self.jobs.iter().find(|own| own.uid() == job.meta().uid.as_ref()) else { return };
        if own.outcome.is_none() {
            self.status.active.get_or_insert_default().push(event::reference(job));
        }
        self.close(tick);
        let message = format!("job {} exists already", job.name());
        self.decide(Some(tick.due), Reason::AlreadyStarted, &message, Some(job.name()));
    }

    /// The Job for a scheduled time as it will be stored, if it is acceptable.
    fn make_job(&mut self, tick: &Tick) -> Option<Admitted> {
        let job = template::job(&self.cron_job, tick.due, &tick.zone);
        let mut context = admit::Context { now: self.view.now, ids: &mut *self.ids };
        match admit::create(Typed::from(job), &mut context) {
            Ok(admitted) => Some(admitted),
            Err(error) => {
                let message = format!("Error creating job: {error}");
                if self.tell_once(&Note::warning("FailedCreate", &message), tick.due) {
                    self.decide(Some(tick.due), Reason::CreateFailed, &message, None);
                }
                None
            }
        }
    }

    /// `concurrencyPolicy: Replace`: ends what still runs. Returns whether all of it can be deleted.
    fn delete_active(&mut self) -> bool {
        let names: Vec<String> = self.active().iter().filter_map(|job| job.name.clone()).collect();
        names.iter().all(|name| self.stored_job(name).is_none_or(|job| self.delete_job(job)))
    }

    /// Creates the Job, and with it everything that keeps its scheduled time from being started again.
    fn start(&mut self, job: Admitted, tick: &Tick) {
        self.close(tick);
        let draft = job.draft;
        let name = draft.key().name.clone();
        let uid = draft.meta().uid.clone();
        self.tell(&Note::normal("SuccessfulCreate", &format!("Created job {name}")));
        self.decide(Some(tick.due), Reason::Started, &format!("created job {name}"), Some(&name));
        self.transaction.ledger.push(Entry::Run(Run {
            job_uid: uid.as_ref().to_owned(),
            namespace: self.object.namespace().to_owned(),
            job: name.as_ref().to_owned(),
            cronjob: Some(self.object.name().to_owned()),
            scheduled: Some(tick.due),
            created: self.view.now,
            finished: None,
            outcome: None,
            containers: Vec::new(),
        }));
        // The revision that upstream notes here is only known when the Job is committed.
        self.status.active.get_or_insert_default().push(ObjectReference {
            api_version: Some("batch/v1".into()),
            kind: Some("Job".into()),
            namespace: Some(self.object.namespace().to_owned()),
            name: Some(name.as_ref().to_owned()),
            uid: Some(uid.as_ref().to_owned()),
            ..ObjectReference::default()
        });
        self.transaction.writes.push(Write::Create(draft));
    }

    /// Moves past a scheduled time. This is the moment when those before it are lost for good, so it is here that the
    /// ledger learns, once, of the last one whose starting deadline had run out.
    fn close(&mut self, tick: &Tick) {
        if let Some(missed) = tick.too_late {
            let seconds = self.spec().starting_deadline_seconds.unwrap_or_default();
            let message = format!("not started within startingDeadlineSeconds ({seconds})");
            self.decide(Some(missed), Reason::DeadlineMissed, &message, None);
        }
        self.status.last_schedule_time = Some(Time(tick.due));
    }
}
