//! One pod, as the server sees it. It is looked at whenever something may have changed, and each look does whatever
//! is missing: the same steps serve a pod that is new, one that an earlier server started, and one whose shim died.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use cronlet_object::{Object, Snapshot, api};
use jiff::Timestamp;

use super::{
    Shared, directory, disk,
    link::Link,
    news::{Look, News},
    profiles,
    queue::Wanted,
};
use crate::{
    journal::{self, Event},
    logs::files,
    processes,
    pulls::Pulls,
    resolve::{self, Blocked, Inputs, Resolved},
    sandbox::cgroup,
    shim::changes,
    spec,
    state::State,
    status::{self, Observed},
    tokens, volumes,
};

/// What remains of a pod after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is still to be looked after.
    Known,
    /// Nothing is left of it.
    Gone,
}

/// What the server knows of a pod.
#[derive(Default)]
pub(super) struct Pod {
    /// Whether its directory was looked at.
    opened: bool,
    /// What its shim was told, and what has become of it; absent if none was started yet.
    run: Option<Run>,
    link: Option<Link>,
    /// Whether it counts as running.
    admitted: bool,
    /// When it was first seen by this node.
    start_time: Option<Timestamp>,
    /// What keeps it from being started.
    blocked: Vec<Blocked>,
    /// The store as it was when the pod had to wait for others to end.
    snapshot: Option<Snapshot>,
    /// The store as it was when the pod could not be started, which the end of a pull may change.
    unstarted: Option<Snapshot>,
    /// The pulls of its images.
    pulls: Pulls,
    /// The shortest grace period that its present shim was given.
    grace_asked: Option<i64>,
    /// The deadline that its present shim was told.
    deadline_told: Option<Timestamp>,
    /// Why a changed image cannot be had, as it was told.
    change_blocked: Option<String>,
    /// Whether it was not started and will not be.
    never_started: bool,
    /// Whether what it kept on the disk was removed after its end.
    emptied: bool,
    /// Log files of containers that have ended, which are still to be compressed.
    uncompressed: Vec<PathBuf>,
    news: News,
}

struct Run {
    spec: spec::Pod,
    state: State,
    journal: journal::Reader,
    /// Whether anything has happened since the last shim was started. One that dies before that is not replaced at
    /// once, lest it be done again and again.
    progress: bool,
}

/// What a look takes place with.
#[derive(Clone, Copy)]
struct Site<'a> {
    shared: &'a Shared,
    uid: &'a Arc<str>,
    /// The pod's directory.
    dir: &'a Path,
    now: Timestamp,
}

impl Pod {
    /// Does what is to be done about the pod now.
    pub(super) fn look(&mut self, shared: &Shared, uid: &Arc<str>, wanted: Wanted) -> Outcome {
        let dir = resolve::pod_dir(&shared.facts.pods_dir, uid);
        let site = Site { shared, uid, dir: &dir, now: shared.clock.now() };
        if !self.opened {
            self.opened = true;
            self.open(site);
        }
        let happened = self.listen(site);
        if self.run.as_ref().is_some_and(|run| run.state.finished.is_some()) {
            release_network(site);
        }
        if wanted.removed {
            return self.remove(site);
        }
        if let (Some(message), Some(link)) = (&wanted.evict, &mut self.link) {
            link.evict(message);
        }
        // Otherwise it is as it was, and so is what there is to do and to tell.
        if happened || wanted.snapshot.is_some() || wanted.stop || self.waits() {
            self.attend(site, wanted);
        }
        self.compress_log(site);
        self.empty(site);
        Outcome::Known
    }

    /// Removes what a pod that has ended keeps on the disk.
    fn empty(&mut self, site: Site<'_>) {
        // Its shim may have things open there until it has ended, too.
        let finished = self.run.as_ref().is_some_and(|run| run.state.finished.is_some());
        if finished && self.link.is_none() && !std::mem::replace(&mut self.emptied, true) {
            directory::content(site.dir).iter().for_each(|path| directory::remove_dir(path));
            remove_secrets(site);
        }
    }

    /// Compresses one log file. Others are left for later looks, so that other pods do not wait for long.
    fn compress_log(&mut self, site: Site<'_>) {
        let Some(path) = self.uncompressed.pop() else { return };
        if let Err(error) = files::compress(&path) {
            tracing::warn!(path = %path.display(), %error, "a log cannot be compressed");
        }
        site.shared.queue.wake(site.uid);
    }

    /// Brings the pod to where its object says it should be, and tells where it is.
    fn attend(&mut self, site: Site<'_>, wanted: Wanted) {
        let Some(object) = wanted.object else { return };
        let pod: api::Pod = object.decode();
        let stored = pod.status.as_ref().and_then(|status| status.start_time.as_ref());
        let start_time =
            *self.start_time.get_or_insert(stored.map_or_else(|| status::time(site.now).0, |time| time.0));
        let is_synced = wanted.snapshot.is_some();
        let snapshot = wanted.snapshot.or_else(|| self.snapshot.take()).or_else(|| self.unstarted.take());
        let stop = stop_grace(&object, &pod, wanted.stop);
        match &self.run {
            None => self.start(site, &pod, snapshot, stop),
            Some(run) if run.state.finished.is_none() && self.link.is_none() => {
                if run.progress || is_synced {
                    if let Some(snapshot) = &snapshot {
                        // What was in memory is gone after a boot.
                        refresh_volumes(inputs(site, &pod, snapshot, start_time), &run.spec, site);
                    }
                    self.resume(site, stop);
                }
            }
            Some(_) => {
                if let Some(grace_seconds) = stop {
                    self.ask_to_stop(grace_seconds);
                }
                self.tell_deadline(status::deadline(&pod, start_time));
                let running = self.run.as_ref().filter(|run| run.state.finished.is_none());
                if let (Some(snapshot), Some(_), Some(run)) = (&snapshot, &self.link, running) {
                    let inputs = inputs(site, &pod, snapshot, start_time);
                    refresh_volumes(inputs, &run.spec, site);
                    self.follow_images(site, inputs);
                }
            }
        }
        // A pod that waits for others to end is as it was.
        if self.snapshot.is_some() {
            return;
        }
        let observed = Observed {
            pod: &pod,
            run: self.run.as_ref().map(|run| (&run.spec, &run.state)),
            blocked: &self.blocked,
            node_ip: &site.shared.facts.ip,
            start_time,
            now: site.now,
        };
        let look = Look {
            pulls: &self.pulls,
            never_started: self.never_started,
            is_stalled: !self.blocked.is_empty() || self.link.is_none(),
            is_synced,
        };
        let news = self.news.take(&object, observed, look);
        news.into_iter().for_each(|report| (site.shared.report)(report));
    }

    /// Whether something may have changed for the pod that nobody tells of but by a look.
    fn waits(&self) -> bool {
        self.snapshot.is_some() || self.unstarted.is_some()
    }

    /// Finds what an earlier server or an earlier boot left.
    fn open(&mut self, site: Site<'_>) {
        let uid = site.uid;
        let Ok(mut journal) = journal::Reader::open(site.dir) else { return };
        let records = match journal.read() {
            Ok(records) => records,
            Err(error) => return tracing::warn!(%uid, %error, "cannot read the pod's journal"),
        };
        // A journal without its first record was being begun when the server died: no shim has seen it.
        let Some(spec) = journal::specification(&records) else { return };
        let state = State::replay(&spec, &records);
        let finished = state.finished.is_some();
        if finished {
            self.uncompressed = directory::uncompressed_logs(&spec, &state);
        } else {
            match Link::connect(site.dir, &journal, uid, &site.shared.watcher) {
                Ok(link) => self.link = link,
                Err(error) => tracing::warn!(%uid, %error, "cannot connect to the pod's shim"),
            }
        }
        self.run = Some(Run { spec, state, journal, progress: true });
        if self.link.is_some() {
            site.shared.queue.admit_running();
            self.admitted = true;
        }
    }

    /// Takes in what has happened, if anything has.
    fn listen(&mut self, site: Site<'_>) -> bool {
        let mut happened = false;
        // Asked before the journal is read: so what the shim wrote last is not missed.
        let closed = self.link.as_ref().is_some_and(Link::is_closed);
        if let Some(run) = &mut self.run {
            match run.journal.read() {
                Ok(records) => {
                    happened = !records.is_empty();
                    run.progress |= happened;
                    for record in &records {
                        run.state.apply(record);
                        match &record.event {
                            Event::Respecified(container) => run.spec.respecify(container),
                            Event::Exited { container, attempt, .. } => {
                                let rotated =
                                    files::uncompressed(&run.spec.log_dir.join(container), *attempt);
                                self.uncompressed.extend(rotated.unwrap_or_default());
                            }
                            _ => {}
                        }
                    }
                }
                Err(error) => tracing::warn!(uid = %site.uid, %error, "cannot read the pod's journal"),
            }
            if let Some(message) = &run.state.gave_up {
                let is_known = message.starts_with(status::SANDBOX_FAILED);
                let why = if is_known { "" } else { "the pod's shim gave up: " };
                self.blocked = vec![not_about_a_volume(format!("{why}{message}"))];
                run.progress = false;
            } else if closed && !run.progress {
                self.blocked =
                    vec![not_about_a_volume("the pod's shim ended before it did anything".to_owned())];
            }
        }
        if closed {
            self.grace_asked = None;
            self.deadline_told = None;
            self.link.take().into_iter().for_each(|link| link.close(&site.shared.watcher));
            self.release(site);
            // A shim that has ended before the pod is to be replaced.
            happened |= self.run.as_ref().is_some_and(|run| run.state.finished.is_none());
        }
        happened
    }

    fn release(&mut self, site: Site<'_>) {
        if std::mem::take(&mut self.admitted) {
            site.shared.queue.release();
        }
    }

    /// Ends the pod for good; when it has ended, removes what is left of it.
    fn remove(&mut self, site: Site<'_>) -> Outcome {
        if self.link.is_some() {
            self.ask_to_stop(0);
            return Outcome::Known;
        }
        self.release(site);
        release_network(site);
        site.shared.images.iter().for_each(|images| images.forget(site.uid));
        if let Some(run) = &self.run {
            // If its shim has died, its containers have, too; but not what they started in turn.
            processes::kill_left(&run.state);
            directory::remove_logs(&run.spec, &run.state);
        }
        directory::remove_dir(site.dir);
        if self.run.as_ref().is_some_and(|run| run.spec.handler == spec::Handler::Oci) {
            cgroup::remove(site.uid);
        }
        remove_secrets(site);
        Outcome::Gone
    }

    fn ask_to_stop(&mut self, grace_seconds: i64) {
        let Some(link) = &mut self.link else { return };
        if self.grace_asked.is_none_or(|asked| grace_seconds < asked) {
            link.ask_to_stop(grace_seconds);
            self.grace_asked = Some(grace_seconds);
        }
    }

    /// Tells the shim a deadline that it does not know.
    fn tell_deadline(&mut self, deadline: Option<Timestamp>) {
        let (Some(run), Some(link), Some(at)) = (&self.run, &mut self.link, deadline) else { return };
        if run.spec.deadline != Some(at) && self.deadline_told != Some(at) {
            link.tell_deadline(at);
            self.deadline_told = Some(at);
        }
    }

    /// Has containers whose image was changed run with the new one, once it is there. Until then the old one runs.
    fn follow_images(&mut self, site: Site<'_>, inputs: Inputs<'_>) {
        let Some(run) = self.run.as_ref().filter(|run| run.state.stop.is_none()) else { return };
        let is_changed = |container: &api::Container| {
            let known =
                run.spec.position(&container.name).map(|position| &run.spec.containers[position].image);
            known.is_some_and(|known| !known.is_empty() && Some(known) != container.image.as_ref())
        };
        let containers = inputs.pod.spec.iter().flat_map(resolve::roles).map(|(_, container)| container);
        let changed: Vec<String> = containers
            .filter(|container| is_changed(container))
            .map(|container| container.name.clone())
            .collect();
        if changed.is_empty() {
            return;
        }
        let images = site.shared.images.as_ref();
        let images = images.map(|all| all.of_pod(site.uid, inputs.pod, inputs.snapshot, &mut self.pulls));
        let profiles = profiles::of_pod(&site.shared.facts.seccomp_dir, inputs.pod);
        let (images, profiles) = (images.as_ref(), Some(&profiles));
        let resolved = resolve::resolve(Inputs { images, profiles, ..inputs });
        let told = resolved.map_err(|blocked| blocked.iter().find_map(Blocked::fault)).and_then(|resolved| {
            let mut containers = resolved.spec.containers;
            containers.retain(|container| changed.contains(&container.name));
            changes::leave(site.dir, &containers).map_err(|error| Some(error.to_string()))
        });
        match told {
            Ok(()) => {
                self.change_blocked = None;
                self.unstarted = None;
                self.link.iter_mut().for_each(Link::tell_change);
            }
            Err(fault) => {
                // Whoever waits for an image is looked at again when it is there.
                self.unstarted = Some(inputs.snapshot.clone());
                if let Some(fault) = fault.filter(|fault| self.change_blocked.as_ref() != Some(fault)) {
                    self.news.tell_fault("Failed", format!("A changed image cannot be used: {fault}"));
                    self.change_blocked = Some(fault);
                }
            }
        }
    }

    /// Starts a pod that was not started yet, if everything it needs is there.
    fn start(&mut self, site: Site<'_>, pod: &api::Pod, snapshot: Option<Snapshot>, stop: Option<i64>) {
        let start_time = self.start_time.unwrap_or(site.now);
        if self.never_started {
            return;
        }
        if stop.is_some() || is_terminal(pod) || status::is_past_deadline(pod, start_time, site.now) {
            self.blocked.clear();
            self.never_started = true;
            return;
        }
        // Without a snapshot nothing new is known of what the pod refers to.
        let Some(snapshot) = snapshot else { return };
        if let Some(short) = disk::refusal(site.shared) {
            site.shared.queue.tell_short();
            return self.blocked = vec![not_about_a_volume(short)];
        }
        let images = site.shared.images.as_ref();
        // Until the journal is there, nothing else says that the layers are wanted.
        let _hold = match images.map(|images| images.hold_start()).transpose() {
            Ok(hold) => hold,
            Err(error) => return self.blocked = vec![not_about_a_volume(error.to_string())],
        };
        let images = images.map(|images| images.of_pod(site.uid, pod, &snapshot, &mut self.pulls));
        let node = &site.shared.facts;
        // Processes of the host have the host's network.
        let attachment = images.as_ref().map_or(Ok(None), |_| site.shared.network.attach(site.uid, pod));
        let resolved = attachment.map_err(|why| vec![resolve::sandbox_failed(&why)]).and_then(|attachment| {
            let (images, attachment) = (images.as_ref(), attachment.as_ref());
            let profiles = Some(&profiles::of_pod(&node.seccomp_dir, pod));
            let snapshot = &snapshot;
            resolve::resolve(Inputs { pod, snapshot, node, images, profiles, attachment, start_time })
        });
        match resolved {
            Err(blocked) => {
                for blocked in &blocked {
                    if let Blocked::Pod { reason, message } = blocked {
                        self.never_started = true;
                        self.news.tell_fault(reason, message.clone());
                    }
                }
                self.blocked = blocked;
                self.unstarted = images.is_some().then_some(snapshot);
            }
            Ok(_) if !site.shared.queue.admit(site.uid) => self.snapshot = Some(snapshot),
            Ok(resolved) => {
                self.admitted = true;
                self.blocked.clear();
                if let Err(blocked) = self.launch(site, pod, resolved) {
                    self.blocked = vec![blocked];
                    self.release(site);
                }
            }
        }
        if self.run.is_none() {
            release_network(site);
        }
    }

    fn launch(&mut self, site: Site<'_>, pod: &api::Pod, resolved: Resolved) -> Result<(), Blocked> {
        let failed = |error: io::Error| not_about_a_volume(format!("cannot prepare the pod: {error}"));
        let Resolved { spec, volumes } = resolved;
        directory::make(site.dir).map_err(failed)?;
        for volume in &volumes {
            tokens::fill(volume, site.shared.tokens.as_ref(), site.now)
                .and_then(|volume| volumes::make(&volume, site.now))
                .map_err(|message| Blocked::Volume { volume: volume.name.clone(), message })?;
        }
        if site.shared.network.publish(site.uid, &spec).map_err(|why| resolve::sandbox_failed(&why))? {
            site.shared.queue.tell_names();
        }
        directory::begin_journal(site.dir, spec.clone(), pod, site.now).map_err(failed)?;
        let mut journal = journal::Reader::open(site.dir).map_err(failed)?;
        let state = State::replay(&spec, &journal.read().map_err(failed)?);
        self.link = Some(start_shim(site, None)?);
        self.news.begin(pod, &spec, &state);
        if let (spec::Handler::Oci, Some(wanted)) = (spec.handler, &pod.spec) {
            let omitted = resolve::dns::omitted(&site.shared.facts, wanted, &spec.sandbox);
            omitted.into_iter().for_each(|what| self.news.tell_fault("DNSConfigForming", what));
        }
        self.run = Some(Run { spec, state, journal, progress: false });
        Ok(())
    }

    /// Starts another shim for a pod whose shim has died.
    fn resume(&mut self, site: Site<'_>, stop: Option<i64>) {
        let Some(run) = &mut self.run else { return };
        run.progress = false;
        // Another one may have been faster: the last that an earlier server started.
        let connected = Link::connect(site.dir, &run.journal, site.uid, &site.shared.watcher);
        let has_bridge = run.spec.sandbox.bridge.is_some();
        let start = || {
            if has_bridge {
                site.shared.network.prepare().map_err(|why| resolve::sandbox_failed(&why))?;
            }
            start_shim(site, stop)
        };
        match connected.ok().flatten().map_or_else(start, Ok) {
            Ok(link) => {
                self.link = Some(link);
                self.blocked.clear();
                self.admitted = true;
                site.shared.queue.admit_running();
            }
            Err(blocked) => self.blocked = vec![blocked],
        }
    }
}

/// Takes back the address of a pod that does not run.
fn release_network(site: Site<'_>) {
    if site.shared.network.release(site.uid) {
        site.shared.queue.tell_names();
    }
}

fn start_shim(site: Site<'_>, stop: Option<i64>) -> Result<Link, Blocked> {
    let shared = site.shared;
    Link::start(site.dir, site.uid, stop, &shared.watcher, &shared.fork_server)
        .map_err(|error| not_about_a_volume(format!("cannot start the pod's shim: {error}")))
}

/// Removes what a pod has of Secrets, where that is elsewhere than its other files.
fn remove_secrets(site: Site<'_>) {
    if let Some(secrets) = &site.shared.facts.secrets_dir {
        directory::remove_dir(&resolve::pod_dir(secrets, site.uid));
    }
}

/// What a pod that runs is looked at with.
fn inputs<'a>(
    site: Site<'a>,
    pod: &'a api::Pod,
    snapshot: &'a Snapshot,
    start_time: Timestamp,
) -> Inputs<'a> {
    Inputs {
        pod,
        snapshot,
        node: &site.shared.facts,
        images: None,
        profiles: None,
        attachment: None,
        start_time,
    }
}

/// Brings files that are made of API objects up to date, where the containers have them from.
fn refresh_volumes(inputs: Inputs<'_>, running: &spec::Pod, site: Site<'_>) {
    for mut volume in resolve::volumes(inputs) {
        let mut mounts = running.containers.iter().flat_map(|container| &container.mounts);
        if let Some(known) = mounts.find(|mount| mount.volume == volume.name) {
            volume.source.clone_from(&known.source);
        }
        let filled = tokens::fill(&volume, site.shared.tokens.as_ref(), site.now);
        if let Err(error) = filled.and_then(|volume| volumes::refresh(&volume, site.now)) {
            tracing::warn!(volume = %volume.source.display(), error, "cannot bring a volume up to date");
        }
    }
}

/// What keeps a pod from being started, if it is none of its volumes.
fn not_about_a_volume(message: String) -> Blocked {
    Blocked::Volume { volume: String::new(), message }
}

/// The grace period within which a pod is to end, if it is to.
fn stop_grace(object: &Object, pod: &api::Pod, stop_all: bool) -> Option<i64> {
    let own = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30);
    match object.meta().deleted {
        Some(_) => Some(pod.metadata.deletion_grace_period_seconds.unwrap_or(own)),
        None => stop_all.then_some(own),
    }
}

/// Whether the pod has ended, according to its stored status.
pub(super) fn is_terminal(pod: &api::Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}
