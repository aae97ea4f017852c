//! Runs drawn from seeds: whatever happens, what must hold does. `cargo xtask simulate` runs many more.

use cronlet_controller::Controller;
use cronlet_simulate::{Course, Outcome};

#[test]
fn whatever_happens_what_must_hold_does() {
    let mut sum = Outcome::default();
    for seed in 0..100 {
        match Course::draw(seed).prove(Controller::reconcile) {
            Ok(outcome) => sum += outcome,
            Err(failure) => panic!("{failure}"),
        }
    }
    assert!(sum.jobs > 100 && sum.pods > 100 && sum.crashes > 10, "{sum:?}");
}
