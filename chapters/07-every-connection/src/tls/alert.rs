//! Why a connection ends (RFC 8446, section 6).
//!
//! The invariant: after an alert, in either direction, nothing follows in that direction; after a fatal one, in neither.

use std::fmt::{self, Display, Formatter};

/// What we say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alert {
    CloseNotify = 0,
    UnexpectedMessage = 10,
    BadRecordMac = 20,
    RecordOverflow = 22,
    IllegalParameter = 47,
    DecodeError = 50,
    InternalError = 80,
}

/// What a client says that only wants to end its handshake; the end follows (section 6.1).
pub(super) const USER_CANCELED: u8 = 90;

/// What ended a connection before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The client broke the rules, and was told which.
    Refused(Alert),
    /// The client sent this fatal alert.
    Alerted(u8),
}

impl Display for Failure {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused(alert) => write!(to, "the client's records are not as TLS 1.3 has them: {alert:?}"),
            Failure::Alerted(number) => write!(to, "the client ended the connection with alert {number}"),
        }
    }
}

impl std::error::Error for Failure {}
