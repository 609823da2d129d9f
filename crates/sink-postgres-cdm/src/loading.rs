use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use endpoint_api::{Ingestion, Result, RunId};
use postgres_client::Connector;
use relational::{
    Seen, Turns,
    state::{Retention, signed},
};

use crate::{
    endpoint::PgCdm,
    merge::Statements,
    run::label,
    session::Session,
    state::{SupportTables, Target},
};

/// What the loads of one run, or of one replay, have in common.
pub(crate) struct Loading<'e> {
    pub(crate) connector: &'e Connector,
    pub(crate) retention: Retention,
    /// Sessions between two loads.
    idle: Mutex<Vec<Session>>,
    pub(crate) tables: SupportTables,
    pub(crate) target: Target,
    pub(crate) statements: Statements,
    pub(crate) ingestion: Ingestion,
    pub(crate) key: String,
    run_id: RunId,
    fence: u64,
    /// What its sessions call themselves while they load.
    pub(crate) label: String,
    pub(crate) seen: Arc<Seen>,
    /// Whether rows that are not there yet may go straight into the table.
    straight: AtomicBool,
    /// Whether nothing but its constraints has a say in what becomes of rows of the table.
    plain: AtomicBool,
    /// Whether the last keys that were looked up were all missing.
    finds_nothing: AtomicBool,
    pub(crate) turns: Turns,
}

impl<'e> Loading<'e> {
    pub(crate) fn new(
        endpoint: &'e PgCdm,
        target: Target,
        ingestion: Ingestion,
        key: String,
        run_id: RunId,
        fence: u64,
    ) -> Self {
        Self {
            connector: endpoint.connector(),
            retention: endpoint.retention(),
            key,
            idle: Mutex::default(),
            tables: SupportTables::of(endpoint.schema()),
            statements: Statements::of(&target),
            straight: AtomicBool::new(target.is_plain),
            plain: AtomicBool::new(target.is_plain),
            target,
            ingestion,
            seen: Arc::new(Seen::new(run_id.as_str())),
            run_id,
            fence,
            label: label(endpoint.schema(), fence),
            finds_nothing: AtomicBool::new(false),
            turns: Turns::default(),
        }
    }

    /// A session for a load.
    pub(crate) async fn session(&self) -> Result<Session> {
        let idle = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.retain(|session| !session.is_closed());
            idle.pop()
        };
        match idle {
            Some(session) => Ok(session),
            None => Session::open(self.connector).await,
        }
    }

    /// Keeps a session, which is in no transaction, for the next load.
    pub(crate) fn keep_idle(&self, session: Session) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }

    /// Whether rows that are not there yet may go straight into the table.
    pub(crate) fn goes_straight(&self) -> bool {
        self.straight.load(Ordering::Relaxed)
    }

    /// Whether the next rows are likely to be new ones, which may go straight into the table.
    pub(crate) fn expects_new_rows(&self) -> bool {
        self.goes_straight() && self.finds_nothing.load(Ordering::Relaxed)
    }

    /// So many of the keys of a batch are there already.
    pub(crate) fn found(&self, rows: usize) {
        self.finds_nothing.store(rows == 0, Ordering::Relaxed);
    }

    /// Another load inserts the same keys. From now on rows are staged and merged in the order of their
    /// keys, so that the two do not wait for each other.
    pub(crate) fn meets_others(&self) {
        self.straight.store(false, Ordering::Relaxed);
    }

    /// A trigger of the table has dropped rows.
    pub(crate) fn meets_triggers(&self) {
        self.straight.store(false, Ordering::Relaxed);
        self.plain.store(false, Ordering::Relaxed);
    }

    /// Whether what is written into the table without an error is stored there.
    pub(crate) fn keeps_every_row(&self) -> bool {
        self.plain.load(Ordering::Relaxed)
    }

    pub(crate) fn fence(&self) -> i64 {
        signed(self.fence)
    }

    pub(crate) fn run_id(&self) -> &str {
        self.run_id.as_str()
    }
}
