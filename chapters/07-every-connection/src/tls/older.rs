//! TLS 1.2, which is rustls' work from the handshake to the end.
//!
//! The invariant: such a connection ends in the process that has accepted it.

use std::io::{BufRead as _, IoSlice, Write as _};

use bytes::BytesMut;
use rustls::Error;

use super::handshake::Handshake;
use super::machine::Opened;

pub(super) struct Older {
    pub(super) handshake: Box<Handshake>,
    /// We have closed our side.
    closed: bool,
}

impl Older {
    /// For a handshake that is over.
    pub(super) fn new(handshake: Box<Handshake>) -> Older {
        Older { handshake, closed: false }
    }

    /// As [`Machine::open`](super::machine::Machine::open).
    ///
    /// # Errors
    /// What the client does wrong, and the client was told.
    pub(super) fn open(&mut self) -> Result<Opened, Error> {
        loop {
            // What went wrong before is still wrong.
            self.handshake.rustls.process_new_packets()?;
            let mut reader = self.handshake.rustls.reader();
            match reader.fill_buf() {
                Ok([]) => return Ok(Opened::End),
                Ok(data) => {
                    let data = BytesMut::from(data);
                    reader.consume(data.len());
                    return Ok(Opened::Data(data));
                }
                // Nothing for now.
                Err(_) => {
                    if !self.handshake.advance()? {
                        return Ok(Opened::Nothing);
                    }
                }
            }
        }
    }

    /// As [`Machine::write`](super::machine::Machine::write), but rustls takes more than a record.
    pub(super) fn write(&mut self, data: &[IoSlice<'_>]) -> Option<usize> {
        if self.closed {
            return None;
        }
        let written = self.handshake.rustls.writer().write_vectored(data).ok()?;
        self.handshake.take_out().ok()?;
        Some(written)
    }

    /// Says that nothing more comes from us.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.handshake.rustls.send_close_notify();
        // `Err`: never, it is memory.
        let _ = self.handshake.take_out();
    }
}

#[cfg(test)]
mod tests {
    use super::super::believer::OLDER_SUITE;
    use super::super::peers::{hears, shaken};
    use super::*;

    #[test]
    fn nothing_follows_our_close() {
        let (mut client, handshake) = shaken(OLDER_SUITE);
        let mut older = Older::new(handshake);
        assert_eq!(older.write(&[IoSlice::new(b"all"), IoSlice::new(b" of it")]), Some(9));
        older.close();
        assert_eq!(older.write(&[IoSlice::new(b"more")]), None);
        assert_eq!(hears(&mut client, &older.handshake.to_client), Ok(b"all of it".to_vec()));
    }
}
