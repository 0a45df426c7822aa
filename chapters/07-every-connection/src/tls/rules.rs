//! Each rule that the machine keeps, with a client that does not.

use std::io::IoSlice;

use bytes::BytesMut;

use super::alert::{Alert, Failure};
use super::machine::{Machine, Opened};
use super::ownership::{Arrival, Offer};
use super::peers::{Client, SUITES, raw};
use super::record::{ALERT, DATA, HANDSHAKE, HEAD, MOST, MOST_CONTENT, length};

const AES_128: u16 = 0x1301;

const ASKS: &[u8] = &[24, 0, 0, 1, 1, HANDSHAKE];
const TELLS: &[u8] = &[24, 0, 0, 1, 0, HANDSHAKE];

fn write(machine: &mut Machine, data: &[u8]) {
    assert_eq!(machine.write(&[IoSlice::new(data)]), Some(data.len()));
}

fn data(bytes: &[u8]) -> Opened {
    Opened::Data(bytes.into())
}

fn moved(machine: Box<Machine>) -> Box<Machine> {
    let offer = machine.offer().unwrap_or_else(|_| panic!("it can go"));
    Arrival::read(&offer.message()).expect("it was just written").taken()
}

/// What the machine makes of these bytes, and what it says to the client.
fn verdict(client: &mut Client, machine: &mut Machine, bytes: &[u8]) -> (Result<Opened, Failure>, Option<Vec<u8>>) {
    machine.received.extend_from_slice(bytes);
    let opened = machine.open();
    let said = client.opens(&mut machine.to_client);
    assert!(machine.to_client.is_empty(), "it says one thing");
    (opened, said)
}

#[track_caller]
fn refused(client: &mut Client, machine: &mut Machine, bytes: &[u8], alert: Alert) {
    let failure = Err(Failure::Refused(alert));
    let (opened, said) = verdict(client, machine, bytes);
    assert_eq!(opened, failure);
    assert_eq!(said, Some(vec![2, alert as u8, ALERT]));
    assert_eq!(machine.open(), failure, "it is over");
    assert_eq!(machine.write(&[IoSlice::new(b"more")]), None);
    assert!(machine.to_client.is_empty() && !machine.can_go());
}

#[test]
fn what_does_not_open_is_refused() {
    for suite in SUITES {
        let whole = raw(suite).0.seals(b"hello\x17");
        for bit in 0..8 * whole.len() {
            let (mut client, mut machine) = raw(suite);
            let mut record = whole.clone();
            record[bit / 8] ^= 1 << (bit % 8);
            let alert = match length(&record).expect("the head is whole") + HEAD {
                _ if bit / 8 == 0 => Alert::UnexpectedMessage,
                size if size > MOST => Alert::RecordOverflow,
                size if size > whole.len() => {
                    assert_eq!(verdict(&mut client, &mut machine, &record), (Ok(Opened::Nothing), None));
                    continue;
                }
                _ => Alert::BadRecordMac,
            };
            refused(&mut client, &mut machine, &record, alert);
        }
    }
}

#[test]
fn a_record_that_is_not_sealed_is_refused_by_its_first_byte() {
    for kind in (0..=u8::MAX).filter(|kind| *kind != DATA) {
        let (mut client, mut machine) = raw(AES_128);
        refused(&mut client, &mut machine, &[kind], Alert::UnexpectedMessage);
    }
}

#[test]
fn a_record_out_of_order_is_refused() {
    let [replayed, skipped, behind] = [[0, 0].as_slice(), &[1], &[0, 1, 1]];
    for order in [replayed, skipped, behind] {
        let (mut client, mut machine) = raw(AES_128);
        let records = [client.seals(b"first\x17"), client.seals(b"second\x17")];
        let (last, first) = order.split_last().expect("there is one");
        for number in first {
            machine.received.extend_from_slice(&records[*number]);
            machine.open().expect("it is in order");
        }
        refused(&mut client, &mut machine, &records[*last], Alert::BadRecordMac);
    }
}

#[test]
fn a_record_that_is_too_long_is_refused_by_its_head() {
    let (mut client, mut machine) = raw(AES_128);
    let longest = u16::try_from(MOST - HEAD).expect("it fits");
    let head = |length: u16| [&[DATA, 3, 3][..], &length.to_be_bytes()].concat();
    assert_eq!(verdict(&mut client, &mut machine, &head(longest)), (Ok(Opened::Nothing), None));
    machine.received.clear();
    refused(&mut client, &mut machine, &head(longest + 1), Alert::RecordOverflow);
}

#[test]
fn what_holds_too_much_is_refused_and_padding_counts() {
    let (mut client, mut machine) = raw(AES_128);
    let most = [&[1; MOST_CONTENT][..], &[DATA]].concat();
    let record = client.seals(&most);
    assert_eq!(verdict(&mut client, &mut machine, &record), (Ok(data(&most[..MOST_CONTENT])), None));
    let padded = [b"x\x17".to_vec(), vec![0; MOST_CONTENT - 1]].concat();
    let record = client.seals(&padded);
    assert_eq!(verdict(&mut client, &mut machine, &record), (Ok(data(b"x")), None));
    let record = client.seals(&[padded, vec![0]].concat());
    refused(&mut client, &mut machine, &record, Alert::RecordOverflow);
}

#[test]
fn what_is_no_message_for_a_server_is_refused() {
    let unexpected: [&[u8]; 10] = [
        b"",
        &[0; 20],
        b"change\x14",
        b"heartbeat\x18",
        &[HANDSHAKE],
        &[4, 0, 0, 0, HANDSHAKE],
        &[24, 0, 0, HANDSHAKE],
        &[24, 0, 0, 0, HANDSHAKE],
        &[24, 0, 0, 2, 0, 0, HANDSHAKE],
        // Nothing may follow a KeyUpdate in its record.
        &[24, 0, 0, 1, 0, 24, 0, 0, 1, 0, HANDSHAKE],
    ];
    let other = [
        (&[24, 0, 0, 1, 2, HANDSHAKE][..], Alert::IllegalParameter),
        (&[ALERT], Alert::DecodeError),
        (&[1, ALERT], Alert::DecodeError),
        (&[1, 0, 1, ALERT], Alert::DecodeError),
    ];
    for (plain, alert) in unexpected.map(|plain| (plain, Alert::UnexpectedMessage)).into_iter().chain(other) {
        let (mut client, mut machine) = raw(AES_128);
        let record = client.seals(plain);
        refused(&mut client, &mut machine, &record, alert);
    }
}

#[test]
fn an_update_that_was_asked_for_comes_before_the_next_data() {
    for suite in SUITES {
        let (mut client, mut machine) = raw(suite);
        // What asks for none takes nothing back.
        for update in [ASKS, ASKS, TELLS] {
            let update = client.seals(update);
            assert_eq!(verdict(&mut client, &mut machine, &update), (Ok(Opened::Nothing), None));
            client.writes.update().expect("there is always a next secret");
        }
        assert!(!machine.can_go(), "the next process would not know that it owes an update");
        write(&mut machine, b"answer");
        assert_eq!(client.opens(&mut machine.to_client).as_deref(), Some(TELLS), "one is enough, and asks for none");
        client.follows();
        assert_eq!(client.opens(&mut machine.to_client).as_deref(), Some(&b"answer\x17"[..]));
        assert!(machine.to_client.is_empty() && machine.can_go());
    }
}

#[test]
fn an_update_that_was_asked_for_needs_no_data_to_come() {
    let (mut client, mut machine) = raw(AES_128);
    machine.answer();
    assert!(machine.to_client.is_empty(), "none was asked for");
    let record = client.seals(ASKS);
    verdict(&mut client, &mut machine, &record).0.expect("it is a message");
    machine.answer();
    assert_eq!(client.opens(&mut machine.to_client).as_deref(), Some(TELLS));
    client.follows();
    machine = moved(machine);
    write(&mut machine, b"moved");
    assert_eq!(client.opens(&mut machine.to_client).as_deref(), Some(&b"moved\x17"[..]));
}

#[test]
fn a_client_that_asks_and_does_not_read_makes_nothing_pile_up() {
    let (mut client, mut machine) = raw(AES_128);
    write(&mut machine, b"unread");
    let length = machine.to_client.len();
    for _ in 0..9 {
        machine.received.extend_from_slice(&client.seals(ASKS));
        client.writes.update().expect("there is always a next secret");
        assert_eq!(machine.open(), Ok(Opened::Nothing));
        machine.answer();
        assert_eq!(machine.to_client.len(), length);
    }
}

#[test]
fn an_update_that_asks_for_none_gets_none() {
    let (mut client, mut machine) = raw(AES_128);
    let record = client.seals(TELLS);
    assert_eq!(verdict(&mut client, &mut machine, &record), (Ok(Opened::Nothing), None));
    client.writes.update().expect("there is always a next secret");
    let record = client.seals(b"new key\x17");
    machine = moved(machine);
    assert_eq!(verdict(&mut client, &mut machine, &record), (Ok(data(b"new key")), None));
    machine.answer();
    assert!(machine.to_client.is_empty());
}

#[test]
fn updates_without_end_are_refused() {
    let (mut client, mut machine) = raw(AES_128);
    for _ in 0..3 {
        for _ in 0..32 {
            let record = client.seals(TELLS);
            verdict(&mut client, &mut machine, &record).0.expect("that is not too many");
            client.writes.update().expect("there is always a next secret");
        }
        let record = client.seals(b"data\x17");
        assert_eq!(verdict(&mut client, &mut machine, &record), (Ok(data(b"data")), None));
    }
    for _ in 0..32 {
        let record = client.seals(TELLS);
        verdict(&mut client, &mut machine, &record).0.expect("that is not too many");
        client.writes.update().expect("there is always a next secret");
    }
    let record = client.seals(TELLS);
    refused(&mut client, &mut machine, &record, Alert::UnexpectedMessage);
}

#[test]
fn a_key_that_is_worn_out_is_changed_in_any_process() {
    for suite in [0x1301, 0x1302] {
        let (mut client, mut machine) = raw(suite);
        let most = 1 << 24;
        machine.writes.sequence = most - 1;
        client.skips_to(most - 1);
        write(&mut machine, b"the last");
        assert_eq!(client.opens(&mut machine.to_client).as_deref(), Some(&b"the last\x17"[..]));
        machine = moved(machine);
        write(&mut machine, b"the first");
        assert_eq!(client.opens(&mut machine.to_client).as_deref(), Some(TELLS));
        client.follows();
        assert_eq!(client.opens(&mut machine.to_client).as_deref(), Some(&b"the first\x17"[..]));
        assert_eq!(machine.writes.sequence, 1);
    }
}

#[test]
fn numbers_that_run_out_end_the_connection_without_a_word() {
    let (_, mut machine) = raw(0x1303);
    machine.writes.sequence = u64::MAX;
    assert_eq!(machine.write(&[IoSlice::new(b"one too many")]), None);
    assert!(machine.to_client.is_empty(), "plaintext must not leave");
    assert_eq!(machine.open(), Err(Failure::Refused(Alert::InternalError)));
}

#[test]
fn each_side_closes_for_itself() {
    let (mut client, mut machine) = raw(AES_128);
    let close = client.seals(&[1, 0, ALERT]);
    assert_eq!(verdict(&mut client, &mut machine, &close), (Ok(Opened::End), None));
    // What comes behind a close is ignored, whatever it is.
    assert_eq!(verdict(&mut client, &mut machine, b"nonsense"), (Ok(Opened::End), None));
    assert!(!machine.can_go());
    write(&mut machine, b"answer");
    machine.close();
    machine.close();
    assert_eq!(client.opens(&mut machine.to_client).as_deref(), Some(&b"answer\x17"[..]));
    assert_eq!(client.opens(&mut machine.to_client).as_deref(), Some(&[1, 0, ALERT][..]));
    assert_eq!(machine.write(&[IoSlice::new(b"more")]), None);
    assert!(machine.to_client.is_empty(), "nothing follows a close");
}

#[test]
fn we_read_on_behind_our_own_close_but_say_nothing_more() {
    let (mut client, mut machine) = raw(AES_128);
    machine.close();
    client.opens(&mut machine.to_client).expect("the close");
    assert!(!machine.can_go());
    let asks = client.seals(ASKS);
    client.writes.update().expect("there is always a next secret");
    let records = [asks, client.seals(b"data\x17"), b"nonsense".to_vec()].concat();
    machine.received.extend_from_slice(&records);
    assert_eq!(machine.open(), Ok(data(b"data")));
    machine.answer();
    assert_eq!(machine.open(), Err(Failure::Refused(Alert::UnexpectedMessage)));
    assert!(machine.to_client.is_empty() && !machine.can_go());
}

#[test]
fn an_alert_ends_it_and_is_not_answered() {
    let (mut client, mut machine) = raw(AES_128);
    let cancelled = client.seals(&[1, 90, ALERT]);
    assert_eq!(verdict(&mut client, &mut machine, &cancelled), (Ok(Opened::Nothing), None));
    let alert = client.seals(&[2, 42, ALERT]);
    assert_eq!(verdict(&mut client, &mut machine, &alert), (Err(Failure::Alerted(42)), None));
    assert_eq!(machine.write(&[IoSlice::new(b"more")]), None);
    assert!(machine.to_client.is_empty() && !machine.can_go());
}

#[test]
fn the_message_holds_secrets_numbers_and_what_was_not_read_and_nothing_else() {
    for suite in SUITES {
        let (mut client, mut machine) = raw(suite);
        let records = [client.seals(b"first\x17"), client.seals(b"second\x17")].concat();
        let (now, later) = records.split_at(records.len() - 7);
        machine.received.extend_from_slice(now);
        assert_eq!(machine.open(), Ok(data(b"first")));
        write(&mut machine, b"one");
        client.opens(&mut machine.to_client).expect("it is whole");
        let rest = machine.received.to_vec();
        let message = machine.offer().unwrap_or_else(|_| panic!("it can go")).message();
        let secret = if suite == 0x1302 { 48 } else { 32 };
        let one = 1_u64.to_be_bytes();
        let expected = [b"tls13/1", &suite.to_be_bytes()[..], &vec![2; secret], &one, &vec![1; secret], &one, &rest];
        assert_eq!(**message, expected.concat());
        let mut machine = Arrival::read(&message).expect("it was just written").taken();
        machine.received.extend_from_slice(later);
        assert_eq!(machine.open(), Ok(data(b"second")));
        write(&mut machine, b"two");
        assert_eq!(client.opens(&mut machine.to_client).as_deref(), Some(&b"two\x17"[..]));
    }
}

#[test]
fn what_is_not_understood_is_declined() {
    let (_, machine) = raw(AES_128);
    let whole = machine.offer().unwrap_or_else(|_| panic!("it can go")).message();
    for length in 0..whole.len() {
        assert!(Arrival::read(&whole[..length]).is_none(), "{length} of {} bytes", whole.len());
    }
    for (at, byte) in [(0, b'T'), (6, b'2'), (7, 0), (8, 4)] {
        let mut other = whole.to_vec();
        other[at] = byte;
        assert!(Arrival::read(&other).is_none(), "byte {at} is {byte}");
    }
    let most = [&whole[..], &vec![DATA; MOST]].concat();
    assert!(Arrival::read(&most).is_some());
    assert!(Arrival::read(&[&most[..], &[DATA]].concat()).is_none(), "no process keeps as much unread");
}

#[test]
fn what_was_declined_goes_on_where_it_was() {
    let (mut client, mut machine) = raw(AES_128);
    let record = client.seals(b"data\x17");
    machine.received.extend_from_slice(&record[..9]);
    let offer: Offer = machine.offer().unwrap_or_else(|_| panic!("it can go"));
    drop(Arrival::read(&offer.message()));
    let mut machine = offer.declined();
    assert_eq!(verdict(&mut client, &mut machine, &record[9..]), (Ok(data(b"data")), None));
    write(&mut machine, b"here");
    assert_eq!(client.opens(&mut machine.to_client).as_deref(), Some(&b"here\x17"[..]));
}

#[test]
fn what_is_half_said_does_not_go() {
    let (_, mut machine) = raw(AES_128);
    write(&mut machine, b"on its way");
    let Err(mut machine) = machine.offer() else { panic!("the client would never hear it") };
    machine.to_client = BytesMut::new();
    assert!(machine.offer().is_ok());
}
