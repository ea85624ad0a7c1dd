//! Makes text from outside fit to be shown: what programs, devices, the other box and other users have written.
//!
//! It ends on terminals, in logs, in files of lines and in the environment of programs. There a line break would
//! forge a line, an escape sequence would draw on the operator's console, and a character that turns the direction
//! of writing, or has no width, would show something else than what stands there.

use std::fmt::{self, Write};

/// `text` as one line, of at most [`TEXT_MAX`] characters: what is not shown as itself becomes a blank.
pub fn plain(text: &str) -> String {
    Plain(text).to_string()
}

/// The same of bytes, which may be no UTF-8.
pub fn plain_bytes(bytes: &[u8]) -> String {
    plain(&String::from_utf8_lossy(bytes))
}

/// The same of each line of `text`, however long.
pub fn plain_lines(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        let line = line.strip_suffix('\r').unwrap_or(line);
        plain.extend(line.chars().map(shown));
        plain.push_str(end);
    }
    plain
}

/// Whether `text` would be shown as it is.
pub fn is_plain(text: &str) -> bool {
    text.chars().count() <= TEXT_MAX && text.chars().all(|c| shown(c) == c)
}

/// Shows a text as [`plain`] makes it.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a>(pub &'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.chars();
        rest.by_ref().take(TEXT_MAX).try_for_each(|c| f.write_char(shown(c)))?;
        if rest.next().is_some() { f.write_str(CUT) } else { Ok(()) }
    }
}

/// What is shown of a character.
fn shown(c: char) -> char {
    let hidden = c.is_control() || FORMAT.iter().any(|(first, last)| (*first..=*last).contains(&c));
    if hidden { ' ' } else { c }
}

/// A line that a person reads, and what was cut off it stands nowhere.
pub const TEXT_MAX: usize = 1024;
/// Behind a text that was longer.
const CUT: &str = " [cut]";

/// The characters of Unicode 16 that are no control characters, and change how others are shown or are not shown
/// themselves: format (Cf), line and paragraph separators (Zl, Zp), and what is ignored by default in the last
/// plane that has any.
const FORMAT: [(char, char); 20] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{180e}', '\u{180e}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{fff9}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
    // Of the private use, which every font fills as it likes: terminals that answer to some of it are known.
    ('\u{f0000}', '\u{10ffff}'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_shown_as_itself_becomes_a_blank() {
        for (text, shown) in [
            ("the device fails", "the device fails"),
            ("gerät 電源 \u{1f980}", "gerät 電源 \u{1f980}"),
            ("one\ntwo\r\nthree\tfour", "one two  three four"),
            ("\u{1b}[2J\u{1b}]0;title\u{7}x", " [2J ]0;title x"),
            // Escape sequences in one byte of Latin 1.
            ("\u{9b}31mred\u{85}", " 31mred "),
            ("\u{202e}gnp\u{2066}\u{200f}\u{feff}", " gnp   "),
            ("a\u{2028}b\u{2029}c\u{200b}d\u{ad}e", "a b c d e"),
            ("\u{e0041}\u{10fffd}\0", "   "),
        ] {
            assert_eq!(plain(text), shown, "{text:?}");
            assert_eq!(is_plain(text), text == shown, "{text:?}");
        }
        assert_eq!(plain_bytes(b"a\xff\xc3b\x1b"), "a\u{fffd}\u{fffd}b ");
    }

    #[test]
    fn a_text_has_an_end() {
        let long = "é".repeat(TEXT_MAX);
        assert_eq!(plain(&long), long);
        assert!(is_plain(&long));
        let longer = long.clone() + "é";
        assert_eq!(plain(&longer), long + " [cut]");
        assert!(!is_plain(&longer));
    }

    #[test]
    fn lines_stay_lines() {
        assert_eq!(plain_lines("a\r\n\u{1b}b\n\n"), "a\n b\n\n");
        assert_eq!(plain_lines("a\rb\u{85}c"), "a b c");
        let long = "x".repeat(2 * TEXT_MAX);
        assert_eq!(plain_lines(&long), long);
    }
}
