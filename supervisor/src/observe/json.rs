//! JSON (RFC 8259), written and never read: a page of our own instead of a library of two hundred kilobytes.

use std::fmt::{Display, Write as _};

use board::host::plain_text::plain;

/// An object that is being written.
pub(crate) struct Json {
    text: String,
    first: bool,
}

impl Json {
    /// An object without members.
    pub(crate) fn new() -> Self {
        Self { text: "{".to_owned(), first: true }
    }

    /// Adds a text.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.quote(value);
    }

    /// Adds a text, or null.
    pub(crate) fn optional_text(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.text(name, value),
            None => self.raw(name, "null"),
        }
    }

    /// Adds a number.
    pub(crate) fn number(&mut self, name: &str, value: impl Into<u64>) {
        self.raw(name, value.into());
    }

    /// Adds a number that may be below zero.
    pub(crate) fn signed(&mut self, name: &str, value: i64) {
        self.raw(name, value);
    }

    /// Adds a truth.
    pub(crate) fn flag(&mut self, name: &str, value: bool) {
        self.raw(name, value);
    }

    /// Adds an object, whose members `write` adds.
    pub(crate) fn object(&mut self, name: &str, write: impl FnOnce(&mut Self)) {
        self.name(name);
        self.braced(write);
    }

    /// Adds a list of objects, whose members `write` adds.
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        items: impl Iterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        self.name(name);
        self.text.push('[');
        for (place, item) in items.enumerate() {
            if place > 0 {
                self.text.push(',');
            }
            self.braced(|json| write(json, item));
        }
        self.text.push(']');
    }

    /// The whole text, with a line end.
    pub(crate) fn end(mut self) -> String {
        self.text.push_str("}\n");
        self.text
    }

    fn braced(&mut self, write: impl FnOnce(&mut Self)) {
        self.text.push('{');
        self.first = true;
        write(self);
        self.text.push('}');
        self.first = false;
    }

    fn raw(&mut self, name: &str, value: impl Display) {
        self.name(name);
        // Writing to a text cannot fail.
        let _ = write!(self.text, "{value}");
    }

    fn name(&mut self, name: &str) {
        if !std::mem::replace(&mut self.first, false) {
            self.text.push(',');
        }
        self.quote(name);
        self.text.push(':');
    }

    fn quote(&mut self, text: &str) {
        self.text.push('"');
        for c in plain(text).chars() {
            match c {
                '"' | '\\' => self.text.extend(['\\', c]),
                c => self.text.push(c),
            }
        }
        self.text.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_and_members_parted() {
        let mut json = Json::new();
        json.text("a\"b", "c\\d\n");
        json.object("empty", |_| {});
        json.list("list", [1u8, 2].iter(), |json, item| json.number("n", *item));
        json.optional_text("none", None);
        json.flag("yes", true);
        assert_eq!(
            json.end(),
            "{\"a\\\"b\":\"c\\\\d \",\"empty\":{},\"list\":[{\"n\":1},{\"n\":2}],\"none\":null,\"yes\":true}\n"
        );
    }
}
