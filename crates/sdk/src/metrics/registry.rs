//! The values, by name and labels.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::text;
use crate::limits::SERIES_MAX;

/// All metrics of a program. Clones share them.
///
/// ```
/// use cronlet_sdk::metrics::{Counter, DURATION_BUCKETS_SECONDS, Histogram, Registry};
///
/// let registry = Registry::new();
/// let orders: Counter = registry.counter("orders_total", "Orders read.");
/// orders.add(&[("shop", "berlin")], 2);
/// let took: Histogram = registry.histogram("order_seconds", "How long each took.", &DURATION_BUCKETS_SECONDS);
/// took.observe(&[], 0.02);
/// let text = registry.text();
/// assert!(text.contains(r#"orders_total{shop="berlin"} 2"#));
/// assert!(text.contains(r#"order_seconds_bucket{le="0.025"} 1"#));
/// ```
#[derive(Clone, Default)]
pub struct Registry {
    families: Arc<Mutex<BTreeMap<String, Family>>>,
}

/// One metric: what it is for, and its values by labels.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) help: String,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Counter(BTreeMap<Labels, u64>),
    Histogram { bounds: Vec<f64>, series: BTreeMap<Labels, Buckets> },
}

pub(super) type Labels = Vec<(String, String)>;

/// How many values fell at or below each bound, and beyond the last; their sum.
#[derive(Debug, Clone)]
pub(super) struct Buckets {
    pub(super) counts: Vec<u64>,
    pub(super) sum: f64,
}

impl Registry {
    /// No metrics yet.
    pub fn new() -> Registry {
        Registry::default()
    }

    /// A counter of this name; the one that is there, if there is one. What a name may not contain becomes `_`.
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        let name = text::metric_name(name);
        let family = || Family { help: help.to_owned(), kind: Kind::Counter(BTreeMap::new()) };
        self.lock().entry(name.clone()).or_insert_with(family);
        Counter { registry: self.clone(), name }
    }

    /// A histogram of this name; the one that is there, if there is one. Bounds that are no numbers are left out.
    pub fn histogram(&self, name: &str, help: &str, bounds: &[f64]) -> Histogram {
        let name = text::metric_name(name);
        let mut bounds: Vec<f64> = bounds.iter().copied().filter(|bound| bound.is_finite()).collect();
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        let kind = Kind::Histogram { bounds, series: BTreeMap::new() };
        self.lock().entry(name.clone()).or_insert_with(|| Family { help: help.to_owned(), kind });
        Histogram { registry: self.clone(), name }
    }

    /// Everything, in Prometheus' text format 0.0.4.
    pub fn text(&self) -> String {
        text::expose(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Family>> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.lock().keys()).finish()
    }
}

/// Goes up only.
#[derive(Debug, Clone)]
pub struct Counter {
    registry: Registry,
    name: String,
}

impl Counter {
    /// Adds to the value with these labels. Without effect if the name belongs to a histogram.
    pub fn add(&self, labels: &[(&str, &str)], by: u64) {
        if let Some(Family { kind: Kind::Counter(series), .. }) = self.registry.lock().get_mut(&self.name) {
            let labels = labels_of(labels, series);
            let value = series.entry(labels).or_default();
            *value = value.saturating_add(by);
        }
    }
}

/// Counts values by their size.
#[derive(Debug, Clone)]
pub struct Histogram {
    registry: Registry,
    name: String,
}

impl Histogram {
    /// Counts a value with these labels. Without effect if the name belongs to a counter, or the value is no number.
    pub fn observe(&self, labels: &[(&str, &str)], value: f64) {
        let mut families = self.registry.lock();
        let Some(Family { kind: Kind::Histogram { bounds, series }, .. }) = families.get_mut(&self.name)
        else {
            return;
        };
        if value.is_nan() {
            return;
        }
        let labels = labels_of(labels, series);
        let none = || Buckets { counts: vec![0; bounds.len() + 1], sum: 0.0 };
        let buckets = series.entry(labels).or_insert_with(none);
        let bucket = bounds.partition_point(|bound| *bound < value);
        if let Some(count) = buckets.counts.get_mut(bucket) {
            *count += 1;
        }
        buckets.sum += value;
    }
}

/// The labels in their own order, or `other` for each when there are too many series already.
fn labels_of<V>(labels: &[(&str, &str)], series: &BTreeMap<Labels, V>) -> Labels {
    let mut owned: Labels =
        labels.iter().map(|(name, value)| (text::label_name(name), (*value).to_owned())).collect();
    owned.sort();
    owned.dedup_by(|a, b| a.0 == b.0);
    if series.len() >= SERIES_MAX && !series.contains_key(&owned) {
        owned.iter_mut().for_each(|(_, value)| "other".clone_into(value));
    }
    owned
}
