//! The real clock, and an alarm on wall time that also notices when the clock is stepped.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    thread,
};

use cronlet_object::Clock;
use jiff::{SignedDuration, Timestamp};
use rustix::{
    io::Errno,
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    },
};

use crate::limits::RECHECK_SECONDS_MAX;

/// The system's wall clock.
#[derive(Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    // The one place that reads the clock.
    #[allow(clippy::disallowed_methods)]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Calls back at a wall-clock time. Based on the kernel's real-time clock, so that it is right after the machine
/// slept, and calls back early when somebody sets the clock: the caller looks at the time anew in any case.
pub struct Alarm {
    timer: Arc<OwnedFd>,
}

impl Alarm {
    /// Starts the alarm's thread, which calls `ring` whenever the set time has come or the clock was stepped.
    ///
    /// # Errors
    /// If the kernel grants no timer or thread.
    pub fn new(ring: impl Fn() + Send + 'static) -> io::Result<Self> {
        let timer = Arc::new(timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::CLOEXEC)?);
        let waited = timer.clone();
        thread::Builder::new().name("alarm".into()).spawn(move || {
            let mut expirations = [0_u8; 8];
            loop {
                // ECANCELED says that the clock was stepped; a closed or broken timer ends the thread.
                match rustix::io::read(waited.as_fd(), &mut expirations) {
                    Ok(_) | Err(Errno::CANCELED) => ring(),
                    Err(Errno::INTR) => {}
                    Err(_) => return,
                }
            }
        })?;
        Ok(Alarm { timer })
    }

    /// Sets the time of the next call; without one, or with one far away, the longest wait between two looks at the
    /// clock.
    pub fn set(&self, wake_at: Option<Timestamp>, now: Timestamp) {
        let latest =
            now.checked_add(SignedDuration::from_secs(RECHECK_SECONDS_MAX)).unwrap_or(Timestamp::MAX);
        // A time in the past is no error to the kernel: the timer expires at once. Zero would disarm it.
        let at =
            wake_at.map_or(latest, |t| t.min(latest)).max(Timestamp::from_nanosecond(1).unwrap_or_default());
        let value = Timespec { tv_sec: at.as_second(), tv_nsec: at.subsec_nanosecond().into() };
        let spec = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        // The call reports a step of the clock that nobody has read yet; the timer is armed all the same.
        let _armed = timerfd_settime(
            &self.timer,
            TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET,
            &spec,
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_time_that_has_passed_rings_at_once() {
        let (send, receive) = mpsc::channel();
        let alarm = Alarm::new(move || send.send(()).unwrap_or_default()).unwrap();
        alarm.set(Some(Timestamp::UNIX_EPOCH), SystemClock.now());
        receive.recv().unwrap();
    }
}
