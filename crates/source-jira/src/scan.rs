/// How far into a value the reading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scan {
    /// A number or a word, or what stands in the place of one.
    Scalar,
    /// So many open brackets, and within a string whether its next character is escaped.
    Nested { depth: u64, string: Option<bool> },
}

impl Scan {
    /// Goes through `chunk`: how much of it is of the value, and whether that ends there. What is of
    /// the value is given to `keep`, with a space for each line break between tokens.
    pub(crate) fn advance(&mut self, chunk: &[u8], mut keep: impl FnMut(&[u8])) -> (usize, bool) {
        match self {
            Self::Scalar => {
                let end = chunk.iter().position(|byte| {
                    matches!(byte, b',' | b':' | b'"' | b'[' | b']' | b'{' | b'}' | b' ' | b'\t' | b'\n' | b'\r')
                });
                let used = end.unwrap_or(chunk.len());
                keep(chunk.get(..used).unwrap_or_default());
                (used, end.is_some())
            }
            Self::Nested { depth, string } => {
                let mut kept = 0;
                let mut at = 0;
                while let Some(&byte) = chunk.get(at) {
                    let next = at + 1;
                    match (&*string, byte) {
                        (Some(true), _) => *string = Some(false),
                        (Some(false), b'\\') => *string = Some(true),
                        (Some(false), b'"') => *string = None,
                        (Some(false), _) => {
                            let rest = chunk.get(next..).unwrap_or_default();
                            at = memchr::memchr2(b'"', b'\\', rest).map_or(chunk.len(), |found| next + found);
                            continue;
                        }
                        (None, b'"') => *string = Some(false),
                        (None, b'[' | b'{') => *depth += 1,
                        (None, b']' | b'}') => *depth = depth.saturating_sub(1),
                        (None, b'\n' | b'\r') => {
                            keep(chunk.get(kept..at).unwrap_or_default());
                            keep(b" ");
                            kept = next;
                        }
                        (None, _) => {}
                    }
                    at = next;
                    if *depth == 0 && string.is_none() {
                        keep(chunk.get(kept..at).unwrap_or_default());
                        return (at, true);
                    }
                }
                keep(chunk.get(kept..).unwrap_or_default());
                (chunk.len(), false)
            }
        }
    }
}
