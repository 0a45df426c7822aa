//! What RFC 8448 has written down of a connection with AES-128-GCM (section 3, "Simple 1-RTT Handshake"): our keys and records
//! are the same bytes.

use std::io::IoSlice;

use bytes::BytesMut;

use super::keys::{Keys, Secret};
use super::machine::{Machine, Opened};
use super::suite::Suite;

const CLIENT_SECRET: &str = "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";
const SERVER_SECRET: &str = "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643";
const SERVER_IV: &str = "cf782b88dd83549aadf1e984";

const CLIENT_DATA: &str = "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b\
    62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4";
const SERVER_DATA: &str = "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8\
    fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d";
const CLIENT_CLOSE: &str = "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3";
const SERVER_CLOSE: &str = "1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9";

fn hex(digits: &str) -> Vec<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).expect("hex");
    digits.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn keys(secret: &str, sequence: u64) -> Keys {
    let suite = Suite::find(0x1301).expect("it is the first");
    Keys::new(suite, Secret::new(hex(secret)), sequence).expect("the secret is as long as it should be")
}

#[test]
fn records_are_as_the_rfc_has_them() {
    let received = BytesMut::from(&[hex(CLIENT_DATA), hex(CLIENT_CLOSE)].concat()[..]);
    // The server has sent a ticket before.
    let mut server = Machine::new(keys(CLIENT_SECRET, 0), keys(SERVER_SECRET, 1), received, BytesMut::new());
    let data: Vec<u8> = (0..50).collect();
    assert_eq!(server.open(), Ok(Opened::Data(data[..].into())));
    assert_eq!(server.open(), Ok(Opened::End));
    server.write(&[IoSlice::new(&data)]).expect("our side is open");
    server.close();
    assert_eq!(server.to_client, [hex(SERVER_DATA), hex(SERVER_CLOSE)].concat()[..]);
}

#[test]
fn the_iv_tells_a_secret_from_another() {
    assert!(keys(SERVER_SECRET, 0).have_iv(&hex(SERVER_IV)));
    assert!(!keys(CLIENT_SECRET, 0).have_iv(&hex(SERVER_IV)));
    let mut updated = keys(SERVER_SECRET, 7);
    updated.update().expect("there is always a next secret");
    assert!(Keys::new(updated.suite, Secret::new(vec![0; 48]), 0).is_err(), "that is a secret of another suite");
    assert!(!updated.have_iv(&hex(SERVER_IV)) && updated.sequence == 0);
}
