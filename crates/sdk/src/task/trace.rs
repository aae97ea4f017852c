//! The trace a task belongs to, as its environment says.

use std::{fmt, str::FromStr};

/// The W3C `traceparent` of version 00: which trace, and which span in it is the parent of this process.
///
/// Hand it to your tracing library; this crate exports no spans.
///
/// ```
/// use cronlet_sdk::task::{NoTraceParent, TraceParent};
///
/// let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let parent: TraceParent = text.parse().unwrap();
/// assert!(parent.sampled);
/// assert_eq!(parent.to_string(), text);
/// assert_eq!("00-0-0-01".parse::<TraceParent>(), Err(NoTraceParent));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace; never zero.
    pub trace_id: u128,
    /// The parent span; never zero.
    pub parent_id: u64,
    /// Whether the parent was recorded.
    pub sampled: bool,
}

/// A text that is no `traceparent`; the specification says to begin a trace of one's own then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a W3C traceparent")]
pub struct NoTraceParent;

impl FromStr for TraceParent {
    type Err = NoTraceParent;

    /// Later versions are read as far as version 00 goes, as the specification asks.
    fn from_str(text: &str) -> Result<TraceParent, NoTraceParent> {
        let mut parts = text.split('-');
        let mut next = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits).ok_or(NoTraceParent)?;
            let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            part.bytes().all(lower).then_some(part).ok_or(NoTraceParent)
        };
        let (version, trace, parent, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        let more = parts.next().is_some();
        let trace_id = u128::from_str_radix(trace, 16).map_err(|_| NoTraceParent)?;
        let parent_id = u64::from_str_radix(parent, 16).map_err(|_| NoTraceParent)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| NoTraceParent)?;
        if version == "ff" || (version == "00" && more) || trace_id == 0 || parent_id == 0 {
            return Err(NoTraceParent);
        }
        Ok(TraceParent { trace_id, parent_id, sampled: flags & 1 == 1 })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.parent_id, u8::from(self.sampled))
    }
}
