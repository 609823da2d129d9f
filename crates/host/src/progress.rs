use std::{
    convert::Infallible,
    io::{self, IsTerminal as _},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};

use crate::{logging::PROGRESS, table::grouped};

/// How often progress is logged where there is no terminal.
pub(crate) const LOG_EVERY: Duration = Duration::from_secs(30);

/// Shows on standard error how a run gets on: by a bar on a terminal, else by a log line now and then.
pub(crate) struct Progress {
    name: String,
    bar: ProgressBar,
    records: AtomicU64,
    bytes: AtomicU64,
    slices: AtomicU64,
    committed: AtomicU64,
}

impl Progress {
    /// For the ingestion of that name.
    pub(crate) fn start(name: &str, bars: &MultiProgress) -> Self {
        let bar = match io::stderr().is_terminal() {
            true => bars.add(ProgressBar::new_spinner()),
            false => ProgressBar::hidden(),
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}: {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self {
            name: name.to_owned(),
            bar,
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            slices: AtomicU64::new(0),
            committed: AtomicU64::new(0),
        }
    }

    /// Logs progress each time that `every` has passed, without an end; never where there is a bar.
    pub(crate) async fn log(&self, every: Duration) -> Infallible {
        if !self.bar.is_hidden() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(every).await;
            tracing::info!(target: PROGRESS, "{}: {}", self.name, self.message());
        }
    }

    /// The plan is known: this many slices are still to be loaded.
    pub(crate) fn planned(&self, slices: usize) {
        self.slices.store(u64::try_from(slices).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.committed.store(0, Ordering::Relaxed);
        self.show();
    }

    /// This many more records were read, of this many bytes.
    pub(crate) fn read(&self, records: u64, bytes: u64) {
        self.records.fetch_add(records, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.show();
    }

    /// This many of them, of this many bytes, are not loaded, because their slice has failed.
    pub(crate) fn discarded(&self, records: u64, bytes: u64) {
        self.records.fetch_sub(records, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.show();
    }

    /// A slice was committed.
    pub(crate) fn committed(&self) {
        self.committed.fetch_add(1, Ordering::Relaxed);
        self.show();
    }

    fn show(&self) {
        if !self.bar.is_hidden() {
            self.bar.set_message(self.message());
        }
    }

    fn message(&self) -> String {
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        format!(
            "{} records read, {}, {} of {} slices committed",
            grouped(load(&self.records)),
            HumanBytes(load(&self.bytes)),
            load(&self.committed),
            load(&self.slices),
        )
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_terminal_progress_is_logged_now_and_then() {
        let lines = Lines::default();
        let shared = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || shared.clone()).with_ansi(false).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let mut progress = Progress::start("issues", &MultiProgress::new());
        progress.bar = ProgressBar::hidden();
        progress.planned(7);
        progress.read(12_345, 2048);
        progress.read(1_000, 512);
        progress.discarded(1_000, 512);
        progress.committed();
        let logging = tokio::time::timeout(Duration::from_secs(95), progress.log(LOG_EVERY));
        assert!(logging.await.is_err(), "it goes on as long as the run");
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let expected = "issues: 12,345 records read, 2.00 KiB, 1 of 7 slices committed";
        assert_eq!(text.matches(expected).count(), 3, "{text}");
    }
}
