//! The commands of scenarios, as they are written.

use cronlet_object::Kind;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::{Attempt, Behaviour};

/// A command.
pub(super) enum Command {
    /// `start TIME [zone ZONE]`
    Start { time: Timestamp, zone: String },
    /// `apply` with manifests below, `cronjob NAME SCHEDULE FIELD=VALUE…`, `job NAME FIELD=VALUE…`
    Apply(Vec<Value>),
    /// `trigger CRONJOB JOB`: a Job now, as `kubectl create job --from` makes it.
    Trigger { cron_job: String, job: String },
    /// `patch KIND/NAME JSON`, `patch-status KIND/NAME JSON`
    Patch { target: Target, patch: Value, status: bool },
    /// `delete KIND/NAME [POLICY] [grace SECONDS]`
    Delete { target: Target, policy: Option<String>, grace: Option<i64> },
    /// `pods JOB[#INDEX][/NTH] BEHAVIOUR`
    Pods(Rule),
    /// `advance DURATION`
    Advance(SignedDuration),
    /// `clock forward|back DURATION`, `sleep DURATION`
    Clock(SignedDuration),
    /// `crash [DURATION]`: the server is down for that long.
    Crash(SignedDuration),
    /// `reboot DURATION`: the machine is.
    Reboot(SignedDuration),
    /// `disk full|free`
    Disk { full: bool },
    /// `get cronjobs|jobs|pods`
    Get(Kind),
    /// `status KIND/NAME`
    Status(Target),
    /// `decisions CRONJOB`: what the ledger says.
    Decisions(String),
}

/// An object as commands name it.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) kind: Kind,
    pub(super) name: String,
}

/// What the pods of some Jobs do.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// The beginning of the Job's name; everything for `*`.
    job: String,
    index: Option<u32>,
    nth: Option<u32>,
    pub(super) behaviour: Behaviour,
}

impl Rule {
    /// Whether it is about a pod.
    pub(super) fn is_about(&self, pod: &crate::PodIdentity) -> bool {
        pod.job.starts_with(&self.job)
            && self.index.is_none_or(|index| pod.index == Some(index))
            && self.nth.is_none_or(|nth| pod.ordinal + 1 == nth)
    }
}

impl Command {
    /// Reads a command and the input below it.
    pub(super) fn read(line: &str, input: &[&str]) -> Result<Command, String> {
        let words = words(line)?;
        let (name, rest) = words.split_first().ok_or("a command is missing")?;
        let one = || match rest {
            [one] => Ok(one.as_str()),
            _ => Err(format!("`{name}` takes one argument")),
        };
        Ok(match name.as_str() {
            "start" => start(rest)?,
            "apply" => Command::Apply(manifests(&input.join("\n"))?),
            "cronjob" => Command::Apply(vec![cron_job(rest)?]),
            "job" => Command::Apply(vec![job(rest)?]),
            "trigger" => match rest {
                [cron_job, job] => Command::Trigger { cron_job: cron_job.clone(), job: job.clone() },
                _ => return Err("`trigger` takes a CronJob and the name of the Job".to_owned()),
            },
            "patch" | "patch-status" => {
                let (target, patch) = rest.split_first().ok_or("`patch` takes an object and a patch")?;
                let patch = serde_json::from_str(&patch.join(" ")).map_err(|error| error.to_string())?;
                Command::Patch { target: target_of(target)?, patch, status: name == "patch-status" }
            }
            "delete" => delete(rest)?,
            "pods" => Command::Pods(rule(rest)?),
            "advance" => Command::Advance(duration(one()?)?),
            "sleep" => Command::Clock(duration(one()?)?),
            "clock" => match rest {
                [way, by] if way == "forward" => Command::Clock(duration(by)?),
                [way, by] if way == "back" => Command::Clock(-duration(by)?),
                _ => return Err("expected `clock forward DURATION` or `clock back DURATION`".to_owned()),
            },
            "crash" if rest.is_empty() => Command::Crash(SignedDuration::ZERO),
            "crash" => Command::Crash(duration(one()?)?),
            "reboot" => Command::Reboot(duration(one()?)?),
            "disk" => Command::Disk { full: one()? == "full" },
            "get" => Command::Get(kind(one()?)?),
            "status" => Command::Status(target_of(one()?)?),
            "decisions" => Command::Decisions(one()?.to_owned()),
            other => return Err(format!("`{other}` is no command: docs/simulation.md lists them")),
        })
    }
}

/// The words of a line. Double quotes keep one together, unless it is JSON.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let end = if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"').ok_or("a quote is not closed")?;
            words.push(quoted[..end].to_owned());
            end + 2
        } else {
            // A value in braces or brackets goes to the end of the line.
            let end = match rest.find(['{', '[']) {
                Some(at) if !rest[..at].contains(' ') => rest.len(),
                _ => rest.find(' ').unwrap_or(rest.len()),
            };
            words.push(rest[..end].to_owned());
            end
        };
        rest = rest[end..].trim_start();
    }
    Ok(words)
}

fn start(rest: &[String]) -> Result<Command, String> {
    let (time, zone) = match rest {
        [time] => (time, "UTC".to_owned()),
        [time, word, zone] if word == "zone" => (time, zone.clone()),
        _ => return Err("expected `start TIME [zone ZONE]`".to_owned()),
    };
    Ok(Command::Start { time: time.parse().map_err(|error| format!("{time}: {error}"))?, zone })
}

fn manifests(text: &str) -> Result<Vec<Value>, String> {
    let read = cronlet_object::manifest::read_manifests(text);
    match read.errors.first() {
        Some(error) => Err(error.to_string()),
        None => Ok(read.manifests.into_iter().map(|manifest| manifest.value).collect()),
    }
}

fn cron_job(rest: &[String]) -> Result<Value, String> {
    let [name, schedule, fields @ ..] = rest else {
        return Err("expected `cronjob NAME \"SCHEDULE\" FIELD=VALUE…`".to_owned());
    };
    let mut spec = json!({"schedule": schedule, "jobTemplate": {"spec": {"template": template()}}});
    set_all(
        &mut spec,
        fields,
        &[("job.", "/jobTemplate/spec"), ("pod.", "/jobTemplate/spec/template/spec")],
    )?;
    Ok(json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name}, "spec": spec}))
}

fn job(rest: &[String]) -> Result<Value, String> {
    let (name, fields) = rest.split_first().ok_or("expected `job NAME FIELD=VALUE…`")?;
    let mut spec = json!({"template": template()});
    set_all(&mut spec, fields, &[("pod.", "/template/spec")])?;
    Ok(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}))
}

fn template() -> Value {
    let container = json!({"name": "main", "image": "busybox", "command": ["work"]});
    json!({"spec": {"restartPolicy": "Never", "containers": [container]}})
}

/// Sets fields of a spec; a prefix chooses a part of it.
fn set_all(spec: &mut Value, fields: &[String], parts: &[(&str, &str)]) -> Result<(), String> {
    for field in fields {
        let (name, text) = field.split_once('=').ok_or_else(|| format!("`{field}` is not FIELD=VALUE"))?;
        let value = serde_json::from_str(text).unwrap_or_else(|_| json!(text));
        let part = parts.iter().find_map(|(prefix, path)| Some((name.strip_prefix(prefix)?, *path)));
        let (name, path) = part.unwrap_or((name, ""));
        let within: &mut Map<String, Value> =
            spec.pointer_mut(path).and_then(Value::as_object_mut).ok_or("the part is missing")?;
        within.insert(name.to_owned(), value);
    }
    Ok(())
}

fn delete(rest: &[String]) -> Result<Command, String> {
    let (target, rest) = rest.split_first().ok_or("`delete` takes an object")?;
    let (mut policy, mut grace) = (None, None);
    let mut rest = rest.iter();
    while let Some(word) = rest.next() {
        if word == "grace" {
            let seconds = rest.next().and_then(|seconds| seconds.parse().ok());
            grace = Some(seconds.ok_or("`grace` takes a number of seconds")?);
        } else {
            policy = Some(word.clone());
        }
    }
    Ok(Command::Delete { target: target_of(target)?, policy, grace })
}

/// `JOB[#INDEX][/NTH] [starts after D|never starts REASON] [ATTEMPT then ATTEMPT…] [stops after D]`
fn rule(rest: &[String]) -> Result<Rule, String> {
    let (whose, words) = rest.split_first().ok_or("`pods` takes a Job's name")?;
    let (whose, nth) = split_number(whose, '/')?;
    let (whose, index) = split_number(whose, '#')?;
    let mut behaviour = Behaviour::ends(SignedDuration::ZERO, 0);
    let text = words.join(" ");
    let mut attempts = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        if let Some(reason) = part.strip_prefix("never start: ") {
            behaviour.never_starts = Some(reason.to_owned());
        } else if let Some(delay) = part.strip_prefix("start after ") {
            behaviour.starts_after = duration(delay)?;
        } else if let Some(delay) = part.strip_prefix("stop after ") {
            behaviour.stops_after = duration(delay)?;
        } else {
            attempts.extend(part.split(" then ").map(attempt).collect::<Result<Vec<_>, _>>()?);
        }
    }
    if !attempts.is_empty() {
        behaviour.attempts = attempts;
    }
    Ok(Rule { job: whose.trim_end_matches('*').to_owned(), index, nth, behaviour })
}

/// `DURATION [exit CODE|out of memory]` or `for ever`
fn attempt(text: &str) -> Result<Attempt, String> {
    if text == "for ever" {
        return Ok(Attempt { lasts: None, exit_code: 0, out_of_memory: false });
    }
    let (lasts, end) = text.split_once(' ').unwrap_or((text, "exit 0"));
    let lasts = Some(duration(lasts)?);
    if end == "out of memory" {
        return Ok(Attempt { lasts, exit_code: 137, out_of_memory: true });
    }
    let code = end.strip_prefix("exit ").and_then(|code| code.parse().ok());
    let exit_code = code.ok_or_else(|| format!("`{text}` is not `DURATION exit CODE`"))?;
    Ok(Attempt { lasts, exit_code, out_of_memory: false })
}

fn split_number(text: &str, at: char) -> Result<(&str, Option<u32>), String> {
    match text.split_once(at) {
        None => Ok((text, None)),
        Some((before, number)) => {
            let number = number.parse().map_err(|_| format!("`{number}` is no number"))?;
            Ok((before, Some(number)))
        }
    }
}

fn target_of(text: &str) -> Result<Target, String> {
    let (word, name) = text.split_once('/').ok_or_else(|| format!("`{text}` is not KIND/NAME"))?;
    Ok(Target { kind: kind(word)?, name: name.to_owned() })
}

fn kind(word: &str) -> Result<Kind, String> {
    let is_called = |kind: &&Kind| {
        let descriptor = kind.descriptor();
        descriptor.singular == word || descriptor.plural == word || descriptor.short_names.contains(&word)
    };
    Kind::ALL.iter().find(is_called).copied().ok_or_else(|| format!("`{word}` is no kind"))
}

fn duration(text: &str) -> Result<SignedDuration, String> {
    text.parse().map_err(|_| format!("`{text}` is no duration, such as 90s or 1h30m"))
}
