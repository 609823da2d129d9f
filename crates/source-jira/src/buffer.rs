use endpoint_api::{Error, Room, SMALL_RECORD_BYTES};

use crate::stop::Stop;

/// Of a record above the limit so many bytes are kept.
const HEAD_BYTES: usize = 64 * 1024;

/// What the buffer keeps for the next record after a large one.
const KEPT_BYTES: usize = 1024 * 1024;

/// The bytes of one record, as they come in: all of them up to the limit, and of a record above it
/// the beginning, the length and the hash.
#[derive(Debug)]
pub(crate) struct RecordBuffer {
    bytes: Vec<u8>,
    limit: usize,
    rest: Option<Box<blake3::Hasher>>,
    /// Whether a large record waits for room, and when it stops waiting.
    waits: Option<Stop>,
    /// The room of a large record.
    room: Option<Room>,
    /// Why there is no room: the record is not held then.
    failure: Option<Error>,
}

/// A piece of a file that should be a record.
#[derive(Debug)]
pub(crate) struct Piece<'a> {
    /// Its line, or in a file without lines its place among the others, from 1.
    pub(crate) line: u64,
    pub(crate) content: Content<'a>,
}

/// What was kept of a piece.
#[derive(Debug)]
pub(crate) enum Content<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// It is above the limit.
    Oversized {
        /// Its first 64 KiB.
        head: &'a [u8],
        /// How many bytes it has.
        length: u64,
        /// BLAKE3 of all of them.
        hash: blake3::Hash,
    },
}

impl Piece<'_> {
    /// Whether it may be an object, as every record is.
    pub(crate) fn begins_an_object(&self) -> bool {
        let (Content::Whole(text) | Content::Oversized { head: text, .. }) = &self.content;
        text.trim_ascii_start().first() == Some(&b'{')
    }
}

impl RecordBuffer {
    /// A buffer for records of at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit, rest: None, waits: None, room: None, failure: None }
    }

    /// From now on large records wait for room.
    pub(crate) fn wait_for_room(&mut self, stop: &Stop) {
        self.waits = Some(stop.clone());
    }

    /// Why the record could not be held, if it could not.
    pub(crate) fn take_failure(&mut self) -> Option<Error> {
        self.failure.take()
    }

    /// Gives a large record up, which is somewhere else now, and hands over its room.
    pub(crate) fn release(&mut self) -> Option<Room> {
        let mut room = self.room.take()?;
        room.shrink(self.bytes.len());
        self.bytes = Vec::new();
        Some(room)
    }

    /// Makes room for the next record.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.rest = None;
        self.room = None;
    }

    /// Adds bytes to the record.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        match &mut self.rest {
            Some(hasher) => {
                hasher.update(piece);
                let room = HEAD_BYTES.saturating_sub(self.bytes.len());
                self.append(piece.get(..room).unwrap_or(piece));
            }
            None if self.limit - self.bytes.len() >= piece.len() => self.append(piece),
            None => {
                let mut hasher = Box::new(blake3::Hasher::new());
                hasher.update(&self.bytes);
                self.bytes.truncate(HEAD_BYTES);
                self.bytes.shrink_to(HEAD_BYTES);
                self.room = None;
                self.rest = Some(hasher);
                self.push(piece);
            }
        }
    }

    /// Appends bytes, and never takes more memory than the largest record needs.
    fn append(&mut self, piece: &[u8]) {
        let needed = self.bytes.len() + piece.len();
        if needed > SMALL_RECORD_BYTES && !self.has_room() {
            return;
        }
        if needed > self.bytes.capacity() {
            let doubled = self.bytes.capacity().saturating_mul(2);
            let capacity = doubled.min(self.limit.max(HEAD_BYTES)).max(needed);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
    }

    /// Whether there is room for a large record, for which it waits if need be.
    fn has_room(&mut self) -> bool {
        if let (Some(stop), None, None) = (&self.waits, &self.room, &self.failure) {
            match Room::wait(self.limit, || stop.is_set()) {
                Ok(room) => self.room = Some(room),
                Err(error) => self.failure = Some(error),
            }
        }
        self.failure.is_none()
    }

    /// What has come in since the buffer was cleared.
    pub(crate) fn content(&self) -> Content<'_> {
        match &self.rest {
            None => Content::Whole(&self.bytes),
            Some(hasher) => Content::Oversized { head: &self.bytes, length: hasher.count(), hash: hasher.finalize() },
        }
    }

    /// All the bytes, unless they are above the limit.
    pub(crate) fn whole(&self) -> Option<&[u8]> {
        self.rest.is_none().then_some(&self.bytes)
    }

    /// The text of a JSON string that needs no escapes, unless it is above the limit.
    pub(crate) fn text(&self) -> Option<&str> {
        let quoted = self.whole()?.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        std::str::from_utf8(quoted).ok()
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(limit: usize, record: &[u8], piece: usize) -> RecordBuffer {
        let mut buffer = RecordBuffer::new(limit);
        for piece in record.chunks(piece) {
            buffer.push(piece);
            assert!(buffer.capacity() <= limit.max(HEAD_BYTES), "{} bytes", buffer.capacity());
        }
        buffer
    }

    #[test]
    fn a_record_at_the_limit_is_whole_and_one_above_it_is_not() {
        let record: Vec<u8> = (0..3000_u32).map(|number| number.to_le_bytes()[0]).collect();
        for piece in [1, 7, 1024, 5000] {
            let buffer = fill(3000, &record, piece);
            assert!(matches!(buffer.content(), Content::Whole(bytes) if bytes == record));
            let buffer = fill(2999, &record, piece);
            let Content::Oversized { head, length, hash } = buffer.content() else { panic!("not oversized") };
            assert_eq!((head, length, hash), (record.as_slice(), 3000, blake3::hash(&record)));
        }
    }

    #[test]
    fn of_a_record_above_the_limit_only_the_beginning_is_kept() {
        let record: Vec<u8> = (0..300_000_u32).map(|number| (number % 251).to_le_bytes()[0]).collect();
        for (limit, piece) in [(1024, 1000), (1024, 70_000), (250_000, 1000), (250_000, 300_000)] {
            let buffer = fill(limit, &record, piece);
            let Content::Oversized { head, length, hash } = buffer.content() else { panic!("not oversized") };
            assert_eq!((head, length, hash), (&record[..HEAD_BYTES], 300_000, blake3::hash(&record)));
            assert!(buffer.capacity() <= 2 * HEAD_BYTES, "{} bytes", buffer.capacity());
        }
    }

    #[test]
    fn a_large_record_waits_for_room_and_takes_it_along() {
        let large = vec![b' '; 2 * SMALL_RECORD_BYTES];
        let mut buffer = RecordBuffer::new(4 * SMALL_RECORD_BYTES);
        buffer.wait_for_room(&Stop::default());
        buffer.push(b"{}");
        assert!(buffer.release().is_none(), "a small one needs none");
        buffer.clear();
        large.chunks(10_000).for_each(|piece| buffer.push(piece));
        assert!(matches!(buffer.content(), Content::Whole(bytes) if bytes.len() == large.len()));
        let room = buffer.release().unwrap();
        assert_eq!(buffer.capacity(), 0);

        let stop = Stop::default();
        drop(stop.on_drop());
        let everything = Room::wait(usize::MAX, || true);
        assert!(everything.is_err(), "the record still has its room");
        drop(room);
        let _everything = Room::wait(usize::MAX, || false).unwrap();
        buffer.wait_for_room(&stop);
        buffer.push(&large);
        assert!(buffer.take_failure().is_some());
    }

    #[test]
    fn after_a_large_record_its_memory_is_given_back() {
        let mut buffer = fill(8 * KEPT_BYTES, &vec![b' '; 4 * KEPT_BYTES], 4096);
        assert!(buffer.capacity() >= 4 * KEPT_BYTES);
        buffer.clear();
        assert!(buffer.capacity() <= KEPT_BYTES);
        buffer.push(b"{}");
        assert!(matches!(buffer.content(), Content::Whole(b"{}")));
    }
}
