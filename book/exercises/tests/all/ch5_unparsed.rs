use std::io::{self, Read};

use exercises::ch5_unparsed::Adopted;

/// The socket of a client that waits for its answer before it sends anything.
struct Waits;

impl Read for Waits {
    fn read(&mut self, _room: &mut [u8]) -> io::Result<usize> {
        panic!("a whole request is here, and you wait for a client that waits for its answer")
    }
}

#[test]
fn every_byte_comes_once_and_in_order_however_little_is_read_at_a_time() {
    let (unparsed, sent_later) = ("GET / HTTP/1.1\r\nHo", "st: lab\r\n\r\n");
    for size in [1, 7, 18, 19, 64] {
        let mut adopted = Adopted { unparsed: unparsed.into(), socket: sent_later.as_bytes() };
        let mut came = Vec::new();
        let mut room = vec![0; size];
        loop {
            match adopted.read(&mut room).unwrap() {
                0 => break,
                length => came.extend_from_slice(&room[..length]),
            }
        }
        assert_eq!(
            String::from_utf8_lossy(&came),
            [unparsed, sent_later].concat(),
            "read {size} at a time. What the old process has read is nowhere but here: a byte lost is a request broken"
        );
    }
}

#[test]
fn a_request_that_is_here_already_is_read_without_asking_the_client_for_more() {
    let request = "GET / HTTP/1.1\r\nHost: lab\r\n\r\n";
    let mut adopted = Adopted { unparsed: request.into(), socket: Waits };
    let mut room = [0; 4096];
    let length = adopted.read(&mut room).unwrap();
    assert_eq!(&room[..length], request.as_bytes());
}
