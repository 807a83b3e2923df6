//! Which build of the frames a program speaks.

/// Derived from this crate's sources; equal ids, equal frames.
pub const BUILD_ID: &str = env!("NN_BUILD_ID");

/// Stands in a worker program in front of its build id, so that it can be read without running it.
/// Workers keep it alive by printing it for `--build-id`.
pub const BUILD_ID_MARK: &str = concat!("nn-worker-build-id=", env!("NN_BUILD_ID"), ";");

/// Whether a program file carries exactly this build's mark.
#[must_use]
pub fn build_id_in(program: &[u8]) -> bool {
    let mark = BUILD_ID_MARK.as_bytes();
    program.windows(mark.len()).any(|window| window == mark)
}
