use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};
use tokio_postgres::types::Type;
use tracing::Instrument as _;

use crate::{loading::Loading, session::Session};

/// Three signs fit into the time after which a run is taken for dead.
const PAUSE: Duration = Duration::from_secs(3);

/// Shows others that a run is alive, behind a pooler where no backend is the run's own, until it is dropped.
pub(crate) struct Heartbeat(JoinHandle<()>);

impl Heartbeat {
    pub(crate) fn start(session: &Arc<Session>, loading: &Loading<'_>) -> Self {
        let statement = format!(
            "update {} set beat_at = clock_timestamp() where ingestion = $1 and fence = $2",
            loading.tables.ingestion
        );
        let (session, key, fence) = (Arc::clone(session), loading.key.clone(), loading.fence());
        let beating = async move {
            let mut beats = interval(PAUSE);
            beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                beats.tick().await;
                let mine = [(&key as _, Type::TEXT), (&fence as _, Type::INT8)];
                if let Err(error) = session.execute("give a sign of life", &statement, &mine).await {
                    tracing::warn!(%error, "the run gives no sign of life; another one may take it for dead");
                    if session.is_closed() {
                        return;
                    }
                }
            }
        };
        Self(tokio::spawn(beating.in_current_span()))
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.0.abort();
    }
}
