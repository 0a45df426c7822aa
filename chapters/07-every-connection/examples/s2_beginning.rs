//! Step 2: tell the new library first what the client said when the connection began.

mod two_ends;

use std::error::Error;

use tokio::io::{AsyncWriteExt as _, copy_bidirectional, duplex};

/// HTTP/2's default: what the client sends a second time, it may abbreviate (RFC 7541).
const TABLE: u32 = 4096;

// ANCHOR: new
/// The client's first words: the preface, and a SETTINGS frame that sets nothing (RFC 9113, section 3.4).
const BEGINNING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (mut client, mut socket) = two_ends::after_one_request(TABLE).await?;
    let (mut gate, library) = duplex(1 << 16);
    gate.write_all(BEGINNING).await?;
    two_ends::serve(library, "new", TABLE);
    tokio::spawn(async move { copy_bidirectional(&mut gate, &mut socket).await });
    two_ends::ask(&mut client).await;
    Ok(())
}
// ANCHOR_END: new
