//! The machine and rustls' own client do everything in random order, in random pieces, in process after process.
//!
//! The invariant: each side gets what the other has sent, byte for byte; and what was changed on its way ends the connection.

use std::io::{IoSlice, Write as _};

use bytes::{Buf as _, BytesMut};
use fastrand::Rng;
use rustls::{AlertDescription, ClientConnection, Error};

use super::alert::{Alert, Failure};
use super::machine::{Machine, Opened};
use super::ownership::Arrival;
use super::peers::{SUITES, connected, hears, says};
use super::record::MOST;

#[test]
fn whatever_the_pieces_the_handshake_ends_and_what_came_behind_it_is_read() {
    for suite in SUITES {
        for piece in (1..40).chain([100, 300, 1_000, MOST]) {
            let (mut client, mut machine) = connected(suite, piece, b"early");
            assert_eq!(machine.open(), Ok(Opened::Data(b"early"[..].into())), "pieces of {piece}");
            machine.write(&[IoSlice::new(b"answer")]);
            assert_eq!(hears(&mut client, &machine.to_client), Ok(b"answer".to_vec()));
        }
    }
}

#[test]
fn a_client_that_speaks_no_tls_is_told_so() {
    let config = super::believer::server_config(0x1301);
    for nonsense in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[22, 3, 1, 0xff, 0xff], &[22, 3, 1, 0, 0]] {
        let mut handshake = super::handshake::Handshake::new(&config).expect("it is fine");
        handshake.received.extend_from_slice(nonsense);
        handshake.advance().expect_err("this is no ClientHello");
        assert_eq!(handshake.to_client[..3], [21, 3, 3], "it is an alert");
    }
}

#[test]
fn every_cut_of_a_request_is_carried_over() {
    for suite in SUITES {
        let length = {
            let (mut client, _) = connected(suite, MOST, b"");
            client.writer().write_all(b"request").expect("it is memory");
            says(&mut client).len()
        };
        for cut in 0..length {
            let (mut client, mut machine) = connected(suite, MOST, b"");
            machine.open().expect("nothing is wrong");
            hears(&mut client, &machine.to_client.split()).expect("they are tickets");
            client.writer().write_all(b"request").expect("it is memory");
            let said = says(&mut client);
            machine.received.extend_from_slice(&said[..cut]);
            assert_eq!(machine.open(), Ok(Opened::Nothing));
            machine = moved(machine).unwrap_or_else(|_| panic!("nothing is under way"));
            machine.received.extend_from_slice(&said[cut..]);
            assert_eq!(machine.open(), Ok(Opened::Data(b"request"[..].into())), "cut at {cut}");
        }
    }
}

fn moved(machine: Box<Machine>) -> Result<Box<Machine>, Box<Machine>> {
    let offer = machine.offer()?;
    let message = offer.message();
    drop(offer);
    Ok(Arrival::read(&message).expect("it was just written").taken())
}

/// One of the two, as the test sees it.
#[derive(Default)]
struct Side {
    /// On the wire.
    said: BytesMut,
    /// What it has sent, and what it has got of what the other has sent.
    sent: Vec<u8>,
    got: Vec<u8>,
}

fn some(random: &mut Rng) -> Vec<u8> {
    let length = if random.bool() { random.usize(1..300) } else { random.usize(1..40_000) };
    let first = random.u8(..);
    (0..length).map(|number| first.wrapping_add(number.to_le_bytes()[0])).collect()
}

struct Walk {
    client: ClientConnection,
    machine: Box<Machine>,
    ours: Side,
    theirs: Side,
    moves: u32,
}

impl Walk {
    fn step(&mut self, random: &mut Rng) {
        match random.u8(..14) {
            0 | 1 => {
                let data = some(random);
                self.client.writer().write_all(&data).expect("it is memory");
                self.theirs.sent.extend_from_slice(&data);
            }
            2 => self.client.refresh_traffic_keys().expect("the handshake is over"),
            3 | 4 => {
                let (first, second) = (some(random), some(random));
                let bufs = [IoSlice::new(&first), IoSlice::new(&second)];
                let length = self.machine.write(&bufs).expect("our side is open");
                self.ours.sent.extend_from_slice(&[first, second].concat()[..length]);
            }
            5 => self.machine.answer(),
            6 if random.bool() => {
                // As if its key were worn out.
                self.machine.writes.suite = worn_out(self.machine.writes.suite);
            }
            7 | 8 => self.hear(random),
            9..12 => self.listen(random),
            _ => {
                let length = random.usize(0..=self.machine.to_client.len());
                let length = if random.bool() { self.machine.to_client.len() } else { length };
                self.ours.said.extend_from_slice(&self.machine.to_client.split_to(length));
            }
        }
        self.theirs.said.extend_from_slice(&says(&mut self.client));
    }

    fn hear(&mut self, random: &mut Rng) {
        let length = random.usize(0..=self.ours.said.len());
        let heard = hears(&mut self.client, &self.ours.said.split_to(length));
        self.theirs.got.extend_from_slice(&heard.expect("nothing is wrong"));
    }

    /// As the shell does: no more than a record is kept.
    fn listen(&mut self, random: &mut Rng) {
        let room = MOST - self.machine.received.len();
        let length = random.usize(0..=self.theirs.said.len()).min(room);
        self.machine.received.extend_from_slice(&self.theirs.said.split_to(length));
        while let Opened::Data(data) = self.machine.open().expect("nothing is wrong") {
            self.ours.got.extend_from_slice(&data);
        }
    }
}

fn worn_out(suite: &'static super::suite::Suite) -> &'static super::suite::Suite {
    // Its number is found again in the next process.
    Box::leak(Box::new(super::suite::Suite { most: 3, ..*suite }))
}

fn walk(seed: u64) -> u32 {
    let mut random = Rng::with_seed(seed);
    let random = &mut random;
    let suite = random.choice(SUITES).expect("there are three");
    let (mut client, mut machine) = connected(suite, MOST, b"");
    client.set_buffer_limit(None);
    let ours = Side { said: machine.to_client.split(), ..Side::default() };
    let mut walk = Walk { client, machine, ours, theirs: Side::default(), moves: 0 };
    for _ in 0..120 {
        walk.step(random);
        if random.u8(..4) == 0 {
            walk.machine = match moved(walk.machine) {
                Ok(machine) => {
                    walk.moves += 1;
                    machine
                }
                Err(machine) => machine,
            };
        }
    }
    let Walk { mut client, mut machine, mut ours, mut theirs, moves } = walk;
    machine.close();
    ours.said.extend_from_slice(&machine.to_client.split());
    let heard = hears(&mut client, &ours.said).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    theirs.got.extend_from_slice(&heard);
    client.send_close_notify();
    theirs.said.extend_from_slice(&says(&mut client));
    machine.received.extend_from_slice(&theirs.said);
    while let Opened::Data(data) = machine.open().unwrap_or_else(|failure| panic!("seed {seed}: {failure}")) {
        ours.got.extend_from_slice(&data);
    }
    assert_eq!(machine.open(), Ok(Opened::End), "seed {seed}");
    assert!(ours.got == theirs.sent && theirs.got == ours.sent, "seed {seed}: something was lost");
    moves
}

#[test]
fn whatever_the_order_both_sides_get_what_was_sent() {
    let walks: u64 = std::env::var("WALKS").ok().and_then(|walks| walks.parse().ok()).unwrap_or(200);
    let moves: u32 = (0..walks).map(walk).sum();
    assert!(u64::from(moves) > 2 * walks, "only {moves} moves in {walks} walks");
}

#[test]
fn what_was_changed_on_its_way_is_refused_and_rustls_is_told() {
    for seed in 0..300 {
        let mut random = Rng::with_seed(seed);
        let suite = random.choice(SUITES).expect("there are three");
        let (mut client, mut machine) = connected(suite, MOST, b"");
        hears(&mut client, &machine.to_client.split()).expect("they are tickets");
        client.writer().write_all(&vec![b'x'; random.usize(1..5_000)]).expect("it is memory");
        let mut said = says(&mut client);
        let at = random.usize(5..said.len());
        said[at] ^= 1 << random.u8(..8);
        machine = moved(machine).unwrap_or_else(|_| panic!("nothing is under way"));
        while said.has_remaining() {
            let length = random.usize(1..=said.len());
            machine.received.extend_from_slice(&said.split_to(length));
            if said.has_remaining() {
                assert_eq!(machine.open(), Ok(Opened::Nothing));
            }
        }
        assert_eq!(machine.open(), Err(Failure::Refused(Alert::BadRecordMac)), "seed {seed}");
        let heard = hears(&mut client, &machine.to_client);
        assert_eq!(heard, Err(Error::AlertReceived(AlertDescription::BadRecordMac)), "seed {seed}");
    }
}
