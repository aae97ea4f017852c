//! Shortening a course that fails: what can be left out is, as long as it fails in the same way.

use super::{Course, Failure};
use crate::{Decide, Violation, limits::SHRINK_RUNS_MAX};

/// The shortest course that was found, with its last steps.
pub(super) fn shorten(course: &Course, violation: Violation, decide: Decide) -> Failure {
    let mut search = Search { best: course.clone(), violation, decide, runs_left: SHRINK_RUNS_MAX };
    while search.leave_out() {}
    search.simplify();
    let Search { best, violation, .. } = search;
    let (violation, trace) = match best.run_traced(decide, true) {
        Err(broken) => (broken.violation, broken.trace),
        Ok(_) => (violation, Vec::new()),
    };
    Failure { course: best, violation, trace }
}

struct Search {
    best: Course,
    violation: Violation,
    decide: Decide,
    runs_left: u32,
}

impl Search {
    /// Keeps a shorter course if it fails as well.
    fn try_course(&mut self, shorter: Course) -> bool {
        if self.runs_left == 0 {
            return false;
        }
        self.runs_left -= 1;
        match shorter.run(self.decide, false) {
            Err(violation) if violation.invariant == self.violation.invariant => {
                (self.best, self.violation) = (shorter, violation);
                true
            }
            _ => false,
        }
    }

    /// Leaves out events: halves first, then smaller and smaller groups. Returns whether anything could be.
    fn leave_out(&mut self) -> bool {
        let mut size = self.best.events.len().div_ceil(2);
        let mut shorter = false;
        while size > 0 {
            let mut from = 0;
            while from < self.best.events.len() {
                let mut course = self.best.clone();
                let to = (from + size).min(course.events.len());
                course.events.drain(from..to);
                if self.try_course(course) {
                    shorter = true;
                } else {
                    from += size;
                }
            }
            size /= 2;
        }
        shorter
    }

    /// Makes the disk fast, and ends the course earlier.
    fn simplify(&mut self) {
        let mut course = self.best.clone();
        course.latency_max = jiff::SignedDuration::ZERO;
        self.try_course(course);
        loop {
            let mut course = self.best.clone();
            course.lasts /= 2;
            let lasts = course.lasts;
            course.events.retain(|(at, _)| *at <= lasts);
            if lasts.is_zero() || !self.try_course(course) {
                return;
            }
        }
    }
}
