use std::env;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table as Grid, Width as Cells, presets};
use unicode_width::UnicodeWidthStr as _;

use crate::printable::on_one_line;

/// The blanks between two columns.
const GAP: usize = 2;
/// A column that may be wrapped is not made narrower than this before another one is left out.
const NARROWEST: usize = 20;
/// The width of a column is never below this, however narrow the terminal is.
const LEAST: usize = 4;

/// How wide tables may be, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Width(Option<usize>);

impl Width {
    /// Every column in its full width.
    pub(crate) const UNLIMITED: Self = Self(None);

    /// The width for standard output: `COLUMNS` where it is set, else that of the terminal. Tables that go into a
    /// file or a pipe, or for which `--wide` asks, are not limited.
    pub(crate) fn of_stdout(wide: bool) -> Self {
        if wide {
            return Self::UNLIMITED;
        }
        let columns = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        // The library asks the terminal, and says nothing where there is none.
        Self(columns.or_else(|| Grid::new().width().map(usize::from)).filter(|width| *width > 0))
    }

    /// Breaks the lines of `text` at blanks where they are too long; what follows is indented. A word that is longer
    /// than a line stays whole, and so does what stands between backticks, such as a command.
    pub(crate) fn wrap(self, text: &str) -> String {
        let Some(limit) = self.0 else { return text.to_owned() };
        let mut wrapped = String::with_capacity(text.len());
        for line in text.lines() {
            let mut taken = 0;
            for (index, word) in words(line).into_iter().enumerate() {
                if index > 0 && taken + 1 + word.width() > limit {
                    wrapped.push_str("\n  ");
                    taken = 2;
                } else if index > 0 {
                    wrapped.push(' ');
                    taken += 1;
                }
                wrapped.push_str(word);
                taken += word.width();
            }
            wrapped.push('\n');
        }
        wrapped
    }

    /// A command that runs as it is printed: where it is too long for a line, it goes on after a backslash on the next.
    pub(crate) fn continued(self, command: &str) -> String {
        let Some(limit) = self.0 else { return command.to_owned() };
        let limit = limit.saturating_sub(" \\".len());
        let mut lines = vec![String::new()];
        for word in command.split(' ') {
            match lines.last_mut() {
                Some(line) if line.is_empty() => line.push_str(word),
                Some(line) if line.width() + 1 + word.width() <= limit => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => lines.push(format!("    {word}")),
            }
        }
        lines.join(" \\\n")
    }

    /// Whether there is a width to fit into.
    pub(crate) fn is_limited(self) -> bool {
        self.0.is_some()
    }

    #[cfg(test)]
    pub(crate) fn of(columns: usize) -> Self {
        Self(Some(columns))
    }
}

/// The words of a line: what stands between blanks, or with its blanks between backticks.
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut start, mut is_quoted) = (0, false);
    for (place, character) in line.char_indices() {
        match character {
            '`' => is_quoted = !is_quoted,
            ' ' if !is_quoted => {
                words.extend(line.get(start..place));
                start = place + 1;
            }
            _ => {}
        }
    }
    words.extend(line.get(start..));
    words
}

/// A table for people. Where it is wider than the terminal, columns are wrapped and, if that is not enough, left out.
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    has_heads: bool,
    /// The columns that may be left out, the first one first.
    optional: Vec<usize>,
}

struct Column {
    head: String,
    is_number: bool,
    is_wrapped: bool,
}

impl Table {
    /// A table with these column heads.
    pub(crate) fn new(heads: &[&str]) -> Self {
        let column = |head: &&str| Column { head: (*head).to_owned(), is_number: false, is_wrapped: false };
        Self { columns: heads.iter().map(column).collect(), rows: Vec::new(), has_heads: true, optional: Vec::new() }
    }

    /// Names with their values, one a line and without heads.
    pub(crate) fn of_pairs() -> Self {
        Self { has_heads: false, ..Self::new(&["", "VALUE"]).wrapped(&["VALUE"]) }
    }

    /// Aligns the columns of numbers, which begin at `first`, to the right.
    #[must_use]
    pub(crate) fn numbers_from(mut self, first: usize) -> Self {
        self.columns.iter_mut().skip(first).for_each(|column| column.is_number = true);
        self
    }

    /// Aligns the column of that head to the right.
    #[must_use]
    pub(crate) fn number(mut self, head: &str) -> Self {
        let column = self.columns.iter_mut().find(|column| column.head == head);
        column.into_iter().for_each(|column| column.is_number = true);
        self
    }

    /// Names the columns of text that may be wrapped where the terminal is too narrow.
    #[must_use]
    pub(crate) fn wrapped(mut self, heads: &[&str]) -> Self {
        let wrapped = self.columns.iter_mut().filter(|column| heads.contains(&column.head.as_str()));
        wrapped.for_each(|column| column.is_wrapped = true);
        self
    }

    /// Names the columns that may be left out where wrapping is not enough, the least important one first.
    #[must_use]
    pub(crate) fn optional(mut self, heads: &[&str]) -> Self {
        let place = |head: &&str| self.columns.iter().position(|column| column.head == *head);
        self.optional = heads.iter().filter_map(place).collect();
        self
    }

    /// Adds a line. No cell has more than one.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| on_one_line(&cell).into_owned()).collect());
    }

    /// Whether the column of that head is shown where there is this much room.
    pub(crate) fn shows(&self, head: &str, width: Width) -> bool {
        self.layout(width).shown.iter().any(|index| self.columns.get(*index).is_some_and(|column| column.head == head))
    }

    /// The table as text, ending with a line break. A last line names the columns that were left out.
    pub(crate) fn render(self, width: Width) -> String {
        let layout = self.layout(width);
        let mut grid = Grid::new();
        grid.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        // As wide as all columns need: the library must not arrange anything by itself.
        grid.set_width(u16::MAX);
        if layout.widths.iter().any(Option::is_some) {
            grid.set_content_arrangement(ContentArrangement::Dynamic);
        }
        let shown = |cells: &[String]| -> Vec<String> {
            layout.shown.iter().map(|index| cells.get(*index).cloned().unwrap_or_default()).collect()
        };
        if self.has_heads {
            let heads: Vec<String> = self.columns.iter().map(|column| column.head.clone()).collect();
            grid.set_header(shown(&heads));
        }
        for row in &self.rows {
            grid.add_row(shown(row));
        }
        for ((column, index), width) in grid.column_iter_mut().zip(&layout.shown).zip(&layout.widths) {
            column.set_padding((0, u16::try_from(GAP).unwrap_or_default()));
            if self.columns.get(*index).is_some_and(|column| column.is_number) {
                column.set_cell_alignment(CellAlignment::Right);
            }
            if let Some(width) = width {
                let width = u16::try_from(width + GAP).unwrap_or(u16::MAX);
                column.set_constraint(ColumnConstraint::Absolute(Cells::Fixed(width)));
            }
        }
        let mut text: String = grid.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        let left_out: Vec<&str> = self
            .columns
            .iter()
            .enumerate()
            .filter_map(|(index, column)| (!layout.shown.contains(&index)).then_some(column.head.as_str()))
            .collect();
        if !left_out.is_empty() {
            let columns = if left_out.len() == 1 { "column" } else { "columns" };
            text.push_str(&width.wrap(&format!("{columns} left out: {}; --wide shows all\n", left_out.join(", "))));
        }
        text
    }

    fn natural_width(&self, index: usize) -> usize {
        let head = self.columns.get(index).filter(|_| self.has_heads).map_or(0, |column| column.head.width());
        let cells = self.rows.iter().filter_map(|row| row.get(index));
        let widest = cells.flat_map(|cell| cell.lines()).map(|line| line.width()).max().unwrap_or_default();
        head.max(widest)
    }

    /// Whether each cell of a column is empty or zero.
    fn is_blank(&self, index: usize) -> bool {
        self.rows.iter().filter_map(|row| row.get(index)).all(|cell| cell.is_empty() || cell == "0")
    }

    /// Which columns are shown, and how wide those are that are wrapped. Of the columns that may be left out those go
    /// first that are blank.
    fn layout(&self, width: Width) -> Layout {
        let natural: Vec<usize> = (0..self.columns.len()).map(|index| self.natural_width(index)).collect();
        let natural = natural.as_slice();
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let Some(limit) = width.0 else { return Layout::natural(shown) };
        let (blank, other): (Vec<usize>, Vec<usize>) = self.optional.iter().partition(|index| self.is_blank(**index));
        let optional: Vec<usize> = blank.into_iter().chain(other).collect();
        let mut optional = optional.iter();
        loop {
            let (wrapped, fixed): (Vec<usize>, Vec<usize>) =
                shown.iter().partition(|index| self.columns.get(**index).is_some_and(|column| column.is_wrapped));
            let of = |index: &usize| natural.get(*index).copied().unwrap_or_default();
            let gaps = shown.len().saturating_sub(1) * GAP;
            let taken: usize = fixed.iter().map(of).sum::<usize>() + gaps;
            if taken + wrapped.iter().map(of).sum::<usize>() <= limit {
                return Layout::natural(shown);
            }
            let least: usize = wrapped.iter().map(|index| of(index).min(NARROWEST)).sum();
            if taken + least <= limit {
                return Layout::wrapped(shown, &wrapped, natural, limit - taken);
            }
            let Some(next) = optional.next() else {
                // All columns share what there is.
                let all = shown.clone();
                return Layout::wrapped(shown, &all, natural, limit.saturating_sub(gaps));
            };
            shown.retain(|index| index != next);
        }
    }
}

struct Layout {
    shown: Vec<usize>,
    /// The width of each column that is shown; `None` for its natural one.
    widths: Vec<Option<usize>>,
}

impl Layout {
    fn natural(shown: Vec<usize>) -> Self {
        Self { widths: vec![None; shown.len()], shown }
    }

    /// Divides `room` among the columns `wrapped`: narrow ones get what they need, the others the same each.
    fn wrapped(shown: Vec<usize>, wrapped: &[usize], natural: &[usize], mut room: usize) -> Self {
        let of = |index: usize| natural.get(index).copied().unwrap_or_default();
        let mut narrow_first = wrapped.to_vec();
        narrow_first.sort_by_key(|index| of(*index));
        let mut widths = vec![None; shown.len()];
        for (done, index) in narrow_first.iter().enumerate() {
            let share = room / (narrow_first.len() - done);
            let width = of(*index).min(share.max(LEAST));
            room = room.saturating_sub(width);
            let place = shown.iter().position(|shown| shown == index);
            if let Some(slot) = place.and_then(|place| widths.get_mut(place)) {
                *slot = (width < of(*index)).then_some(width);
            }
        }
        Self { shown, widths }
    }
}

/// A number with separators between thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["ID", "PLACE", "ROWS", "REASON"]).number("ROWS").wrapped(&["REASON"]);
        table = table.optional(&["PLACE", "ROWS"]);
        let cells = [
            "a1b2c3",
            "export/issues-2024-01.jsonl:1201",
            "1,234",
            "the field `created` is no time: it is the text of a date",
        ];
        table.row(cells.map(str::to_owned));
        table.row(["d4", "export/issues.jsonl:2", "7", "short"].map(str::to_owned));
        table
    }

    #[test]
    fn a_table_that_fits_is_left_as_it_is() {
        let wide = table().render(Width::UNLIMITED);
        assert_eq!(wide.lines().count(), 3, "{wide}");
        assert_eq!(table().render(Width::of(200)), wide);
        let exactly = wide.lines().map(|line| line.width()).max().unwrap();
        assert_eq!(table().render(Width::of(exactly)), wide);
    }

    #[test]
    fn text_is_wrapped_before_columns_are_left_out() {
        insta::assert_snapshot!(table().render(Width::of(80)));
    }

    #[test]
    fn the_least_important_columns_are_left_out_and_named() {
        insta::assert_snapshot!(table().render(Width::of(50)));
    }

    #[test]
    fn columns_that_say_nothing_are_left_out_first() {
        let mut table = Table::new(&["NAME", "STALE", "ADDED", "TOOK"]).numbers_from(1);
        table = table.optional(&["STALE", "ADDED", "TOOK"]);
        table.row(["issues", "12", "0", "3 s"].map(str::to_owned));
        assert!(table.shows("STALE", Width::of(20)) && !table.shows("ADDED", Width::of(20)));
        assert_eq!(table.render(Width::of(20)).lines().next(), Some("NAME    STALE  TOOK"));
    }

    #[test]
    fn no_line_is_longer_than_the_terminal_is_wide() {
        for width in 24..120 {
            let text = table().render(Width::of(width));
            let lines = text.lines().filter(|line| !line.starts_with("column"));
            assert!(lines.clone().all(|line| line.width() <= width), "{width}:\n{text}");
        }
    }

    #[test]
    fn sentences_are_broken_at_blanks_and_words_stay_whole() {
        let text =
            "STALE: records older than what the sink has\nissues: 0123456789012345678901234567890123456789.json\n";
        assert_eq!(
            Width::of(24).wrap(text),
            "STALE: records older\n  than what the sink has\nissues:\n  0123456789012345678901234567890123456789.json\n"
        );
        assert_eq!(Width::UNLIMITED.wrap(text), text);
        assert_eq!(Width::of(80).wrap("a\n\nb\n"), "a\n\nb\n");
        assert_eq!(Width::of(16).wrap("see `cdm rejects list`, it\n"), "see\n  `cdm rejects list`,\n  it\n");
    }

    #[test]
    fn a_long_command_goes_on_after_a_backslash() {
        let command = "$ cdm ingest --full projects users issues";
        assert_eq!(Width::of(30).continued(command), "$ cdm ingest --full projects \\\n    users issues");
        assert_eq!(Width::of(80).continued(command), command);
        assert_eq!(Width::UNLIMITED.continued(command), command);
    }

    #[test]
    fn a_word_that_is_longer_than_its_column_is_broken() {
        let mut table = Table::of_pairs();
        table.row(["id".to_owned(), "0123456789".repeat(4)]);
        assert_eq!(table.render(Width::of(24)), "id  01234567890123456789\n    01234567890123456789\n");
    }

    #[test]
    fn thousands_are_set_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
