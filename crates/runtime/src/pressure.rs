//! When the node's disk runs short, which pod has to go, and what is said of it: the kubelet's eviction under pressure, with
//! its one signal that nothing else answers for here. Memory is left to the kernel and its scores.

use std::{fmt, str::FromStr};

use cronlet_object::quantity::Quantity;

/// The signal: what is free on the file system with the node's data.
const SIGNAL: &str = "nodefs.available";

/// How little may be free on the node's disk: the kubelet's `--eviction-hard nodefs.available<…`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DiskThreshold {
    /// So much.
    Quantity(Quantity),
    /// So many hundredths of the disk.
    Percent(f64),
}

/// Why a threshold makes no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a threshold of the disk: write {SIGNAL}<256Mi, {SIGNAL}<5%, or {SIGNAL}<0 for none")]
pub struct ThresholdError(String);

impl FromStr for DiskThreshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        let error = || ThresholdError(text.to_owned());
        let amount = text.strip_prefix(SIGNAL).and_then(|rest| rest.strip_prefix('<')).ok_or_else(error)?;
        if let Some(percent) = amount.strip_suffix('%') {
            let percent = percent.parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
            return percent.map(DiskThreshold::Percent).ok_or_else(error);
        }
        let quantity = amount.parse::<Quantity>().ok().filter(|quantity| !quantity.is_negative());
        quantity.map(DiskThreshold::Quantity).ok_or_else(error)
    }
}

impl fmt::Display for DiskThreshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiskThreshold::Quantity(quantity) => quantity.fmt(f),
            DiskThreshold::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// What a disk has, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    pub total: u64,
    pub available: u64,
}

impl DiskThreshold {
    /// What is said if less is free than must be.
    pub(crate) fn exceeded(self, disk: Disk) -> Option<String> {
        let least = match self {
            DiskThreshold::Quantity(quantity) => u64::try_from(quantity.value()).unwrap_or(0),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_precision_loss,
                clippy::cast_sign_loss,
                reason = "a share of a disk need not be exact to the byte"
            )]
            DiskThreshold::Percent(percent) => (disk.total as f64 * percent / 100.0) as u64,
        };
        (disk.available < least).then(|| {
            let available = disk.available / 1024;
            format!(
                "The node was low on resource: ephemeral-storage. Threshold quantity: {self}, available: \
                 {available}Ki. "
            )
        })
    }
}

/// A pod that runs and keeps something on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Of pods with less than others it is the first to go.
    pub priority: i32,
    /// What it has asked for, in bytes.
    pub requested: u64,
    /// What it keeps: its volumes, what its containers wrote, and their logs.
    pub used: u64,
    /// Of each container its name, what it keeps and what it has asked for.
    pub containers: Vec<(String, u64, u64)>,
}

/// The pod that has to go: of those that keep more than they have asked for, if there are any, that of the least priority
/// that keeps the most beyond (the kubelet's order).
pub(crate) fn choose(candidates: &[Candidate]) -> Option<usize> {
    let rank = |candidate: &Candidate| {
        let beyond = candidate.used.saturating_sub(candidate.requested);
        (candidate.used <= candidate.requested, candidate.priority, u64::MAX - beyond)
    };
    (0..candidates.len()).min_by_key(|position| rank(&candidates[*position]))
}

/// What is said of the containers that keep more than they have asked for.
pub(crate) fn consumption(candidate: &Candidate) -> String {
    let beyond = candidate.containers.iter().filter(|(_, used, requested)| used > requested);
    let told = beyond.map(|(name, used, requested)| {
        format!(
            "Container {name} was using {}Ki, request is {requested}, has larger consumption of ephemeral-storage. ",
            used / 1024
        )
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn a_threshold_is_a_quantity_or_a_share_of_the_disk() {
        let disk = Disk { total: 100 * GIB, available: 4 * GIB };
        for (text, short) in [
            ("nodefs.available<5%", true),
            ("nodefs.available<4%", false),
            ("nodefs.available<5Gi", true),
            ("nodefs.available<4Gi", false),
            ("nodefs.available<0", false),
            ("nodefs.available<0%", false),
        ] {
            assert_eq!(text.parse::<DiskThreshold>().unwrap().exceeded(disk).is_some(), short, "{text}");
        }
        for text in [
            "",
            "5%",
            "memory.available<5%",
            "nodefs.available<",
            "nodefs.available<-1Gi",
            "nodefs.available<101%",
        ] {
            assert!(text.parse::<DiskThreshold>().is_err(), "{text}");
        }
        let told = "nodefs.available<5%".parse::<DiskThreshold>().unwrap().exceeded(disk).unwrap();
        let expected =
            "The node was low on resource: ephemeral-storage. Threshold quantity: 5%, available: 4194304Ki. ";
        assert_eq!(told, expected);
    }

    #[test]
    fn who_keeps_the_most_beyond_what_was_asked_for_goes_first() {
        let pod = |priority, requested, used| Candidate { priority, requested, used, containers: Vec::new() };
        assert_eq!(choose(&[]), None);
        assert_eq!(choose(&[pod(0, 0, 1), pod(0, 0, 3), pod(0, 0, 2)]), Some(1));
        assert_eq!(choose(&[pod(0, 5, 9), pod(0, 0, 5)]), Some(1), "beyond what was asked for");
        assert_eq!(choose(&[pod(0, 9, 9), pod(0, 0, 1)]), Some(1), "who keeps to it goes last");
        assert_eq!(choose(&[pod(7, 0, 9), pod(0, 0, 1)]), Some(1), "the least priority");
        let pod = Candidate { containers: vec![("a".into(), 2048, 0), ("b".into(), 1, 5)], ..pod(0, 0, 1) };
        let expected =
            "Container a was using 2Ki, request is 0, has larger consumption of ephemeral-storage. ";
        assert_eq!(consumption(&pod), expected);
    }
}
