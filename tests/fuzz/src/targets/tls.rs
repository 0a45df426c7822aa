//! Chapter 7's record layer, in process after process, beside rustls' own server with the same keys: what a client says, both read
//! as the same data, or refuse; and what they answer, it reads as the same.
//!
//! The input is a suite, and a list of steps, each a letter and a byte that says more. The client knows the keys and keeps no rules;
//! or it does not know them.

#[allow(dead_code)]
#[path = "../../../../chapters/07-every-connection/src/tls/alert.rs"]
mod alert;
#[allow(dead_code)]
#[path = "../../../../chapters/07-every-connection/src/tls/believer.rs"]
mod believer;
#[allow(dead_code)]
#[path = "../../../../chapters/07-every-connection/src/tls/keys.rs"]
mod keys;
#[allow(dead_code)]
#[path = "../../../../chapters/07-every-connection/src/tls/machine.rs"]
mod machine;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../../chapters/07-every-connection/src/tls/ownership.rs"]
mod ownership;
mod peers;
#[allow(dead_code)]
#[path = "../../../../chapters/07-every-connection/src/tls/record.rs"]
mod record;
#[allow(dead_code)]
#[path = "../../../../chapters/07-every-connection/src/tls/suite.rs"]
mod suite;

use std::io::{IoSlice, Write as _};

use bytes::BytesMut;
use rustls::{Error, ServerConnection};

use alert::Failure;
use keys::{Keys, Secret};
use machine::{Machine, Opened};
use ownership::Arrival;
use peers::{Recorded, hear, says};
use record::{ALERT, DATA, HANDSHAKE, HEAD, MOST, MOST_CONTENT, head, length};
use suite::Suite;

const KEY_UPDATE: [u8; 4] = [24, 0, 0, 1];

/// Where rustls and the machine may differ.
#[derive(Default)]
struct Excuses {
    /// One refuses by the head of a record, and the other waits for the rest; or the machine, by a message that does not fill its
    /// record.
    stricter: bool,
    /// The machine reads no level of an alert, and counts neither warnings nor records with nothing in them; nor, from process to
    /// process, KeyUpdates.
    laxer: bool,
}

struct World {
    client: Keys,
    /// What the client opens answers with: the machine's, and rustls'.
    opens: [Keys; 2],
    machine: Box<Machine>,
    rustls: ServerConnection,
    said: Vec<u8>,
    /// What was answered, as data.
    answered: [Vec<u8>; 2],
    excuses: Excuses,
    /// How many bytes of what the client has said are not delivered before it asks for a KeyUpdate, each time.
    asks: Vec<usize>,
    /// The machine has heard it.
    asked: bool,
    updates: u32,
    warned: u32,
    empty: u32,
}

pub(crate) fn run(bytes: &[u8]) {
    let Some((suite, mut rest)) = bytes.split_first() else { return };
    let recorded = Recorded::with(*suite);
    let suite = Suite::find(recorded.suite).expect("it is one of TLS 1.3");
    let [client, server] = [0, 1].map(|number| {
        let secret = &recorded.secrets[number];
        move || Keys::new(suite, Secret::new(secret.clone()), 0).expect("it is as long as it should be")
    });
    let mut world = World {
        client: client(),
        opens: [server(), server()],
        machine: Machine::new(client(), server(), BytesMut::new(), BytesMut::new()),
        rustls: recorded.server(),
        said: Vec::new(),
        answered: [Vec::new(), Vec::new()],
        excuses: Excuses::default(),
        asks: Vec::new(),
        asked: false,
        updates: 0,
        warned: 0,
        empty: 0,
    };
    while let [what, how, behind @ ..] = rest {
        rest = behind;
        match world.step(*what, *how, &mut rest) {
            Some(goes_on) => world = goes_on,
            None => return,
        }
    }
    world.deliver(usize::MAX);
}

/// What crosses from process to process: what is understood is written as the same, and whatever it says, the machine goes on.
pub(crate) fn run_state(bytes: &[u8]) {
    let Some(arrival) = Arrival::read(bytes) else { return };
    let Ok(offer) = arrival.taken().offer() else { panic!("nothing is under way") };
    assert_eq!(&offer.message()[..], bytes, "it was just read");
    let mut machine = offer.declined();
    let opened = machine.open();
    let written = machine.write(&[IoSlice::new(b"data")]);
    assert!(written.is_none() || opened.is_ok(), "nothing is said on a connection that is over");
    assert!(machine.to_client.len() < 200 && machine.received.len() <= MOST);
}

/// Usually a few bytes, up to more than a record holds: each of them is looked at several times.
fn size(how: u8) -> usize {
    if how < 192 { how.into() } else { usize::from(how - 192) * 280 }
}

fn take<'a>(rest: &mut &'a [u8], most: u8) -> &'a [u8] {
    let (taken, behind) = rest.split_at(rest.len().min(most.into()));
    *rest = behind;
    taken
}

impl World {
    /// `None`: the connection is over.
    fn step(mut self, what: u8, how: u8, rest: &mut &[u8]) -> Option<World> {
        match what % 12 {
            0 => self.seals(&[take(rest, how), &[DATA]].concat()),
            1 => self.seals(&[vec![how; size(how)], vec![DATA]].concat()),
            2 => self.updates(how),
            // Whatever it is.
            3 => self.seals(take(rest, how)),
            // One that is padded, of any type.
            4 => self.seals(&[take(rest, 4), &[20 + how % 5], &vec![0; size(how)]].concat()),
            5 => {
                self.excuses.stricter = true;
                self.said.extend_from_slice(take(rest, how));
            }
            6 => {
                let at = self.said.len().checked_sub(1 + usize::from(how));
                if let Some(byte) = at.and_then(|at| self.said.get_mut(at)) {
                    *byte ^= 1 << (how % 8);
                    self.excuses.stricter = true;
                }
            }
            7 => return self.deliver(how.into()),
            8 => return self.deliver(usize::MAX),
            9 => self.writes(how),
            10 => {
                self.machine.answer();
                self.asked = false;
                self.hears(0);
            }
            _ => return Some(self.moves()),
        }
        Some(self)
    }

    /// Seals this: content, its type, and padding.
    fn seals(&mut self, plain: &[u8]) {
        self.excuse(plain);
        let (head, mut payload) = (head(plain.len() + 16), plain.to_vec());
        let tag = self.client.seal(head, &mut payload).expect("there are numbers left");
        self.said.extend_from_slice(&[&head[..], &payload, tag.as_ref()].concat());
    }

    fn excuse(&mut self, plain: &[u8]) {
        self.excuses.stricter |= plain.len() > MOST_CONTENT + 1;
        let end = plain.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        self.empty += u32::from(end == 0);
        self.excuses.laxer |= self.empty > 31;
        match plain.get(end) {
            Some(&HANDSHAKE) => self.excuses.stricter = true,
            Some(&ALERT) => {
                self.warned += u32::from(matches!(plain[..end], [1, _]));
                let odd = end == 2 && (!(1..=2).contains(&plain[0]) || plain[..2] == [2, 90]);
                self.excuses.laxer |= odd || self.warned > 4;
            }
            _ => {}
        }
    }

    fn updates(&mut self, how: u8) {
        let message = [&KEY_UPDATE[..], &[how % 2, HANDSHAKE]].concat();
        let stricter = self.excuses.stricter;
        self.seals(&message);
        self.excuses.stricter = stricter;
        self.client.update().expect("there is always a next secret");
        self.updates += 1;
        if how % 2 == 1 {
            self.asks.push(self.said.len());
        }
    }

    /// Gives both the next bytes, and compares what they make of them.
    fn deliver(mut self, most: usize) -> Option<World> {
        let mut said = self.said.split_off(self.said.len().min(most));
        std::mem::swap(&mut said, &mut self.said);
        let asks = self.asks.len();
        self.asks.retain(|end| *end > said.len());
        let heard = self.asks.len() < asks;
        self.asks.iter_mut().for_each(|end| *end -= said.len());
        let (mut ours, mut rest) = (Vec::new(), &said[..]);
        let opened = loop {
            match self.machine.open() {
                Ok(Opened::Data(data)) => ours.extend_from_slice(&data),
                Ok(Opened::Nothing) if !rest.is_empty() => {
                    // As the shell does: no more than a record is kept.
                    let room = MOST - self.machine.received.len();
                    let (now, later) = rest.split_at(rest.len().min(room));
                    self.machine.received.extend_from_slice(now);
                    rest = later;
                }
                opened => break opened,
            }
        };
        let failed = opened.is_err();
        let theirs = hear(&mut self.rustls, &said);
        let (data, verdict) = match theirs {
            Ok(data) => (data, Ok(self.rustls.process_new_packets().is_ok_and(|state| state.peer_has_closed()))),
            Err((data, error)) => (data, Err(error)),
        };
        match (opened, verdict) {
            (Ok(Opened::End), Ok(true)) => assert_eq!(ours, data),
            (Ok(opened), Ok(false)) => {
                assert_eq!((opened, ours), (Opened::Nothing, data));
                // What was changed on its way may hide it.
                self.asked |= heard && !self.excuses.stricter;
                return Some(self);
            }
            (Err(Failure::Alerted(number)), Err(Error::AlertReceived(alert))) if !self.excuses.laxer => {
                assert_eq!((number, ours), (u8::from(alert), data));
            }
            (Err(Failure::Refused(alert)), Err(_)) => {
                let Excuses { stricter, laxer } = self.excuses;
                assert!(ours == data || stricter && data.starts_with(&ours) || laxer && ours.starts_with(&data));
                assert_eq!(self.last_word(), [2, alert as u8, ALERT], "the client is told");
            }
            (Err(_), Ok(_)) => assert!(self.excuses.stricter && data.starts_with(&ours), "rustls goes on"),
            (opened @ (Ok(_) | Err(Failure::Alerted(_))), Err(error)) => {
                let waits = opened == Ok(Opened::Nothing) && ours == data && self.excuses.stricter;
                assert!(waits || self.excuses.laxer && ours.starts_with(&data), "rustls refuses: {error}");
            }
            (opened, closed) => panic!("{opened:?}, and rustls {closed:?}"),
        }
        assert!(!failed || self.machine.write(&[IoSlice::new(b"more")]).is_none(), "nothing follows");
        None
    }

    /// What the machine says last.
    fn last_word(&mut self) -> Vec<u8> {
        let mut last = Vec::new();
        while let Some(plain) = next(&mut self.opens[0], &mut self.machine.to_client) {
            last = plain;
        }
        last
    }

    /// Both say the same.
    fn writes(&mut self, how: u8) {
        let data = vec![how; 1 + size(how)];
        let written = self.machine.write(&[IoSlice::new(&data[..1]), IoSlice::new(&data[1..])]);
        assert_eq!(written, Some(data.len().min(MOST_CONTENT)), "our side is open");
        self.rustls.writer().write_all(&data[..written.unwrap_or(0)]).expect("it is memory");
        let update = self.hears(0);
        assert!(update || !self.asked, "an update that was asked for comes before the next data");
        self.hears(1);
        assert_eq!(self.answered[0], self.answered[1]);
        self.answered = [Vec::new(), Vec::new()];
        self.asked = false;
    }

    /// Opens all that one of the two has said. Whether a KeyUpdate was among it.
    fn hears(&mut self, whose: usize) -> bool {
        let mut said = match whose {
            0 => self.machine.to_client.split(),
            _ => BytesMut::from(&says(&mut self.rustls)[..]),
        };
        assert!(said.len() < 3 * MOST, "{} bytes were kept", said.len());
        let mut update = false;
        while let Some(plain) = next(&mut self.opens[whose], &mut said) {
            if let Some((&DATA, data)) = plain.split_last() {
                self.answered[whose].extend_from_slice(data);
                continue;
            }
            assert_eq!(plain, [&KEY_UPDATE[..], &[0, HANDSHAKE]].concat(), "it asks for none");
            self.opens[whose].update().expect("there is always a next secret");
            update = true;
        }
        update
    }

    /// Goes to another process.
    fn moves(mut self) -> World {
        let machine = match self.machine.offer() {
            Ok(offer) => {
                // It counts anew.
                self.excuses.laxer |= self.updates > 0;
                Arrival::read(&offer.message()).expect("it was just written").taken()
            }
            Err(machine) => {
                assert!(self.asked || self.excuses.stricter, "nothing is under way");
                machine
            }
        };
        World { machine, ..self }
    }
}

/// Opens the next record.
fn next(keys: &mut Keys, said: &mut BytesMut) -> Option<Vec<u8>> {
    let mut record = said.split_to(HEAD + length(said)?);
    Some(keys.open(&mut record).expect("it was sealed with the server's key and number").to_vec())
}
