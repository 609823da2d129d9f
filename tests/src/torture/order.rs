/// In which order slices are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// One after the other, as the reference was.
    InTurn,
    /// Four at once: which of two records of a key is the first depends on which of two slices is, and with it
    /// whether a record is inserted, updated or stale.
    AtOnce,
    /// Four at once in each of two commands that load different models.
    Crowd,
}

impl Order {
    /// The value of `--parallel`.
    pub(super) fn parallel(self) -> &'static str {
        match self {
            Self::InTurn => "1",
            Self::AtOnce | Self::Crowd => "4",
        }
    }

    /// The ingestions of each command.
    pub(super) fn crews(self, ingestions: &[&'static str]) -> Vec<Vec<&'static str>> {
        match self {
            Self::InTurn | Self::AtOnce => vec![ingestions.to_vec()],
            Self::Crowd => {
                let (even, odd) = ingestions.iter().enumerate().partition::<Vec<_>, _>(|(place, _)| place % 2 == 0);
                [even, odd].map(|crew| crew.into_iter().map(|(_, name)| *name).collect()).into()
            }
        }
    }
}
