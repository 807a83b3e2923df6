//! What a core module is told of a failure: one number. The text stays with the host, which logs it.

use std::fmt;

use nn_tensor::Code;

use crate::Dialect;

/// The specification's `nn_errno`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Errno {
    /// It worked.
    Success,
    /// A bad pointer, handle, number, shape or length.
    InvalidArgument,
    /// The model's bytes are in no format that is served.
    InvalidEncoding,
    /// The module exports no memory named `memory`.
    MissingMemory,
    /// A queue or quota is full; trying again later may succeed.
    Busy,
    /// The system failed, or the deadline passed.
    RuntimeError,
    /// Asked for something that is not offered.
    UnsupportedOperation,
    /// Beyond a limit, or beyond the buffer.
    TooLarge,
    /// No such model; also the answer where access is denied.
    NotFound,
}

// === impl Errno ===

impl Errno {
    /// The number that the guest gets.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Success => 0,
            Self::InvalidArgument => 1,
            Self::InvalidEncoding => 2,
            Self::MissingMemory => 3,
            Self::Busy => 4,
            Self::RuntimeError => 5,
            Self::UnsupportedOperation => 6,
            Self::TooLarge => 7,
            Self::NotFound => 8,
        }
    }

    /// The specification's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::InvalidArgument => "invalid_argument",
            Self::InvalidEncoding => "invalid_encoding",
            Self::MissingMemory => "missing_memory",
            Self::Busy => "busy",
            Self::RuntimeError => "runtime_error",
            Self::UnsupportedOperation => "unsupported_operation",
            Self::TooLarge => "too_large",
            Self::NotFound => "not_found",
        }
    }

    /// The same for guests that know 0 to 5 only. What they asked for and cannot have is an invalid
    /// argument to them: asking again in the same way will not help.
    const fn folded(self) -> Self {
        match self {
            Self::UnsupportedOperation | Self::TooLarge | Self::NotFound => Self::InvalidArgument,
            Self::Success
            | Self::InvalidArgument
            | Self::InvalidEncoding
            | Self::MissingMemory
            | Self::Busy
            | Self::RuntimeError => self,
        }
    }
}

/// `too_large (7)`.
impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.number())
    }
}

// === impl Dialect ===

impl Dialect {
    /// The one table from a fault's code to what a guest of this dialect is told.
    #[must_use]
    pub const fn errno(self, code: Code) -> Errno {
        let errno = match code {
            Code::InvalidArgument => Errno::InvalidArgument,
            Code::InvalidEncoding => Errno::InvalidEncoding,
            Code::Busy | Code::Leaving => Errno::Busy,
            Code::UnsupportedOperation => Errno::UnsupportedOperation,
            Code::TooLarge => Errno::TooLarge,
            // A denial that looked different would tell which names exist.
            Code::NotFound | Code::Security => Errno::NotFound,
            Code::Timeout | Code::RuntimeError | Code::BackendCrashed | Code::Unknown => {
                Errno::RuntimeError
            }
        };
        match self {
            Self::V04 => errno.folded(),
            Self::V05 | Self::V06 | Self::WasmEdge => errno,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_errno() {
        let table = Code::ALL.map(|code| (code.name(), Dialect::V06.errno(code).number()));
        let wanted = [
            ("invalid-argument", 1),
            ("invalid-encoding", 2),
            ("timeout", 5),
            ("runtime-error", 5),
            ("unsupported-operation", 6),
            ("too-large", 7),
            ("not-found", 8),
            ("security", 8),
            ("unknown", 5),
            ("busy", 4),
            ("backend-crashed", 5),
            ("leaving", 4),
        ];
        assert_eq!(table, wanted);
    }

    #[test]
    fn guests_of_0_4_never_see_an_errno_beyond_5() {
        let most = Code::ALL.map(|code| Dialect::V04.errno(code).number());
        assert_eq!(most.into_iter().max(), Some(5));
        assert_eq!(Dialect::V04.errno(Code::TooLarge), Errno::InvalidArgument);
        assert_eq!(Dialect::V04.errno(Code::Busy), Errno::Busy);
    }

    #[test]
    fn a_failure_is_never_a_success() {
        let success = Code::ALL.iter().any(|&code| {
            Dialect::ALL
                .map(|d| d.errno(code))
                .contains(&Errno::Success)
        });
        assert!(!success);
    }

    #[test]
    fn an_errno_is_shown_by_name_and_number() {
        assert_eq!(Errno::TooLarge.to_string(), "too_large (7)");
    }
}
