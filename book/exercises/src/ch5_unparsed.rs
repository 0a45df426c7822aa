//! A connection that was taken over: what the old process had read of it comes first, then what the socket has.

use std::io::{self, Read};

/// A connection, and what was read of it before it came.
#[derive(Debug)]
pub struct Adopted<S> {
    /// What the old process has read and not understood: half a head, or requests that wait for their turn.
    pub unparsed: Vec<u8>,
    /// The connection itself: what was not read yet comes from here.
    pub socket: S,
}

impl<S: Read> Read for Adopted<S> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let length = room.len().min(self.unparsed.len());
        room[..length].copy_from_slice(&self.unparsed[..length]);
        self.unparsed.clear();
        Ok(length + self.socket.read(&mut room[length..])?)
    }
}
