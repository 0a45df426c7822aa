//! Step 2: and give the keys with it.

mod two_ends_tls;

use std::error::Error;

use rustls::ExtractedSecrets;
use two_ends_tls::Connection;
use two_ends_tls::records::Direction;

// ANCHOR: main
fn main() -> Result<(), Box<dyn Error>> {
    let Connection { mut client, old, mut socket, .. } = two_ends_tls::after_one_request()?;
    let ExtractedSecrets { tx, rx } = old.dangerous_extract_secrets()?;
    let (mut reads, mut writes) = (Direction::try_from(rx)?, Direction::try_from(tx)?);

    client.ask("second")?;
    println!("the new process reads {:?}", String::from_utf8(reads.open(&socket)?)?);
    writes.seal("the new process answers second", &mut socket)?;
    client.listens()?;

    client.update()?;
    client.ask("third")?;
    println!("the new process reads {:?}", reads.open(&socket)?);
    if let Err(error) = reads.open(&socket) {
        println!("the new process: {error}");
    }
    Ok(())
}
// ANCHOR_END: main
