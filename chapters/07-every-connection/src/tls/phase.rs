//! Where a connection has got to: what opens its records now, and what seals them.
//!
//! The invariant: it begins with a handshake, or in another process; and only the machine's connections can leave this one.

use std::error::Error;
use std::io::{self, IoSlice};

use bytes::BytesMut;

use super::handshake::Handshake;
use super::machine::{Machine, Opened};
use super::older::Older;

pub(super) enum Phase {
    Handshake(Box<Handshake>),
    Open(Box<Machine>),
    Older(Box<Older>),
    /// The handshake has failed.
    Failed,
}

impl Phase {
    /// What was received and is not opened, and what goes to the client.
    pub(super) fn buffers(&mut self) -> Option<(&mut BytesMut, &mut BytesMut)> {
        match self {
            Phase::Handshake(handshake) => Some((&mut handshake.received, &mut handshake.to_client)),
            Phase::Open(machine) => Some((&mut machine.received, &mut machine.to_client)),
            Phase::Older(older) => Some((&mut older.handshake.received, &mut older.handshake.to_client)),
            Phase::Failed => None,
        }
    }

    /// See [`Machine::open`].
    pub(super) fn open(&mut self) -> io::Result<Opened> {
        match self {
            Phase::Open(machine) => machine.open().map_err(invalid),
            Phase::Older(older) => older.open().map_err(invalid),
            Phase::Handshake(_) | Phase::Failed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// See [`Machine::answer`].
    pub(super) fn answer(&mut self) {
        if let Phase::Open(machine) = self {
            machine.answer();
        }
    }

    /// See [`Machine::write`].
    pub(super) fn write(&mut self, data: &[IoSlice<'_>]) -> Option<usize> {
        match self {
            Phase::Open(machine) => machine.write(data),
            Phase::Older(older) => older.write(data),
            Phase::Handshake(_) | Phase::Failed => None,
        }
    }

    /// Says that nothing more comes from us, unless there is no one to say it to yet.
    pub(super) fn close(&mut self) {
        match self {
            Phase::Open(machine) => machine.close(),
            Phase::Older(older) => older.close(),
            Phase::Handshake(_) | Phase::Failed => {}
        }
    }
}

pub(super) fn invalid(error: impl Into<Box<dyn Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
