//! `twobox`: makes two small boxes act as one that does not fail.

use std::process::ExitCode;

fn main() -> ExitCode {
    supervisor::main(std::env::args_os().skip(1))
}
