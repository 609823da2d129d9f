use std::io::Read;

use super::{CUT_SHORT, Elements, Keep, NO_COLON, NO_LIST, NO_MEMBER, NO_VALUE, Object, SplitError};
use crate::{
    pages::{Member, Page},
    scan::Scan,
};

/// Objects outside of the list of a page, which are records or pages.
impl<R: Read> Elements<R> {
    /// Reads an object until it is known what it is: a record to its end, a page into its list.
    pub(super) fn pass_object(&mut self, in_array: bool) -> Result<Object, SplitError> {
        let start = self.offset;
        self.page = Page::default();
        self.record.clear();
        self.record.push(b"{");
        self.pass();
        let mut is_first = true;
        let mut has_no_list = false;
        loop {
            self.skip_space(Keep::RECORD)?;
            match self.peek()? {
                Some(b'}') => break,
                Some(_) if is_first => {}
                Some(b',') => {
                    self.record.push(b",");
                    self.pass();
                    self.skip_space(Keep::RECORD)?;
                }
                Some(_) => return self.pass_oddity(in_array, "expected `,` or `}`"),
                None => return Err(self.malformed(CUT_SHORT)),
            }
            is_first = false;
            if self.peek()? != Some(b'"') {
                return self.pass_oddity(in_array, NO_MEMBER);
            }
            let member = self.pass_name(Keep::BOTH)?;
            self.skip_space(Keep::RECORD)?;
            if self.peek()? != Some(b':') {
                return self.pass_oddity(in_array, NO_COLON);
            }
            self.record.push(b":");
            self.pass();
            self.skip_space(Keep::RECORD)?;
            let next = self.peek()?;
            if matches!(next, Some(b',' | b':' | b']' | b'}')) {
                return self.pass_oddity(in_array, NO_VALUE);
            }
            match member {
                Some(Member::OfRecord) => {
                    self.pass_rest_of_record()?;
                    return Ok(Object::Record);
                }
                Some(Member::List | Member::OtherList(_)) if next == Some(b'[') => {
                    self.record.clear();
                    self.pass_member_value(member, in_array, Keep::NOTHING)?;
                    return Ok(Object::Page);
                }
                _ => {
                    has_no_list |= member == Some(Member::List);
                    self.pass_member_value(member, in_array, Keep::RECORD)?;
                }
            }
        }
        self.record.push(b"}");
        self.pass();
        if self.page.is_page() {
            self.end_page(in_array);
            Ok(Object::Page)
        } else if has_no_list {
            Err(SplitError::Malformed { offset: start, what: NO_LIST })
        } else {
            Ok(Object::Record)
        }
    }

    /// What is no JSON is an error, but in an array only the element is odd, and where it ends is known.
    fn pass_oddity(&mut self, in_array: bool, what: &'static str) -> Result<Object, SplitError> {
        match self.peek()? {
            None => Err(self.malformed(CUT_SHORT)),
            Some(_) if in_array => self.pass_rest_of_record().map(|()| Object::Record),
            Some(_) => Err(self.malformed(what)),
        }
    }

    fn pass_rest_of_record(&mut self) -> Result<(), SplitError> {
        self.pass_with(Scan::Nested { depth: 1, string: None }, self.of_record())
    }

    /// What is kept of what is known to be a record.
    pub(super) fn of_record(&self) -> Keep {
        if self.fields.is_none() { Keep::RECORD } else { Keep::NOTHING }
    }
}
