//! Lays text out for the console of a box: 80 columns and 24 lines, as a serial one has.

use std::io;

use rustix::termios::{isatty, tcgetwinsize};

/// Breaks `line` between words where it is wider than a console; what follows is indented by `indent`. A word that
/// is wider than that itself is broken as well.
pub(crate) fn wrap(line: &str, indent: usize) -> String {
    let (mut text, mut column) = (String::new(), 0);
    let (mut rest, mut fresh) = (line, true);
    while !rest.is_empty() {
        // A word, with the blanks before it.
        let blanks = rest.len() - rest.trim_start_matches(' ').len();
        let word = rest.get(blanks..).unwrap_or_default();
        let length = word.find(' ').unwrap_or(word.len());
        let (piece, after) = rest.split_at(blanks + length);
        let width = piece.chars().count();
        if column + width <= WIDTH {
            text.push_str(piece);
            (column, rest, fresh) = (column + width, after, false);
        } else if fresh {
            let room = WIDTH.saturating_sub(column).max(1);
            let end = piece.char_indices().nth(room).map_or(piece.len(), |(end, _)| end);
            text.push_str(piece.get(..end).unwrap_or_default());
            rest = rest.get(end..).unwrap_or_default();
            (column, fresh) = new_line(&mut text, indent);
        } else {
            rest = rest.get(blanks..).unwrap_or_default();
            (column, fresh) = new_line(&mut text, indent);
        }
    }
    text
}

fn new_line(text: &mut String, indent: usize) -> (usize, bool) {
    let indent = indent.min(WIDTH / 2);
    text.push('\n');
    text.extend(std::iter::repeat_n(' ', indent));
    (indent, true)
}

/// How many lines the terminal has that is written to; `None` where that is no terminal.
pub(crate) fn rows() -> Option<usize> {
    let terminal = io::stdout();
    if !isatty(&terminal) {
        return None;
    }
    // A serial console does not know its size.
    let rows = tcgetwinsize(&terminal).map_or(0, |size| size.ws_row);
    Some(if rows == 0 { ROWS } else { rows.into() })
}

/// The columns of the narrowest console that counts.
pub(crate) const WIDTH: usize = 80;

/// Those of a VT100.
const ROWS: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrap("  short", 4), "  short");
        assert_eq!(wrap("", 4), "");
        let line = format!("  a    {}", "word ".repeat(30));
        let lines = wrap(line.trim_end(), 10);
        assert!(lines.lines().all(|line| line.chars().count() <= WIDTH), "{lines}");
        assert!(lines.lines().skip(1).all(|line| line.starts_with("          word")), "{lines}");
        assert_eq!(lines.matches("word").count(), 30);
        let wide = wrap(&"\u{e9}".repeat(200), 2);
        assert!(wide.lines().all(|line| line.chars().count() <= WIDTH), "{wide}");
        assert_eq!(wide.matches('\u{e9}').count(), 200);
    }
}
