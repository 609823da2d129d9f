use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use crate::Sandbox;

/// A session that holds a lock in the sink, so that what needs the same waits.
pub struct Barrier {
    release: mpsc::Sender<()>,
    holder: thread::JoinHandle<()>,
}

impl Barrier {
    /// Locks a table of the schema `cdm_work`.
    pub fn before(sandbox: &Sandbox, table: &str) -> Self {
        Self::holding(sandbox, &format!("lock table cdm_work.{table} in access exclusive mode"))
    }

    /// Holds what a statement locks.
    pub fn holding(sandbox: &Sandbox, statement: &str) -> Self {
        let (config, statement) = (sandbox.database().config(), format!("begin; {statement}"));
        let (release, released) = mpsc::channel::<()>();
        let (locked, is_locked) = mpsc::channel();
        let holder = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async {
                let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
                let connection = tokio::spawn(connection);
                client.batch_execute(&statement).await.unwrap();
                locked.send(()).unwrap();
                tokio::task::block_in_place(|| released.recv().ok());
                client.batch_execute("commit").await.unwrap();
                drop(client);
                connection.await.unwrap().unwrap();
            });
        });
        is_locked.recv().unwrap();
        Self { release, holder }
    }

    /// Gives the lock back.
    pub fn lift(self) {
        self.release.send(()).unwrap();
        self.holder.join().unwrap();
    }
}

/// Waits until the condition holds.
///
/// # Panics
///
/// When it does not within half a minute.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

impl Sandbox {
    /// How many sessions of the database wait for a lock.
    pub fn waiting(&self) -> usize {
        let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = ";
        self.value(&format!("{waiting}'{}'", self.database().name())).parse().unwrap()
    }
}
