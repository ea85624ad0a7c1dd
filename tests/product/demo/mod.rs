//! One test per story: what `lab.rs` and `limits.rs` have in common.

use std::process::Command;

macro_rules! stories {
    ($($test:ident: $name:literal,)*) => {$(
        #[test]
        fn $test() {
            $crate::demo::run(&["story", $name]);
        }
    )*};
}

pub(crate) use stories;

/// The lab's program, which tells what these words say; it must end well.
pub(crate) fn run(words: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_demo")).args(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}{complained}", words.join(" "));
}
