use std::io::{self, Read};

/// Messages of a client's beginning have no kind, only a length and a code: these two ask for encryption, and
/// another beginning follows.
const ENCRYPTION_REQUESTS: [u32; 2] = [80_877_103, 80_877_104];

/// What a client sends to the server, message by message.
pub(super) struct Messages<R> {
    from: R,
    has_begun: bool,
}

/// A message of PostgreSQL's protocol, unencrypted.
pub(super) struct Message {
    /// `Q` a simple query, `P` a statement to be prepared, `d` a piece of a copy; 0 a beginning.
    pub(super) kind: u8,
    /// All of it, as it goes over the line.
    pub(super) bytes: Vec<u8>,
}

impl<R: Read> Messages<R> {
    pub(super) fn of(from: R) -> Self {
        Self { from, has_begun: false }
    }

    /// The next message; fails when the line ends.
    pub(super) fn next(&mut self) -> io::Result<Message> {
        let mut head = vec![0; if self.has_begun { 5 } else { 4 }];
        self.from.read_exact(&mut head)?;
        let kind = if self.has_begun { head[0] } else { 0 };
        let length = u32::from_be_bytes(head[head.len() - 4..].try_into().unwrap());
        let mut body = vec![0; usize::try_from(length).unwrap().saturating_sub(4)];
        self.from.read_exact(&mut body)?;
        if !self.has_begun {
            self.has_begun = !is_encryption_request(&body);
        }
        head.append(&mut body);
        Ok(Message { kind, bytes: head })
    }
}

impl Message {
    /// Whether it asks the server to go on encrypted, before anything else.
    pub(super) fn asks_for_encryption(&self) -> bool {
        self.kind == 0 && is_encryption_request(&self.bytes[4..])
    }
}

fn is_encryption_request(body: &[u8]) -> bool {
    body.first_chunk().is_some_and(|code| ENCRYPTION_REQUESTS.contains(&u32::from_be_bytes(*code)))
}
