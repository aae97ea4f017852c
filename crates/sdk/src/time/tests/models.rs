//! What `AfterFunc` and `Context` promise to threads that use them at once, in many orders of their steps. A `Timer` and
//! a `Ticker` have one owner, which the compiler sees to.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use shuttle::{future::block_on, thread};

use super::ms;
use crate::{
    sync,
    time::{AfterFunc, Context, after_func},
};

#[test]
fn each_setting_of_a_function_is_run_or_prevented_and_never_both() {
    sync::check(|| {
        // The tasks that wait never run here: their claims are made by hand.
        let timer = after_func(ms(3_600_000), || async {});
        let outcomes = Arc::new(AtomicUsize::new(0));
        let act = |act: fn(&AfterFunc) -> bool| {
            let (timer, outcomes) = (timer.clone(), outcomes.clone());
            thread::spawn(move || {
                outcomes.fetch_add(usize::from(act(&timer)), Ordering::SeqCst);
            })
        };
        let begun =
            [act(|timer| timer.claim(1)), act(AfterFunc::stop), act(|timer| timer.reset(ms(3_600_000)))];
        for thread in begun {
            thread.join().unwrap();
        }
        // What is left is stopped now. There were two settings, and each came to one end.
        let left = usize::from(timer.stop());
        assert_eq!(outcomes.load(Ordering::SeqCst) + left, 2);
    });
}

#[test]
fn a_cancel_reaches_whoever_waits_and_whoever_is_born() {
    sync::check(|| {
        let context = Context::background();
        let below = context.child();
        let waiting = {
            let below = below.clone();
            thread::spawn(move || block_on(below.done()))
        };
        let bearing = {
            let context = context.clone();
            thread::spawn(move || context.child().child())
        };
        let cancelling = {
            let context = context.clone();
            thread::spawn(move || context.cancel_because("enough"))
        };
        assert_eq!(waiting.join().unwrap().to_string(), "cancelled: enough");
        cancelling.join().unwrap();
        assert!(bearing.join().unwrap().is_done());
        assert!(below.is_done());
    });
}

#[test]
fn of_two_causes_one_stays_everywhere() {
    sync::check(|| {
        let context = Context::background();
        let below = context.child();
        let causes = ["one", "two"].map(|cause| {
            let context = context.clone();
            thread::spawn(move || context.cancel_because(cause))
        });
        for thread in causes {
            thread.join().unwrap();
        }
        let said = |context: &Context| context.error().map(|cause| cause.to_string());
        assert!(said(&context).is_some());
        assert_eq!(said(&context), said(&below));
    });
}
