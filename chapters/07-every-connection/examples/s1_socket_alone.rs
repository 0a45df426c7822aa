//! Step 1: give the socket of an HTTP/2 connection to another library when no request is open.

mod two_ends;

use std::error::Error;

// ANCHOR: main
/// HTTP/2's default: what the client sends a second time, it may abbreviate (RFC 7541).
const TABLE: u32 = 4096;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (mut client, socket) = two_ends::after_one_request(TABLE).await?;
    two_ends::serve(socket, "new", TABLE);
    two_ends::ask(&mut client).await;
    Ok(())
}
// ANCHOR_END: main
