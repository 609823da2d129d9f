use endpoint_api::{Error, ErrorKind, Message, Outbox, Result, Waiting, async_trait};

use super::{Fault, Memory};

#[async_trait]
impl Outbox for Memory {
    async fn put(&self, messages: &[Message]) -> Result<()> {
        self.lock().tell(messages, self.fault);
        Ok(())
    }

    async fn waiting(&self, limit: usize) -> Result<Vec<Waiting>> {
        let state = self.lock();
        if self.has(Fault::NeedsATableForTheOutbox) && state.tables.is_empty() {
            return Err(Error::new(ErrorKind::NotProvisioned, "ask what waits", "there is no outbox"));
        }
        let waiting = state.messages.iter().filter(|(_, (_, delivered))| !delivered);
        let mut waiting: Vec<Waiting> = waiting
            .map(|(number, (message, _))| Waiting::new(&message.queue, *number, &message.id, &message.payload))
            .collect();
        if self.has(Fault::TellsTheNewestFirst) {
            waiting.reverse();
        }
        waiting.truncate(limit);
        Ok(waiting)
    }

    async fn delivered(&self, messages: &[Waiting]) -> Result<()> {
        let mut state = self.lock();
        for message in messages.iter().filter(|_| !self.has(Fault::DeliversAgain)) {
            if let Some((known, delivered)) = state.messages.get_mut(&message.number) {
                *delivered |= known.id == message.id;
            }
        }
        Ok(())
    }
}
