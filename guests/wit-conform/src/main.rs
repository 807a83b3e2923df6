//! The guest of the conformance suite as a component. What it does stands in `conform`.

use std::process::ExitCode;

fn main() -> ExitCode {
    conform::main()
}
