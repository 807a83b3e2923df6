//! What `nn-guest` promises, tried on a host as a component. What is tried stands in `values`.

use std::process::ExitCode;

fn main() -> ExitCode {
    values::main()
}
