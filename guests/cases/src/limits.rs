//! Cases that only the host can end: endless work, endless memory, a trap.

use std::hint::black_box;

const MIB: usize = 1 << 20;
/// The smallest page of WebAssembly's memory is larger; touching this often touches every one.
const STRIDE: usize = 4096;

/// Loops for ever without calling the host.
pub fn spin() {
    println!("ok spinning");
    let mut turns = 0_u64;
    while black_box(true) {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// Grows by a MiB at a time, so that a host's ceiling is met to the MiB.
///
/// # Errors
/// How far it came, when there is no more memory.
pub fn alloc(mib: usize) -> Result<(), String> {
    let mut blocks = Vec::new();
    while blocks.len() < mib {
        let mut block: Vec<u8> = Vec::new();
        if block.try_reserve_exact(MIB).is_err() {
            return Err(format!("after {} MiB", blocks.len()));
        }
        block.resize(MIB, 0);
        block.iter_mut().step_by(STRIDE).for_each(|byte| *byte = 1);
        blocks.push(black_box(block));
    }
    println!("ok mib={}", blocks.len());
    Ok(())
}

/// Ends in the instruction `unreachable`, as a guest's own panic does.
pub fn trap() -> ! {
    std::process::abort()
}
