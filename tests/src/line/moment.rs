use super::message::Message;

/// A moment in what clients say: when a message of a kind that contains a text comes for the nth time.
#[derive(Debug, Clone)]
pub struct Moment {
    kind: u8,
    text: &'static str,
    exactly: bool,
    /// How often it comes before.
    before: usize,
}

impl Moment {
    /// When a client sends `COMMIT` for the nth time, counted from 1 and over all clients.
    pub fn commit(nth: usize) -> Self {
        Self { kind: b'Q', text: "commit\0", exactly: true, before: nth - 1 }
    }

    /// When a client sends `BEGIN` for the nth time, counted from 1 and over all clients.
    pub fn begin(nth: usize) -> Self {
        Self { kind: b'Q', text: "begin\0", exactly: true, before: nth - 1 }
    }

    /// When a client sends a statement with parameters that contains this.
    pub fn statement(text: &'static str) -> Self {
        Self { kind: b'P', text, exactly: false, before: 0 }
    }

    /// When a client sends the first piece of a copy.
    pub fn copy() -> Self {
        Self { kind: b'd', text: "", exactly: false, before: 0 }
    }

    /// Whether this message is the one; counts it otherwise, if it is like it.
    pub(super) fn is_now(&mut self, message: &Message) -> bool {
        if message.kind != self.kind {
            return false;
        }
        let body = &message.bytes[5..];
        let is_like = match self.exactly {
            true => body == self.text.as_bytes(),
            false => self.text.is_empty() || body.windows(self.text.len()).any(|part| part == self.text.as_bytes()),
        };
        if is_like && self.before > 0 {
            self.before -= 1;
            return false;
        }
        is_like
    }
}
