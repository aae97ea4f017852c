//! When the probes of a container are made, and when what they say is believed: the rules of the kubelet's prober, as
//! functions of the probe, what it said before, and the time.

use jiff::{SignedDuration, Timestamp};

use crate::{
    journal::Said,
    limits,
    spec::{Probe, ProbeKind},
};

/// The probes of one attempt to run a container.
#[derive(Debug)]
pub(crate) struct Prober {
    workers: Vec<Worker>,
}

/// How a container is, as far as its probes depend on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Condition {
    /// Whether its hook and its startup probe have succeeded.
    pub(crate) started: bool,
    /// Whether its hook is not done yet: the kubelet does not know it before.
    pub(crate) being_hooked: bool,
    /// Whether it is being ended, by itself or with its pod.
    pub(crate) ending: bool,
}

/// What is to be written down of what a probe said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Telling {
    /// Whether it has said so often enough to be believed, and did not before.
    pub(crate) settled: bool,
}

#[derive(Debug)]
struct Worker {
    probe: Probe,
    /// When it is made next, if it may be.
    next_at: Timestamp,
    is_under_way: bool,
    /// What it said last, and how often in a row.
    run: Option<(bool, u32)>,
    /// What is believed.
    settled: Option<bool>,
    /// What was written down last that did not succeed, and when.
    told: Option<(Said, Timestamp)>,
}

impl Prober {
    /// The probes of a container that started then.
    pub(crate) fn new(probes: &[Probe], started: Timestamp) -> Self {
        let worker = |probe: &Probe| Worker {
            next_at: later(started, probe.initial_delay_seconds),
            probe: probe.clone(),
            is_under_way: false,
            run: None,
            // What the kubelet assumes of a container that was not asked yet.
            settled: match probe.kind {
                ProbeKind::Startup => None,
                ProbeKind::Liveness => Some(true),
                ProbeKind::Readiness => Some(false),
            },
            told: None,
        };
        Prober { workers: probes.iter().map(worker).collect() }
    }

    /// When the next probe is due; nothing if none is before something else happens.
    pub(crate) fn next_at(&self, condition: Condition) -> Option<Timestamp> {
        self.workers.iter().filter(|worker| worker.is_wanted(condition)).map(|worker| worker.next_at).min()
    }

    /// Takes the probes that are due.
    pub(crate) fn take_due(&mut self, condition: Condition, now: Timestamp) -> Vec<Probe> {
        let due = |worker: &&mut Worker| worker.is_wanted(condition) && worker.next_at <= now;
        let begin = |worker: &mut Worker| {
            worker.is_under_way = true;
            // As a clock ticks; a tick that found no time is left out.
            worker.next_at = later(worker.next_at, worker.probe.period_seconds);
            if worker.next_at <= now {
                worker.next_at = later(now, worker.probe.period_seconds);
            }
            worker.probe.clone()
        };
        self.workers.iter_mut().filter(due).map(begin).collect()
    }

    /// Takes in what a probe said. What is to be written down of it, if anything.
    pub(crate) fn hear(&mut self, kind: ProbeKind, said: &Said, now: Timestamp) -> Option<Telling> {
        let worker = self.workers.iter_mut().find(|worker| worker.probe.kind == kind)?;
        worker.is_under_way = false;
        let settled = worker.count(said);
        let telling = settled || worker.is_news(said, now);
        if telling {
            worker.told = (*said != Said::Success).then(|| (said.clone(), now));
        }
        telling.then_some(Telling { settled })
    }
}

impl Worker {
    fn is_wanted(&self, condition: Condition) -> bool {
        let kind = self.probe.kind;
        // Only what ends a container stops being asked when it has done so.
        let has_condemned = kind != ProbeKind::Readiness && self.settled == Some(false);
        let is_in_time = match kind {
            ProbeKind::Startup => !condition.started && !condition.ending,
            ProbeKind::Liveness => condition.started && !condition.ending,
            ProbeKind::Readiness => condition.started,
        };
        is_in_time && !has_condemned && !condition.being_hooked && !self.is_under_way
    }

    /// Whether what is believed changes with this.
    fn count(&mut self, said: &Said) -> bool {
        let succeeded = match said {
            Said::Success => true,
            Said::Failure(_) => false,
            Said::Unknown(_) => return false,
        };
        let times = match self.run {
            Some((before, times)) if before == succeeded => times.saturating_add(1),
            _ => 1,
        };
        self.run = Some((succeeded, times));
        let threshold = if succeeded { self.probe.success_threshold } else { self.probe.failure_threshold };
        let changes = times >= threshold && self.settled != Some(succeeded);
        if changes {
            self.settled = Some(succeeded);
        }
        changes
    }

    /// Whether a complaint is worth writing down: none was, or it is another one, or the same has been said for long.
    fn is_news(&self, said: &Said, now: Timestamp) -> bool {
        if *said == Said::Success {
            return false;
        }
        let Some((before, at)) = &self.told else { return true };
        let pause = if before == said { limits::COMPLAINT_SECONDS } else { limits::COMPLAINT_CHANGE_SECONDS };
        now.duration_since(*at) >= SignedDuration::from_secs(pause)
    }
}

fn later(time: Timestamp, seconds: u32) -> Timestamp {
    time.saturating_add(SignedDuration::from_secs(i64::from(seconds))).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Call;

    const UP: Condition = Condition { started: true, being_hooked: false, ending: false };
    const COMING_UP: Condition = Condition { started: false, ..UP };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn probe(kind: ProbeKind) -> Probe {
        Probe {
            kind,
            call: Call::Sleep { seconds: 0 },
            initial_delay_seconds: 3,
            period_seconds: 10,
            timeout_seconds: 1,
            success_threshold: if kind == ProbeKind::Readiness { 2 } else { 1 },
            failure_threshold: 3,
            grace_seconds: None,
        }
    }

    fn prober(kinds: &[ProbeKind]) -> Prober {
        Prober::new(&kinds.iter().copied().map(probe).collect::<Vec<_>>(), at(0))
    }

    fn kinds(probes: &[Probe]) -> Vec<ProbeKind> {
        probes.iter().map(|probe| probe.kind).collect()
    }

    fn failure(text: &str) -> Said {
        Said::Failure(text.to_owned())
    }

    const BELIEVED: Option<Telling> = Some(Telling { settled: true });
    const TOLD: Option<Telling> = Some(Telling { settled: false });

    #[test]
    fn a_probe_begins_after_its_delay_and_comes_again_each_period() {
        let mut prober = prober(&[ProbeKind::Liveness]);
        assert_eq!(prober.next_at(UP), Some(at(3)));
        assert!(prober.take_due(UP, at(2)).is_empty());
        assert_eq!(kinds(&prober.take_due(UP, at(3))), [ProbeKind::Liveness]);
        // While it is under way it is not made again.
        assert_eq!(prober.next_at(UP), None);
        assert_eq!(prober.hear(ProbeKind::Liveness, &Said::Success, at(4)), None);
        assert_eq!(prober.next_at(UP), Some(at(13)));
        // Ticks that were missed are not made up for.
        assert_eq!(prober.take_due(UP, at(48)).len(), 1);
        prober.hear(ProbeKind::Liveness, &Said::Success, at(48));
        assert_eq!(prober.next_at(UP), Some(at(58)));
    }

    #[test]
    fn the_others_wait_for_the_startup_probe_which_then_ends() {
        let all = [ProbeKind::Startup, ProbeKind::Liveness, ProbeKind::Readiness];
        let mut prober = prober(&all);
        assert_eq!(kinds(&prober.take_due(COMING_UP, at(20))), [ProbeKind::Startup]);
        assert_eq!(prober.hear(ProbeKind::Startup, &Said::Success, at(20)), BELIEVED);
        assert_eq!(kinds(&prober.take_due(UP, at(20))), all[1..]);
    }

    #[test]
    fn nothing_is_asked_before_the_hook_is_done_nor_for_life_at_the_end() {
        let all = [ProbeKind::Liveness, ProbeKind::Readiness];
        let mut prober = prober(&all);
        assert_eq!(prober.next_at(Condition { being_hooked: true, ..UP }), None);
        assert_eq!(kinds(&prober.take_due(Condition { ending: true, ..UP }, at(20))), [ProbeKind::Readiness]);
    }

    #[test]
    fn results_are_believed_after_as_many_as_the_threshold_says() {
        let mut prober = prober(&[ProbeKind::Readiness]);
        let kind = ProbeKind::Readiness;
        assert_eq!(prober.hear(kind, &Said::Success, at(0)), None);
        assert_eq!(prober.hear(kind, &Said::Success, at(1)), BELIEVED);
        assert_eq!(prober.hear(kind, &Said::Success, at(2)), None);
        assert_eq!(prober.hear(kind, &failure("no"), at(3)), TOLD);
        assert_eq!(prober.hear(kind, &failure("no"), at(4)), None);
        // A success in between makes the failures start over; a call that was not made changes nothing.
        assert_eq!(prober.hear(kind, &Said::Success, at(5)), None);
        assert_eq!(prober.hear(kind, &failure("no"), at(6)), None);
        assert_eq!(prober.hear(kind, &Said::Unknown("gone".into()), at(7)), None);
        assert_eq!(prober.hear(kind, &failure("no"), at(8)), None);
        assert_eq!(prober.hear(kind, &failure("no"), at(9)), BELIEVED);
    }

    #[test]
    fn a_probe_that_has_ended_its_container_is_not_asked_again() {
        let mut prober = prober(&[ProbeKind::Liveness]);
        for (second, telling) in [(0, TOLD), (1, None), (2, BELIEVED)] {
            assert_eq!(prober.hear(ProbeKind::Liveness, &failure("no"), at(second)), telling);
        }
        assert_eq!(prober.next_at(UP), None);
    }

    #[test]
    fn the_same_complaint_is_told_once_a_minute_and_another_one_sooner() {
        let mut prober = prober(&[ProbeKind::Readiness]);
        let told = |prober: &mut Prober, second, text: &str| {
            prober.hear(ProbeKind::Readiness, &failure(text), at(second)).is_some()
        };
        assert!(told(&mut prober, 0, "a"));
        assert!(!told(&mut prober, 59, "a"));
        assert!(told(&mut prober, 60, "a"));
        assert!(!told(&mut prober, 69, "b"));
        assert!(told(&mut prober, 70, "c"));
    }
}
