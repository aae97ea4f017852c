//! Runs drawn from seeds: whatever happens, what must hold does. `cargo xtask simulate` runs many more.

use cronlet_controller::Controller;
use cronlet_simulate::{Course, Outcome};

/// Seeds that found something once, in the checks or in what is checked:
/// - a pod whose restarts were too many for its Job was gone when the verdict on the Job was committed;
/// - a time that the cron library finds only from shortly before, because it misreads a change of the clocks;
/// - one that it finds from an hour before and from a second before, but not from where a deadline makes it begin;
/// - an elastic Job that was made larger between the verdict that it is complete and the end of its last pod.
const FOUND: [u64; 4] = [229_282_855_997_478, 39_820_114_318_800, 82_005_128_028_824, 200_000_000_053_966];

#[test]
fn whatever_happens_what_must_hold_does() {
    let mut sum = Outcome::default();
    for seed in FOUND.into_iter().chain(0..100) {
        match Course::draw(seed).prove(Controller::reconcile) {
            Ok(outcome) => sum += outcome,
            Err(failure) => panic!("{failure}"),
        }
    }
    assert!(sum.jobs > 100 && sum.pods > 100 && sum.crashes > 10, "{sum:?}");
}
