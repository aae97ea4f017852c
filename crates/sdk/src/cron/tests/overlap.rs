use super::at;
use crate::{
    cron::{Decision, Overlap, Overlaps},
    limits::BUFFERED_RUNS_MAX,
};

#[test]
fn each_policy_answers_three_runs_that_are_due_while_the_first_is_under_way() {
    let cases = [
        (Overlap::Skip, [Decision::Start, Decision::Skip, Decision::Skip], (1, 0)),
        (Overlap::BufferOne, [Decision::Start, Decision::Buffer, Decision::Skip], (1, 1)),
        (Overlap::BufferAll, [Decision::Start, Decision::Buffer, Decision::Buffer], (1, 2)),
        (Overlap::CancelOther, [Decision::Start, Decision::CancelOthers, Decision::CancelOthers], (1, 1)),
        (
            Overlap::TerminateOther,
            [Decision::Start, Decision::TerminateOthers, Decision::TerminateOthers],
            (1, 0),
        ),
        (Overlap::AllowAll, [Decision::Start, Decision::Start, Decision::Start], (3, 0)),
    ];
    for (policy, expected, counts) in cases {
        let mut overlaps = Overlaps::new(policy);
        let decisions = ["09:00:00", "10:00:00", "11:00:00"].map(|time| overlaps.due(at(time)));
        assert_eq!(decisions, expected, "{policy:?}");
        assert_eq!((overlaps.running(), overlaps.waiting()), counts, "{policy:?}");
    }
}

#[test]
fn buffered_runs_start_in_their_order_one_at_a_time() {
    let mut overlaps = Overlaps::new(Overlap::BufferAll);
    for time in ["09:00:00", "10:00:00", "11:00:00"] {
        overlaps.due(at(time));
    }
    assert_eq!(overlaps.ended(), Some(at("10:00:00")));
    assert_eq!(overlaps.ended(), Some(at("11:00:00")));
    assert_eq!((overlaps.ended(), overlaps.running()), (None, 0));
}

#[test]
fn a_cancelled_run_is_followed_by_the_latest_that_was_due() {
    let mut overlaps = Overlaps::new(Overlap::CancelOther);
    for time in ["09:00:00", "10:00:00", "11:00:00"] {
        overlaps.due(at(time));
    }
    assert_eq!((overlaps.ended(), overlaps.ended()), (Some(at("11:00:00")), None));
}

#[test]
fn the_buffer_has_a_bound() {
    let mut overlaps = Overlaps::new(Overlap::BufferAll);
    for _ in 0..=BUFFERED_RUNS_MAX {
        assert_ne!(overlaps.due(at("09:00:00")), Decision::Skip);
    }
    assert_eq!(overlaps.due(at("09:00:00")), Decision::Skip);
}
