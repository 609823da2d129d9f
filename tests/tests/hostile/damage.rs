//! Bytes that were something before.

use fastrand::Rng;

/// What is left of a file after an accident, or after somebody has edited it who does not mean well.
pub(crate) fn damaged(bytes: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    for _ in 0..rng.usize(1..4) {
        let length = damaged.len().max(1);
        let at = rng.usize(..length).min(damaged.len());
        match rng.u8(..8) {
            0 => damaged.truncate(at),
            1 => damaged.insert(at, rng.u8(..)),
            2 if !damaged.is_empty() => damaged[at.min(length - 1)] ^= 1 << rng.u8(..8),
            3 => damaged.splice(at..at, digits(rng)).for_each(drop),
            4 => damaged.splice(at..at, b"\0\xFF\x1b[2J\xE2\x80\xAE".iter().copied()).for_each(drop),
            5 => damaged.splice(at..at, vec![b"[{\"("[rng.usize(..4)]; rng.usize(1..4096)]).for_each(drop),
            // A piece that comes twice, as members and lines then do.
            6 => {
                let end = (at + rng.usize(1..200)).min(damaged.len());
                let piece = damaged[at..end].to_vec();
                damaged.splice(at..at, piece).for_each(drop);
            }
            _ => {
                let end = (at + rng.usize(1..50)).min(damaged.len());
                damaged.drain(at..end);
            }
        }
    }
    damaged
}

fn digits(rng: &mut Rng) -> Vec<u8> {
    (0..rng.usize(1..400)).map(|_| rng.digit(10) as u8).collect()
}
