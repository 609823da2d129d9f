//! Room for large records: so that a process needs memory for few of them, whatever the number of slices that it loads
//! at once.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{Error, ErrorKind, Result, Retry};

/// The maximum number of bytes of a record that needs no room.
pub const SMALL_RECORD_BYTES: usize = 1024 * 1024;

/// The maximum number of bytes of larger records that are in flight in a process at once; a record that is longer than
/// this is in flight alone. Memory holds about five copies of a record in flight: as read, in a batch, as a row, and as
/// what is sent to a sink.
const ALL_BYTES: usize = 16 * 1024 * 1024;

/// The interval at which whoever waits for room looks whether to go on waiting.
const GLANCE: Duration = Duration::from_millis(50);

/// The number of glances without any room given back after which whoever waits gives up: 20 s. The others may be waiting
/// for a row that the waiting slice has written and not committed.
const PATIENCE: u32 = 400;

static ROOMS: Rooms = Rooms { state: Mutex::new(State { taken: 0, returns: 0 }), changed: Condvar::new() };

#[derive(Debug)]
struct Rooms {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    taken: usize,
    /// How often room was given back.
    returns: u64,
}

impl Rooms {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, bytes: usize) {
        let mut state = self.state();
        state.taken -= bytes;
        state.returns += 1;
        drop(state);
        self.changed.notify_all();
    }
}

/// Room for a record of more than [`SMALL_RECORD_BYTES`], from before it is read until its row is written. It is given
/// back when it is dropped.
#[derive(Debug)]
pub struct Room {
    rooms: &'static Rooms,
    bytes: usize,
}

impl Room {
    /// Waits, on a thread that may block, for room for a record of at most `bytes`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Interrupted`] once `is_given_up` says so, and [`ErrorKind::Exhausted`] when nobody gives room back for
    /// long: the slice is to be read again then.
    pub fn wait(bytes: usize, is_given_up: impl Fn() -> bool) -> Result<Self> {
        Self::wait_in(&ROOMS, bytes, PATIENCE, is_given_up)
    }

    fn wait_in(rooms: &'static Rooms, bytes: usize, patience: u32, is_given_up: impl Fn() -> bool) -> Result<Self> {
        const OPERATION: &str = "read";
        let bytes = bytes.min(ALL_BYTES);
        let mut state = rooms.state();
        let (mut returns, mut glances) = (state.returns, 0);
        while state.taken + bytes > ALL_BYTES {
            if is_given_up() {
                return Err(Error::new(ErrorKind::Interrupted, OPERATION, "the reading was given up"));
            }
            if returns != state.returns {
                (returns, glances) = (state.returns, 0);
            }
            glances += 1;
            if glances > patience {
                let message = "the large records of other slices take all the memory for large records, and none of them is \
                               loaded; a lower `--parallel` avoids that";
                return Err(Error::new(ErrorKind::Exhausted, OPERATION, message).with_retry(Retry::Backoff));
            }
            state = rooms.changed.wait_timeout(state, GLANCE).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.taken += bytes;
        Ok(Self { rooms, bytes })
    }

    /// Gives back what is more than `bytes`, once the length of the record is known.
    pub fn shrink(&mut self, bytes: usize) {
        if bytes < self.bytes {
            self.rooms.give_back(self.bytes - bytes);
            self.bytes = bytes;
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.rooms.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        thread,
    };

    use super::*;

    fn rooms() -> &'static Rooms {
        Box::leak(Box::new(Rooms { state: Mutex::new(State { taken: 0, returns: 0 }), changed: Condvar::new() }))
    }

    #[test]
    fn large_records_wait_for_each_other() {
        let rooms = rooms();
        let wait = |bytes| Room::wait_in(rooms, bytes, u32::MAX, || false).unwrap();
        let mut first = wait(usize::MAX);
        assert_eq!(rooms.state().taken, ALL_BYTES, "a record above the limit is alone");
        let waiting = AtomicBool::new(true);
        thread::scope(|scope| {
            scope.spawn(|| {
                let second = wait(3);
                assert!(!waiting.load(Ordering::SeqCst));
                drop(second);
            });
            thread::sleep(Duration::from_millis(100));
            waiting.store(false, Ordering::SeqCst);
            first.shrink(ALL_BYTES - 3);
        });
        drop(first);
        assert_eq!(rooms.state().taken, 0);
    }

    #[test]
    fn nobody_waits_for_ever() {
        let rooms = rooms();
        let short = 2;
        let _first = Room::wait_in(rooms, ALL_BYTES, short, || false).unwrap();
        let error = Room::wait_in(rooms, 1, short, || false).unwrap_err();
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Exhausted, Retry::Backoff));
        assert_eq!(Room::wait_in(rooms, 1, short, || true).unwrap_err().kind(), ErrorKind::Interrupted);
        assert_eq!(rooms.state().taken, ALL_BYTES);
    }
}
