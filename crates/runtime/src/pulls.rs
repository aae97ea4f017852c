//! The pulls of a pod's images, as far as its events tell of them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

/// What has happened to the images that a pod had to wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pulls {
    /// Those that are being pulled.
    pub(crate) under_way: BTreeSet<String>,
    /// Those that were pulled for this pod, which need not be pulled for it again.
    pub(crate) done: BTreeMap<String, Pulled>,
}

/// A pull that succeeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pulled {
    /// How long it took.
    pub(crate) took: SignedDuration,
    /// The same, with the time before it was its turn.
    pub(crate) with_waiting: SignedDuration,
    /// Size of configuration and layers as transferred.
    pub(crate) bytes: u64,
}

impl Pulled {
    /// The kubelet's sentence.
    pub(crate) fn message(self, image: &str) -> String {
        let (took, with_waiting) = (as_go(self.took), as_go(self.with_waiting));
        let bytes = self.bytes;
        format!(
            "Successfully pulled image {image:?} in {took} ({with_waiting} including waiting). Image size: {bytes} bytes."
        )
    }
}

/// A duration as Go writes it, cut to milliseconds as the kubelet does.
fn as_go(duration: SignedDuration) -> String {
    // A clock that was set back meanwhile makes no sense of it.
    let millis = duration.as_millis().max(0);
    let (minutes, rest) = (millis / 60_000, millis % 60_000);
    match (minutes, rest) {
        (0, 0) => "0s".to_owned(),
        (0, 1..1000) => format!("{rest}ms"),
        (0, _) => format!("{}s", seconds(rest)),
        (1..60, _) => format!("{minutes}m{}s", seconds(rest)),
        _ => format!("{}h{}m{}s", minutes / 60, minutes % 60, seconds(rest)),
    }
}

fn seconds(millis: i128) -> String {
    let text = format!("{}.{:03}", millis / 1000, millis % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_go_does() {
        let written = [0, 7, 999, 1_000, 1_594, 60_000, 62_500, 3_600_000, 3_661_010]
            .map(|millis| as_go(SignedDuration::from_millis(millis)));
        assert_eq!(written, ["0s", "7ms", "999ms", "1s", "1.594s", "1m0s", "1m2.5s", "1h0m0s", "1h1m1.01s"]);
        assert_eq!(as_go(SignedDuration::from_micros(-5)), "0s");
    }
}
