//! The number of a failure's kind: the `code` of an error object, and the exit code of the command line.

use pipepost_core::FailureKind;

/// Returns the number of a failure kind, modelled on `sysexits.h`.
pub fn exit_code(kind: FailureKind) -> u8 {
    match kind {
        FailureKind::Invalid => 65,
        FailureKind::Configuration => 78,
        FailureKind::Authentication => 77,
        FailureKind::Refused => 69,
        FailureKind::Quota | FailureKind::Transient => 75,
        FailureKind::Uncertain => 74,
        FailureKind::Limit => 70,
    }
}
