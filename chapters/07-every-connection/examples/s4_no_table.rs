//! Step 4: and tell the client, when the connection begins, to abbreviate nothing.

mod two_ends;

use std::error::Error;
use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, copy_bidirectional, duplex};

// ANCHOR: table
/// The client then refers to no earlier request.
const TABLE: u32 = 0;
// ANCHOR_END: table

/// The client's first words: the preface, and a SETTINGS frame that sets nothing (RFC 9113, section 3.4).
const BEGINNING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (mut client, mut socket) = two_ends::after_one_request(TABLE).await?;
    let (mut gate, library) = duplex(1 << 16);
    gate.write_all(BEGINNING).await?;
    two_ends::serve(library, "new", TABLE);
    while !is_acknowledgement(&mut gate).await? {}
    tokio::spawn(async move { copy_bidirectional(&mut gate, &mut socket).await });
    two_ends::ask(&mut client).await;
    Ok(())
}

/// Reads a frame, and says whether it acknowledges a SETTINGS frame. A frame is three bytes for its length, a type, flags, the
/// number of a stream, and its content (section 4.1).
async fn is_acknowledgement(gate: &mut DuplexStream) -> io::Result<bool> {
    let mut head = [0; 9];
    gate.read_exact(&mut head).await?;
    let [a, b, c, kind, flags, ..] = head;
    let mut content = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    gate.read_exact(&mut content).await?;
    Ok(kind == 4 && flags & 1 == 1)
}
