//! How big is what ships? `tests/size` knows; its limits are the targets.

use std::process::Command;

use crate::lab::failure::Failure;

use super::row::{Row, Target};

/// Prints the sizes of the binary, linked dynamically and statically.
///
/// # Errors
///
/// When it cannot be built.
pub fn run() -> Result<(), Failure> {
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/size")).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let rows: Vec<_> = said.lines().filter_map(row).collect();
    if rows.is_empty() {
        return Err(Failure(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    rows.iter().for_each(Row::print);
    Ok(())
}

/// `dynamic  654321 bytes, at most  900000`
fn row(line: &str) -> Option<Row> {
    let words: Vec<_> = line.split_whitespace().collect();
    let [what, size, "bytes,", "at", "most", most] = words[..] else { return None };
    let kib = |bytes: &str| bytes.parse::<f64>().ok().map(|bytes| bytes / 1024.0);
    let target = Target::AtMost(kib(most)?.floor());
    Some(Row::new(&format!("binary, {what}"), "KiB", [kib(size)?]).target(target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_script_is_understood() {
        let row = row("dynamic                102400 bytes, at most   204800").unwrap().to_string();
        assert!(row.contains(" 100 ") && row.contains("<= 200") && row.ends_with("ok"), "{row}");
    }
}
