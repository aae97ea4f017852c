//! Sets of completion indexes in the compressed form of `status.completedIndexes`: `1,3-5,7`.

use std::fmt;

/// A run of indexes, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Interval {
    first: u32,
    last: u32,
}

/// A set of completion indexes, as sorted intervals that neither touch nor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexes(Vec<Interval>);

impl Indexes {
    /// Reads the compressed form. What cannot be read, and what does not lie below `completions`, is left out.
    pub(super) fn parse(text: &str, completions: u32) -> Self {
        let intervals = text.split(',').filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
            let last = last.min(completions.checked_sub(1)?);
            (first <= last).then_some(Interval { first, last })
        });
        Self::from_intervals(intervals.collect())
    }

    fn from_intervals(mut intervals: Vec<Interval>) -> Self {
        intervals.sort_unstable_by_key(|interval| interval.first);
        let mut merged: Vec<Interval> = Vec::with_capacity(intervals.len());
        for interval in intervals {
            match merged.last_mut() {
                Some(open) if interval.first <= open.last.saturating_add(1) => {
                    open.last = open.last.max(interval.last);
                }
                _ => merged.push(interval),
            }
        }
        Indexes(merged)
    }

    /// The union of both sets.
    pub(super) fn union(&self, other: &Indexes) -> Indexes {
        if other.0.is_empty() {
            return self.clone();
        }
        Self::from_intervals(self.0.iter().chain(&other.0).copied().collect())
    }

    /// How many indexes the set has.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|interval| width(interval.first, interval.last)).sum()
    }

    /// Whether the set is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `index` is in the set.
    pub(super) fn contains(&self, index: u32) -> bool {
        let at = self.0.partition_point(|interval| interval.last < index);
        self.0.get(at).is_some_and(|interval| interval.first <= index)
    }

    /// How many indexes both sets have.
    pub(super) fn overlap(&self, other: &Indexes) -> usize {
        let (mut a, mut b) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut shared = 0;
        while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
            let (first, last) = (x.first.max(y.first), x.last.min(y.last));
            if first <= last {
                shared += width(first, last);
            }
            if x.last <= y.last {
                a.next();
            } else {
                b.next();
            }
        }
        shared
    }

    /// The indexes below `completions` that are not in the set, in order.
    pub(super) fn missing(&self, completions: u32) -> impl Iterator<Item = u32> {
        let ends = self.0.iter().map(|interval| (interval.first, interval.last.saturating_add(1)));
        let mut next = 0;
        ends.chain([(completions, completions)]).flat_map(move |(first, after)| {
            let gap = next..first.min(completions);
            next = after;
            gap
        })
    }
}

impl FromIterator<u32> for Indexes {
    fn from_iter<I: IntoIterator<Item = u32>>(indexes: I) -> Self {
        Self::from_intervals(
            indexes.into_iter().map(|index| Interval { first: index, last: index }).collect(),
        )
    }
}

impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Interval { first, last }) in self.0.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                1 => write!(f, "{comma}{first},{last}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

/// How many indexes lie between two, both included.
fn width(first: u32, last: u32) -> usize {
    (last - first) as usize + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(text: &str) -> Indexes {
        Indexes::parse(text, 1000)
    }

    #[test]
    fn text_is_normalised_and_cut_at_completions() {
        assert_eq!(set("3,4,6").to_string(), "3,4,6");
        assert_eq!(set("1-3,4").to_string(), "1-4");
        assert_eq!(set("7,1-2").to_string(), "1,2,7");
        assert_eq!(set("1-x,x,-3,9-8,5").to_string(), "5");
        assert_eq!(Indexes::parse("0-9", 4).to_string(), "0-3");
        assert_eq!(Indexes::parse("0-9", 0).to_string(), "");
        assert!(set("").is_empty());
    }

    #[test]
    fn missing_indexes_fill_the_gaps_in_order() {
        assert_eq!(set("1,3-4").missing(7).collect::<Vec<_>>(), [0, 2, 5, 6]);
        assert_eq!(set("1,3-4").missing(3).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(set("0-6").missing(7).count(), 0);
        assert_eq!(set("2-9").missing(0).count(), 0);
    }

    proptest! {
        #[test]
        fn a_set_behaves_as_a_set(a in prop::collection::btree_set(0u32..60, 0..40),
                                  b in prop::collection::btree_set(0u32..60, 0..40)) {
            let (x, y): (Indexes, Indexes) = (a.iter().copied().collect(), b.iter().copied().collect());
            prop_assert_eq!(x.len(), a.len());
            prop_assert_eq!(x.overlap(&y), a.intersection(&b).count());
            prop_assert_eq!(x.union(&y), a.union(&b).copied().collect());
            prop_assert_eq!(Indexes::parse(&x.to_string(), 60), x.clone());
            prop_assert!((0..60).all(|i| x.contains(i) == a.contains(&i)));
            let missing: Vec<u32> = (0..60).filter(|i| !a.contains(i)).collect();
            prop_assert_eq!(x.missing(60).collect::<Vec<_>>(), missing);
        }
    }
}
