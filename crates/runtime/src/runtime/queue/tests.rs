use std::{
    future::Future as _,
    task::{Context, Waker},
};

use super::*;

fn uid(text: &str) -> Arc<str> {
    text.into()
}

/// Takes the next task, which must be a pod, without waiting.
fn take(queue: &Queue) -> Box<Turn> {
    assert!(!queue.table().waiting.is_empty(), "nothing waits");
    match queue.next() {
        Some(Task::Look(turn)) => turn,
        _ => panic!("not a pod"),
    }
}

fn is_empty(queue: &Queue) -> bool {
    queue.table().waiting.is_empty()
}

#[test]
fn a_pod_waits_once_however_often_it_is_changed() {
    let queue = Queue::new(1);
    queue.change("a", |_| ());
    queue.change("a", |wanted| wanted.removed = true);
    queue.wake(&uid("a"));
    queue.wake(&uid("unknown"));
    let turn = take(&queue);
    assert!(turn.wanted.removed && !turn.wanted.stop);
    assert!(is_empty(&queue));
}

#[test]
fn pods_that_come_after_the_end_was_decided_are_to_end() {
    let queue = Queue::new(1);
    queue.change("a", |_| ());
    drop(take(&queue));
    queue.stop_all();
    queue.change("b", |_| ());
    assert!(take(&queue).wanted.stop);
}

#[test]
fn a_pod_is_with_one_worker_at_a_time() {
    let queue = Queue::new(1);
    queue.change("a", |_| ());
    let turn = take(&queue);
    queue.wake(&uid("a"));
    queue.wake(&uid("a"));
    assert!(is_empty(&queue), "it is with a worker");
    queue.done(&turn.uid, turn.pod, Outcome::Known);
    let turn = take(&queue);
    queue.done(&turn.uid, turn.pod, Outcome::Known);
    assert!(is_empty(&queue));
}

#[test]
fn a_pod_that_is_gone_is_forgotten() {
    let queue = Queue::new(1);
    queue.change("a", |wanted| wanted.removed = true);
    let turn = take(&queue);
    queue.done(&turn.uid, turn.pod, Outcome::Gone);
    queue.wake(&uid("a"));
    assert!(is_empty(&queue));
}

#[test]
fn a_snapshot_is_news_only_once() {
    let queue = Queue::new(1);
    queue.change("a", |wanted| wanted.snapshot = Some(Snapshot::default()));
    let turn = take(&queue);
    assert!(turn.wanted.snapshot.is_some());
    queue.done(&turn.uid, turn.pod, Outcome::Known);
    queue.wake(&uid("a"));
    assert!(take(&queue).wanted.snapshot.is_none());
}

#[test]
fn at_the_end_directories_are_removed_and_pods_left() {
    let queue = Queue::new(1);
    queue.change("a", |_| ());
    queue.remove_dir("b".into());
    queue.close();
    assert!(matches!(queue.next(), Some(Task::RemoveDir(path)) if path.as_os_str() == "b"));
    assert!(queue.next().is_none());
}

#[test]
fn pods_above_the_limit_are_woken_in_order() {
    let queue = Queue::new(1);
    for name in ["a", "b", "c"] {
        queue.change(name, |_| ());
    }
    let turns: Vec<_> = (0..3).map(|_| take(&queue)).collect();
    let admitted: Vec<bool> = turns.iter().map(|turn| queue.admit(&turn.uid)).collect();
    assert_eq!(admitted, [true, false, false]);
    for turn in turns {
        queue.done(&turn.uid, turn.pod, Outcome::Known);
    }
    assert!(is_empty(&queue));
    queue.wake(&uid("a"));
    let a = take(&queue);
    queue.release();
    queue.done(&a.uid, a.pod, Outcome::Known);
    // Its turn comes, but it does not want to start any more: the next one is woken.
    let b = take(&queue);
    assert_eq!(&*b.uid, "b");
    assert!(is_empty(&queue));
    queue.done(&b.uid, b.pod, Outcome::Gone);
    let c = take(&queue);
    assert!(&*c.uid == "c" && queue.admit(&c.uid));
}

#[test]
fn all_have_stopped_when_none_runs() {
    let queue = Queue::new(1);
    queue.admit_running();
    queue.admit_running();
    assert!(!queue.admit(&uid("a")), "two run already");
    let mut stopped = std::pin::pin!(queue.all_stopped());
    let mut context = Context::from_waker(Waker::noop());
    assert!(stopped.as_mut().poll(&mut context).is_pending());
    queue.release();
    assert!(stopped.as_mut().poll(&mut context).is_pending());
    queue.release();
    assert!(stopped.as_mut().poll(&mut context).is_ready());
}
