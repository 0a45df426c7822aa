//! Step 3: give the secret that the keys come from, and not the keys.

mod two_ends_tls;

use std::error::Error;

use aws_lc_rs::error::Unspecified;
use rustls::ExtractedSecrets;
use two_ends_tls::Connection;
use two_ends_tls::records::{Direction, expand};

// ANCHOR: secret
fn direction(secret: &[u8], number: u64) -> Result<Direction, Unspecified> {
    Direction::new(&expand(secret, "key", 16)?, &expand(secret, "iv", 12)?, number)
}

fn main() -> Result<(), Box<dyn Error>> {
    let Connection { mut client, old, socket, client_secret } = two_ends_tls::after_one_request()?;
    let ExtractedSecrets { rx: (number, _), .. } = old.dangerous_extract_secrets()?;
    let mut reads = direction(&client_secret, number)?;

    client.update()?;
    client.ask("second")?;
    println!("the new process reads {:?}", reads.open(&socket)?);
    // A KeyUpdate: from here on, the next secret and its keys, and numbers from 0 (section 7.2).
    reads = direction(&expand(&client_secret, "traffic upd", 32)?, 0)?;
    println!("the new process reads {:?}", String::from_utf8(reads.open(&socket)?)?);
    Ok(())
}
// ANCHOR_END: secret
