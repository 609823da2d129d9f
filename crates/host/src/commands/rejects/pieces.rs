//! A long list of rejects, which is printed piece by piece: the memory that it takes does not grow with the list.

use std::{
    io::{self, Write},
    ops::ControlFlow,
};

use endpoint_api::{ListedReject, RejectFilter};

use super::{each_reject, list::List, to_json};
use crate::{
    answer::{Answer, Output, to_text, written},
    endpoints::Opened,
    failure::Failure,
    printable::on_lines,
};

/// The rejects of a piece. A list that has no more is no long one.
pub(super) const ROWS: usize = 1000;

/// Prints a list. In JSON it is the same object as that of a short one; for people each piece is a table of its own.
pub(super) async fn print(
    output: Output,
    sink: &Opened,
    filter: &RejectFilter,
    list: &List<'_>,
) -> Result<Answer, Failure> {
    let mut pieces = Pieces { out: io::stdout(), output, list, piece: Vec::new(), printed: 0 };
    let mut outcome = pieces.begin();
    let mut each = |listed| {
        if outcome.is_ok() {
            outcome = pieces.add(listed);
        }
        match outcome {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    };
    let listed = each_reject(sink, filter, list.args.limit, &mut each).await;
    let failure = listed.err();
    outcome = outcome.and_then(|()| pieces.end(failure.as_ref()));
    Ok(Answer::printed(written(outcome), failure))
}

struct Pieces<'l, W> {
    out: W,
    output: Output,
    list: &'l List<'l>,
    /// What is not printed yet.
    piece: Vec<ListedReject>,
    printed: usize,
}

impl<W: Write> Pieces<'_, W> {
    fn begin(&mut self) -> io::Result<()> {
        match self.output {
            Output::Json => self.out.write_all(b"{\"rejects\":["),
            Output::Table => Ok(()),
        }
    }

    fn add(&mut self, listed: ListedReject) -> io::Result<()> {
        self.piece.push(listed);
        if self.piece.len() < ROWS { Ok(()) } else { self.flush() }
    }

    /// Prints what is there so far.
    fn flush(&mut self) -> io::Result<()> {
        let text = match self.output {
            Output::Json => {
                let rejects = self.piece.iter().zip(self.printed..).map(|(listed, place)| {
                    let comma = if place == 0 { "" } else { "," };
                    format!("{comma}{}", to_text(&to_json(listed)))
                });
                rejects.collect()
            }
            Output::Table => on_lines(&self.list.table(&self.piece)).into_owned(),
        };
        self.printed += self.piece.len();
        self.piece.clear();
        self.out.write_all(text.as_bytes())
    }

    /// Prints the rest: how many there are, and why it is not all of the list.
    fn end(&mut self, failure: Option<&Failure>) -> io::Result<()> {
        self.flush()?;
        let text = match self.output {
            Output::Json => {
                let mut members = self.list.totals();
                if let Some(failure) = failure {
                    members.insert("error".to_owned(), failure.to_json());
                }
                let members = members.iter().map(|(name, value)| format!(",\"{name}\":{}", to_text(value)));
                format!("]{}}}\n", members.collect::<String>())
            }
            Output::Table if failure.is_some() => String::new(),
            Output::Table => self.list.summary(self.printed),
        };
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}
