use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Tells a thread that nobody waits for its work any more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

/// Says stop when it is dropped: held by the future or stream that waits for the work.
#[derive(Debug)]
pub(crate) struct StopOnDrop(Stop);

/// Input that ends with an error when it is to stop.
#[derive(Debug)]
pub(crate) struct Stoppable<R> {
    input: R,
    stop: Stop,
}

impl Stop {
    /// Whoever holds the answer keeps the work going.
    pub(crate) fn on_drop(&self) -> StopOnDrop {
        StopOnDrop(self.clone())
    }

    /// Whether to stop.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The same input, until it is to stop.
    pub(crate) fn over<R>(&self, input: R) -> Stoppable<R> {
        Stoppable { input, stop: self.clone() }
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

impl<R: Read> Read for Stoppable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Not `Interrupted`, which readers take for a reason to try again.
        if self.stop.is_set() { Err(io::Error::other("stopped")) } else { self.input.read(buffer) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_without_end_ends_when_nobody_waits_for_it() {
        let stop = Stop::default();
        let waiting = stop.on_drop();
        let mut input = stop.over(io::repeat(b' '));
        assert_eq!(input.read(&mut [0; 8]).unwrap(), 8);
        drop(waiting);
        assert!(io::copy(&mut input, &mut io::sink()).is_err());
    }
}
