//! The guest of the conformance suite as a core module. What it does stands in `conform`.

use std::process::ExitCode;

fn main() -> ExitCode {
    conform::main()
}
