//! The members that a whole record of a full export always has.

/// Members that are looked for in an object, at most 32, by their dotted paths; the last part is the name.
#[derive(Debug)]
pub(crate) struct Expected {
    paths: &'static [&'static str],
    /// The lengths of their names in bytes, one bit for each length; lengths of 31 and more share a bit.
    by_length: [u32; 32],
}

/// Which of them an object has, a bit each.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Present(u32);

impl Expected {
    pub(crate) const NONE: Self = Self::new(&[]);

    /// Looks for the members at these paths.
    #[allow(clippy::indexing_slicing, reason = "evaluated at compile time")]
    pub(crate) const fn new(paths: &'static [&'static str]) -> Self {
        assert!(paths.len() <= 32, "a bit each");
        let mut by_length = [0; 32];
        let mut place = 0;
        while place < paths.len() {
            let path = paths[place].as_bytes();
            let mut length = 0;
            while length < path.len() && path[path.len() - 1 - length] != b'.' {
                length += 1;
            }
            by_length[if length < 31 { length } else { 31 }] |= 1 << place;
            place += 1;
        }
        Self { paths, by_length }
    }
}

impl Present {
    /// Notes a member that the object has.
    #[inline]
    pub(crate) fn note(&mut self, expected: &Expected, name: &str) {
        let mut candidates = expected.by_length.get(name.len().min(31)).copied().unwrap_or(0) & !self.0;
        while candidates != 0 {
            let place = candidates.trailing_zeros();
            candidates &= candidates - 1;
            let path = usize::try_from(place).ok().and_then(|place| expected.paths.get(place));
            let before = path.and_then(|path| path.strip_suffix(name));
            if before.is_some_and(|before| before.is_empty() || before.ends_with('.')) {
                self.0 |= 1 << place;
                return;
            }
        }
    }

    /// The paths of those that the object has not.
    pub(crate) fn lacking(self, expected: &'static Expected) -> impl Iterator<Item = &'static str> {
        expected.paths.iter().enumerate().filter(move |(place, _)| self.0 >> place & 1 == 0).map(|(_, path)| *path)
    }
}
