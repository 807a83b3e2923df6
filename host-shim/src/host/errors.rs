//! The error resource, and the one table from a fault to what a guest sees of it.

use nn_tensor::{Code, Fault};
use wasmtime::component::Resource;

use crate::bindings::wasi::nn::errors::{ErrorCode, Host, HostError};
use crate::ctx::WasiNnCtxView;

/// A failure, held by a guest.
#[derive(Clone, Debug)]
pub struct Failure {
    fault: Fault,
}

/// The code, and what the text begins with where wasi-nn has no code of its own for it.
fn table(code: Code) -> (ErrorCode, &'static str) {
    match code {
        Code::InvalidArgument => (ErrorCode::InvalidArgument, ""),
        Code::InvalidEncoding => (ErrorCode::InvalidEncoding, ""),
        Code::Timeout => (ErrorCode::Timeout, ""),
        Code::RuntimeError => (ErrorCode::RuntimeError, ""),
        Code::UnsupportedOperation => (ErrorCode::UnsupportedOperation, ""),
        Code::TooLarge => (ErrorCode::TooLarge, ""),
        Code::NotFound => (ErrorCode::NotFound, ""),
        Code::Security => (ErrorCode::Security, ""),
        Code::Unknown => (ErrorCode::Unknown, ""),
        Code::Busy => (ErrorCode::RuntimeError, "busy: "),
        Code::BackendCrashed => (ErrorCode::RuntimeError, "backend crashed; "),
        Code::Leaving => (ErrorCode::RuntimeError, "leaving: "),
    }
}

// === impl Failure ===

impl Failure {
    pub(crate) fn new(fault: Fault) -> Self {
        Self { fault }
    }

    fn code(&self) -> ErrorCode {
        table(self.fault.code).0
    }

    fn text(&self) -> String {
        let (_, prefix) = table(self.fault.code);
        let text = self.fault.to_string();
        // The daemon may have begun the same way.
        let begun = prefix.trim_end_matches([' ', ';', ':']);
        if !begun.is_empty() && text.starts_with(begun) {
            return text;
        }
        format!("{prefix}{text}")
    }
}

impl WasiNnCtxView<'_> {
    /// A result as the generated traits want it: a fault becomes a resource; only a full table traps.
    pub(crate) fn answer<T>(
        &mut self,
        result: Result<T, Fault>,
    ) -> wasmtime::Result<Result<T, Resource<Failure>>> {
        match result {
            Ok(value) => Ok(Ok(value)),
            Err(fault) => {
                tracing::debug!(code = %fault.code, %fault, "a guest's call failed");
                Ok(Err(self.table.push(Failure::new(fault))?))
            }
        }
    }
}

impl Host for WasiNnCtxView<'_> {}

impl HostError for WasiNnCtxView<'_> {
    fn code(&mut self, error: Resource<Failure>) -> wasmtime::Result<ErrorCode> {
        Ok(self.table.get(&error)?.code())
    }

    fn data(&mut self, error: Resource<Failure>) -> wasmtime::Result<String> {
        Ok(self.table.get(&error)?.text())
    }

    fn drop(&mut self, error: Resource<Failure>) -> wasmtime::Result<()> {
        self.table.delete(error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(fault: Fault) -> String {
        Failure::new(fault).text()
    }

    #[test]
    fn every_code_that_wasi_nn_has_keeps_its_name() {
        let pairs = Code::ALL.map(|code| (code.name(), format!("{:?}", table(code).0)));
        let of_our_own = ["busy", "backend-crashed", "leaving"];
        let kept = pairs
            .iter()
            .filter(|(name, _)| !of_our_own.contains(name))
            .all(|(name, debug)| {
                debug.to_lowercase().contains(&name.replace('-', "")) || {
                    debug.to_lowercase().contains(name)
                }
            });
        assert!(kept, "{pairs:?}");
    }

    #[test]
    fn busy_and_crashed_are_runtime_errors_told_apart_by_their_text() {
        let busy = Failure::new(Fault::busy("the queue is full"));
        assert!(matches!(busy.code(), ErrorCode::RuntimeError));
        assert_eq!(busy.text(), "busy: the queue is full");
        let crashed = Fault::new(Code::BackendCrashed, "the worker died").hint("call again");
        assert_eq!(
            text(crashed),
            "backend crashed; the worker died; hint: call again"
        );
    }

    #[test]
    fn a_prefix_is_not_said_twice() {
        let crashed = Fault::new(Code::BackendCrashed, "backend crashed; restarted");
        assert_eq!(text(crashed), "backend crashed; restarted");
        assert_eq!(text(Fault::busy("busy: full")), "busy: full");
    }

    #[test]
    fn the_text_says_what_was_expected_and_what_came() {
        let fault = Fault::invalid_argument("wrong").expected("3").got("4");
        assert_eq!(text(fault), "wrong; expected: 3; got: 4");
    }
}
