use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::failure::Exit;

/// Listens for SIGINT and SIGTERM: the first asks the work to end in good order. The second, or the end of [`GRACE`],
/// ends the process, which loses nothing: what is committed stays, and the next run goes on from there.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    cancel: CancellationToken,
    received: Arc<AtomicU8>,
}

/// How long the work may take to end. A server that does not answer would keep it waiting longer. Service managers
/// wait longer than this before they kill: systemd 90 seconds.
const GRACE: Duration = Duration::from_secs(30);

const INTERRUPT: u8 = 2;
const TERMINATE: u8 = 15;

impl Signals {
    /// Begins to listen. Must be called within a runtime.
    pub(crate) fn listen() -> Self {
        let signals = Self { cancel: CancellationToken::new(), received: Arc::default() };
        let listener = signals.clone();
        tokio::spawn(async move {
            let first = next().await;
            listener.received.store(first, Ordering::SeqCst);
            tracing::warn!("told to stop; ending in good order (once more to stop at once)");
            listener.cancel.cancel();
            let last = tokio::time::timeout(GRACE, next()).await.unwrap_or_else(|_| {
                tracing::error!(
                    "the work has not ended within {} s; stopping at once: what is committed stays, and the next run \
                     continues from there",
                    GRACE.as_secs()
                );
                first
            });
            std::process::exit(128 + i32::from(last));
        });
        signals
    }

    /// Is cancelled by the first signal.
    pub(crate) fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// How the command ends because of a signal, if one came.
    pub(crate) fn exit(&self) -> Option<Exit> {
        match self.received.load(Ordering::SeqCst) {
            0 => None,
            TERMINATE => Some(Exit::Terminated),
            _ => Some(Exit::Interrupted),
        }
    }
}

#[cfg(unix)]
async fn next() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => tokio::select! {
            _ = interrupt.recv() => INTERRUPT,
            _ = terminate.recv() => TERMINATE,
        },
        // Without a handler the signals end the process, as they do by default.
        _ => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn next() -> u8 {
    match tokio::signal::ctrl_c().await {
        Ok(()) => INTERRUPT,
        Err(_) => std::future::pending().await,
    }
}
