//! The system call filter, installed in every thread at once.

use std::io;

use seccompiler::{apply_filter_all_threads, sock_filter};

use crate::apply::StepResult;

/// Installs it. One instruction a number: code, jt, jf, k from the top.
pub(crate) fn install(filter: &[u64]) -> StepResult {
    let program: Vec<sock_filter> = filter.iter().copied().map(instruction).collect();
    apply_filter_all_threads(&program).map_err(|error| ("seccomp(TSYNC)", io::Error::other(error)))
}

fn instruction(word: u64) -> sock_filter {
    let [c1, c0, jt, jf, k3, k2, k1, k0] = word.to_be_bytes();
    sock_filter {
        code: u16::from_be_bytes([c1, c0]),
        jt,
        jf,
        k: u32::from_be_bytes([k3, k2, k1, k0]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_keeps_its_parts() {
        let got = instruction(0x0015_0102_c000_003e);
        assert_eq!((got.code, got.jt, got.jf, got.k), (0x15, 1, 2, 0xc000_003e));
    }
}
