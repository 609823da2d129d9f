//! A server that accepts connections and answers nothing must not be waited for without end.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How long is waited for a server that gives no sign of life.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// After a connection was silent for this long, the server is probed.
    pub(crate) probe: Duration,
    /// How long the server may take to answer on a new connection.
    pub(crate) answer: Duration,
    /// How long a connection may be silent while the server answers probes.
    pub(crate) limit: Duration,
}

/// A new connection is answered at once by a server that works, however long its statements take. No statement of this
/// product runs for two hours without an answer: index builds have a time-out of one hour.
pub(crate) const PATIENCE: Patience = Patience {
    probe: Duration::from_secs(20),
    answer: Duration::from_secs(15),
    limit: Duration::from_secs(2 * 60 * 60),
};

/// Keeps a connection going in the background until it ends. It is cut when nothing was sent or received for a while
/// and the server does not answer `probe`: whoever waits for an answer then gets the error that the connection was
/// lost.
pub(crate) fn keep_going<C, P>(
    server: String,
    connection: C,
    patience: Patience,
    probe: impl Fn() -> P + Send + 'static,
) where
    C: Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
    P: Future<Output = bool> + Send,
{
    let activity = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&activity);
    let mut connection: Pin<Box<C>> = Box::pin(connection);
    // It is polled when something was sent or received, and for no other reason.
    let driver = poll_fn(move |context| {
        counted.fetch_add(1, Ordering::Relaxed);
        connection.as_mut().poll(context)
    });
    let mut driver = tokio::spawn(driver);
    tokio::spawn(async move {
        let mut seen = (activity.load(Ordering::Relaxed), Instant::now());
        loop {
            match tokio::time::timeout(patience.probe, &mut driver).await {
                Ok(Ok(Ok(()))) => return,
                // The calls that wait on the client fail as well, and their callers report the error.
                Ok(_) => return tracing::debug!(server, "a connection broke"),
                Err(_) => {}
            }
            let active = || activity.load(Ordering::Relaxed);
            if active() != seen.0 {
                seen = (active(), Instant::now());
                continue;
            }
            let answers = tokio::time::timeout(patience.answer, probe()).await.unwrap_or(false);
            let silent_for = seen.1.elapsed();
            if active() == seen.0 && (!answers || silent_for > patience.limit) {
                let seconds = silent_for.as_secs();
                tracing::warn!(server, seconds, "the server does not answer; the connection is given up");
                return driver.abort();
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::{ConnectError, Connector, Target, TlsMode, read_url};

    /// `AuthenticationOk` and `ReadyForQuery`.
    const WELCOME: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";

    /// Says welcome while `answers`, and then nothing more.
    async fn serve(mut stream: TcpStream, answers: bool) {
        let mut read = [0; 1024];
        let _ = stream.read(&mut read).await;
        if answers {
            stream.write_all(WELCOME).await.unwrap();
        }
        // Reads until the other end closes.
        while stream.read(&mut read).await.is_ok_and(|read| read > 0) {}
    }

    /// A server that takes every statement without an answer, and says welcome while the flag is set; how to connect
    /// to it.
    async fn server() -> (Arc<AtomicBool>, Connector) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers = Arc::new(AtomicBool::new(true));
        let flag = Arc::clone(&answers);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, flag.load(Ordering::Relaxed)));
            }
        });
        let (config, _) = read_url(&format!("postgres://ada@127.0.0.1:{port}/work?connect_timeout=1")).unwrap();
        let connector = Connector::new(Target::new(config, Some(TlsMode::Disable), "test"), None).unwrap();
        (answers, connector)
    }

    const SHORT: Patience = Patience {
        probe: Duration::from_millis(300),
        answer: Duration::from_millis(300),
        limit: Duration::from_secs(600),
    };

    #[tokio::test]
    async fn a_connection_is_given_up_when_the_server_answers_no_probe_and_not_before() {
        let (answers, connector) = server().await;
        let client = connector.with_patience(SHORT).connect().await.unwrap();
        let statement = client.batch_execute("select pg_sleep(3600)");
        let mut statement = std::pin::pin!(statement);
        let waited = tokio::time::timeout(Duration::from_secs(3), &mut statement).await;
        assert!(waited.is_err(), "a server that answers probes is waited for");
        answers.store(false, Ordering::Relaxed);
        let given_up = tokio::time::timeout(Duration::from_secs(30), statement).await.unwrap();
        assert!(given_up.unwrap_err().is_closed());
    }

    #[tokio::test]
    async fn a_connection_that_is_silent_for_too_long_is_given_up_although_the_server_answers() {
        let (_answers, connector) = server().await;
        let patience = Patience { limit: Duration::from_millis(500), ..SHORT };
        let client = connector.with_patience(patience).connect().await.unwrap();
        let statement = client.batch_execute("select pg_sleep(3600)");
        let given_up = tokio::time::timeout(Duration::from_secs(30), statement).await.unwrap();
        assert!(given_up.unwrap_err().is_closed());
    }

    #[tokio::test]
    async fn connecting_to_a_silent_server_ends() {
        let (answers, connector) = server().await;
        answers.store(false, Ordering::Relaxed);
        let connecting = connector.with_patience(SHORT);
        let ended = tokio::time::timeout(Duration::from_secs(30), connecting.connect()).await.unwrap();
        assert!(matches!(ended, Err(ConnectError::Silent)));
    }
}
