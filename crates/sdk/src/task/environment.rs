//! What the environment tells a task about itself.

use jiff::Timestamp;

use super::TraceParent;

/// What a task is told. Read from environment variables, none of which must be there. Elsewhere set them in the template.
///
/// | variable | set by |
/// |---|---|
/// | `CRONLET_SCHEDULED_TIME` (RFC 3339) | a cronlet node, for Jobs of CronJobs |
/// | `JOB_NAME` | you, from the label `batch.kubernetes.io/job-name` through the downward API |
/// | `CRONLET_ATTEMPT` (from 1) | a cronlet node, for Jobs; `cronlet exec` for what it runs |
/// | `JOB_COMPLETION_INDEX` | Kubernetes and cronlet, in Indexed Jobs |
/// | `TRACEPARENT` | a cronlet node, for Jobs: one trace for all attempts; or whoever traces |
///
/// ```
/// use cronlet_sdk::task::Environment;
///
/// let environment = Environment::read(|name| match name {
///     "CRONLET_SCHEDULED_TIME" => Some("2026-03-01T09:00:00+01:00".to_owned()),
///     "JOB_COMPLETION_INDEX" => Some("2".to_owned()),
///     _ => None,
/// });
/// let environment = environment.unwrap();
/// assert_eq!(environment.scheduled_time.unwrap().to_string(), "2026-03-01T08:00:00Z");
/// assert_eq!((environment.attempt, environment.completion_index), (1, Some(2)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Environment {
    /// The time the run was due by its schedule: `CRONLET_SCHEDULED_TIME`, or else what the name that a CronJob gives
    /// its Jobs says (`report-29384756` is due so many minutes after 1970).
    pub scheduled_time: Option<Timestamp>,
    /// Which attempt this is, from 1; 1 if nobody says.
    pub attempt: u32,
    /// Which of an Indexed Job's completions this is, from 0.
    pub completion_index: Option<u32>,
    /// The trace this run belongs to; `None` as well if the variable is malformed, as W3C asks.
    pub trace_parent: Option<TraceParent>,
}

/// A variable that says what cannot be.
///
/// ```
/// use cronlet_sdk::task::{Environment, EnvironmentFault};
///
/// let faults: Vec<EnvironmentFault> =
///     Environment::read(|name| (name == "CRONLET_ATTEMPT").then(|| "first".to_owned())).unwrap_err();
/// assert_eq!(
///     faults[0].to_string(),
///     "environment variable CRONLET_ATTEMPT: `first` is not a number from 1; correct it or leave it out"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("environment variable {variable}: `{value}` is not {expected}; correct it or leave it out")]
pub struct EnvironmentFault {
    /// Its name.
    pub variable: &'static str,
    /// Its value.
    pub value: String,
    /// What it should be.
    pub expected: &'static str,
}

impl Environment {
    /// Reads the variables through `variable`, which gives the value of a name.
    ///
    /// # Errors
    /// All variables that cannot be read.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Environment, Vec<EnvironmentFault>> {
        let mut faults = Vec::new();
        let mut reader = Reader { variable: &variable, faults: &mut faults };
        let scheduled =
            reader.read("CRONLET_SCHEDULED_TIME", "a time such as 2026-03-01T09:00:00Z", |text| {
                text.parse::<Timestamp>().ok()
            });
        let attempt = reader.read("CRONLET_ATTEMPT", "a number from 1", |text| {
            text.parse::<u32>().ok().filter(|attempt| *attempt > 0)
        });
        let completion_index =
            reader.read("JOB_COMPLETION_INDEX", "a number from 0", |text| text.parse::<u32>().ok());
        let environment = Environment {
            scheduled_time: scheduled.or_else(|| time_in_name(&variable("JOB_NAME")?)),
            attempt: attempt.unwrap_or(1),
            completion_index,
            trace_parent: variable("TRACEPARENT").and_then(|text| text.parse().ok()),
        };
        if faults.is_empty() { Ok(environment) } else { Err(faults) }
    }
}

struct Reader<'a, V> {
    variable: &'a V,
    faults: &'a mut Vec<EnvironmentFault>,
}

impl<V: Fn(&str) -> Option<String>> Reader<'_, V> {
    /// The value of a variable, if it is there and `parse` accepts it. An empty one counts as not there.
    fn read<T>(
        &mut self,
        variable: &'static str,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let value = (self.variable)(variable).filter(|value| !value.is_empty())?;
        let parsed = parse(&value);
        if parsed.is_none() {
            self.faults.push(EnvironmentFault { variable, value, expected });
        }
        parsed
    }
}

/// The time in the name of a CronJob's Job: upstream names it `<cronjob>-<minutes since 1970>`.
fn time_in_name(name: &str) -> Option<Timestamp> {
    let (_, minutes) = name.rsplit_once('-')?;
    // Eight digits are the years 1989 to 2160; other names end in random letters, or shorter numbers.
    let is_minutes = minutes.len() == 8 && minutes.bytes().all(|byte| byte.is_ascii_digit());
    let minutes: i64 = is_minutes.then(|| minutes.parse().ok())??;
    Timestamp::from_second(minutes * 60).ok()
}
