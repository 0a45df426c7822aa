//! Step 1: give the socket of a TLS connection to another process when nothing is under way.

mod two_ends_tls;

use std::error::Error;
use std::sync::Arc;

use rustls::NoKeyLog;
use two_ends_tls::Connection;

// ANCHOR: main
fn main() -> Result<(), Box<dyn Error>> {
    let Connection { mut client, mut socket, .. } = two_ends_tls::after_one_request()?;
    let mut new = two_ends_tls::server(Arc::new(NoKeyLog))?;
    client.ask("second")?;
    if let Err(error) = two_ends_tls::serve(&mut new, &mut socket, "new") {
        println!("the new process: {error}");
    }
    client.listens()?;
    Ok(())
}
// ANCHOR_END: main
