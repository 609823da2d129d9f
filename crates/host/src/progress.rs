use std::{
    io::{self, IsTerminal as _},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use endpoint_api::{Counts, RunId};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use ingest::Observer;
use tokio::sync::mpsc::UnboundedSender;

use crate::table::grouped;

/// Shows on standard error, where that is a terminal, how a run gets on, and says which run it is.
pub(crate) struct Progress {
    opened: UnboundedSender<RunId>,
    bar: ProgressBar,
    records: AtomicU64,
    bytes: AtomicU64,
    slices: AtomicU64,
    committed: AtomicU64,
}

impl Progress {
    /// For the ingestion of that name; each run that is opened is sent to `opened`.
    pub(crate) fn start(name: &str, opened: UnboundedSender<RunId>) -> Self {
        let bar = if io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}: {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self {
            opened,
            bar,
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            slices: AtomicU64::new(0),
            committed: AtomicU64::new(0),
        }
    }

    fn show(&self) {
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        self.bar.set_message(format!(
            "{} records, {}, {} of {} slices committed",
            grouped(load(&self.records)),
            HumanBytes(load(&self.bytes)),
            load(&self.committed),
            load(&self.slices),
        ));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Progress {
    fn opened(&self, run: &RunId) {
        // Nobody listens any more when the command is being given up.
        let _ = self.opened.send(run.clone());
    }

    fn planned(&self, slices: usize) {
        self.slices.store(u64::try_from(slices).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.show();
    }

    fn read(&self, records: u64, bytes: u64) {
        self.records.fetch_add(records, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.show();
    }

    fn committed(&self, _: &Counts) {
        self.committed.fetch_add(1, Ordering::Relaxed);
        self.show();
    }
}
