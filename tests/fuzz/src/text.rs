//! Follows what programs, devices and others say, on its way to a person.

use board::host::plain_text::{TEXT_MAX, is_plain, plain, plain_bytes, plain_lines};
use supervisor::control::client::Reply;

/// Bytes of any kind.
pub fn text(bytes: &[u8]) {
    let line = plain_bytes(bytes);
    assert!(line.chars().count() <= TEXT_MAX + " [cut]".len(), "{line:?}");
    assert!(line.chars().all(is_fit), "{line:?}");
    let whole = line.strip_suffix(" [cut]").unwrap_or(&line);
    assert_eq!(plain(whole), whole, "what is plain changes");
    assert!(is_plain(whole), "{whole:?}");

    let text = String::from_utf8_lossy(bytes);
    let lines = plain_lines(&text);
    assert!(lines.chars().all(|c| c == '\n' || is_fit(c)), "{lines:?}");
    assert_eq!(lines.matches('\n').count(), text.matches('\n').count(), "a line was forged");
    assert_eq!(plain_lines(&lines), lines, "what is plain changes");

    if let Some(answer) = Reply::parse(&text) {
        assert!(answer.text.chars().all(|c| c == '\n' || is_fit(c)), "{answer:?}");
    }
}

/// By the properties that matter, and not by the table of the product.
fn is_fit(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks = matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}');
    let hides = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{e0020}'..='\u{e007f}');
    !c.is_control() && !turns && !breaks && !hides
}
