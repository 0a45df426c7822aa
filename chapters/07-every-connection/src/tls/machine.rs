//! The record layer behind a handshake (RFC 8446, section 5), without a socket.
//!
//! The invariant: what it opens is what the client sealed, in order, without a gap; and every record that it seals has a number
//! of its own.

use std::io::IoSlice;

use bytes::{Buf as _, BytesMut};

use super::alert::{Alert, Failure, USER_CANCELED};
use super::keys::Keys;
use super::record::{ALERT, DATA, HANDSHAKE, HEAD, MOST_CONTENT, head, size, unpad};

/// How many KeyUpdates a client may send with nothing in between. Each makes us derive keys, and none is of use.
const MOST_UPDATES: u8 = 32;

/// A KeyUpdate without its last byte, which says whether the other side should send one, too (section 4.6.3).
const KEY_UPDATE: [u8; 4] = [24, 0, 0, 1];

pub(super) struct Machine {
    pub(super) reads: Keys,
    pub(super) writes: Keys,
    /// What came from the client and was not opened: the rest of a record, or records.
    pub(super) received: BytesMut,
    /// What is sealed, and goes to the client as it is.
    pub(super) to_client: BytesMut,
    /// The client has asked for a KeyUpdate.
    owes_update: bool,
    updates: u8,
    /// The client has closed its side.
    ended: bool,
    /// We have closed ours.
    closed: bool,
    failure: Option<Failure>,
}

/// What comes next from the client.
#[derive(Debug, PartialEq)]
pub(super) enum Opened {
    Data(BytesMut),
    /// Nothing, before more is received.
    Nothing,
    /// The client has closed its side.
    End,
}

impl Machine {
    /// In a box: what goes from hand to hand leaves copies behind.
    pub(super) fn new(reads: Keys, writes: Keys, received: BytesMut, to_client: BytesMut) -> Box<Machine> {
        Box::new(Machine {
            reads,
            writes,
            received,
            to_client,
            owes_update: false,
            updates: 0,
            ended: false,
            closed: false,
            failure: None,
        })
    }

    /// Opens what was received, to the first record that holds something for us.
    ///
    /// # Errors
    /// Why the connection is over, now and from now on. What the client has to be told about that is in `to_client`.
    pub(super) fn open(&mut self) -> Result<Opened, Failure> {
        loop {
            if let Some(failure) = self.failure {
                return Err(failure);
            }
            if self.ended {
                return Ok(Opened::End);
            }
            let opened = self.open_next();
            match opened {
                Ok(Some(data)) if data.is_empty() => {}
                Ok(Some(data)) => return Ok(Opened::Data(data)),
                Ok(None) => return Ok(Opened::Nothing),
                Err(alert) => self.fail(alert),
            }
        }
    }

    /// The data in the next record, none if it holds something else. `None`: it is not whole.
    fn open_next(&mut self) -> Result<Option<BytesMut>, Alert> {
        let Some(size) = size(&self.received)?.filter(|size| *size <= self.received.len()) else { return Ok(None) };
        let mut record = self.received.split_to(size);
        let plain = self.reads.open(&mut record).map_err(|_| Alert::BadRecordMac)?;
        let (kind, length) = unpad(plain)?;
        record.advance(HEAD);
        record.truncate(length);
        match kind {
            DATA => {
                self.updates = 0;
                return Ok(Some(record));
            }
            HANDSHAKE => self.update(&record)?,
            ALERT => self.alert(&record)?,
            _ => return Err(Alert::UnexpectedMessage),
        }
        Ok(Some(BytesMut::new()))
    }

    /// The only message that a client may send now is a KeyUpdate. It fills a record: nothing may follow it under the old key; and
    /// five bytes are not split.
    fn update(&mut self, message: &[u8]) -> Result<(), Alert> {
        let request = match message.strip_prefix(&KEY_UPDATE) {
            Some([request @ 0..=1]) => *request == 1,
            Some([_]) => return Err(Alert::IllegalParameter),
            _ => return Err(Alert::UnexpectedMessage),
        };
        self.updates += 1;
        if self.updates > MOST_UPDATES {
            return Err(Alert::UnexpectedMessage);
        }
        self.owes_update |= request;
        self.reads.update().map_err(|_| Alert::InternalError)
    }

    /// The level says nothing (section 6).
    fn alert(&mut self, alert: &[u8]) -> Result<(), Alert> {
        const CLOSE_NOTIFY: u8 = Alert::CloseNotify as u8;
        match *alert {
            [_, CLOSE_NOTIFY] => self.ended = true,
            [_, USER_CANCELED] => {}
            [_, number] => (self.failure, self.closed) = (Some(Failure::Alerted(number)), true),
            _ => return Err(Alert::DecodeError),
        }
        Ok(())
    }

    fn fail(&mut self, alert: Alert) {
        self.say(2, alert);
        self.failure = Some(Failure::Refused(alert));
    }

    /// Says that nothing more comes from us.
    pub(super) fn close(&mut self) {
        self.say(1, Alert::CloseNotify);
    }

    fn say(&mut self, level: u8, alert: Alert) {
        self.seal(ALERT, &[IoSlice::new(&[level, alert as u8])]);
        self.closed = true;
    }

    /// Seals as much of this as one record holds, behind a KeyUpdate if one is due. Returns how much that was; `None`: we have
    /// closed our side.
    pub(super) fn write(&mut self, data: &[IoSlice<'_>]) -> Option<usize> {
        if self.owes_update || self.writes.are_worn_out() {
            self.send_update();
        }
        self.seal(DATA, data)
    }

    /// Seals the KeyUpdate that the client has asked for, if there is room for it. Otherwise, and if it asks again, the one
    /// before the next data is enough.
    pub(super) fn answer(&mut self) {
        if self.owes_update && self.to_client.is_empty() {
            self.send_update();
        }
    }

    fn send_update(&mut self) {
        self.owes_update = false;
        let said = self.seal(HANDSHAKE, &[IoSlice::new(&KEY_UPDATE), IoSlice::new(&[0])]);
        if said.is_some() && self.writes.update().is_err() {
            self.break_off();
        }
    }

    /// Returns how much of the content is in the record. `None`: nothing follows what we have said last.
    fn seal(&mut self, kind: u8, content: &[IoSlice<'_>]) -> Option<usize> {
        if self.closed {
            return None;
        }
        let start = self.to_client.len();
        self.to_client.extend_from_slice(&[0; HEAD]);
        let mut room = MOST_CONTENT;
        for part in content {
            let part = &part[..part.len().min(room)];
            self.to_client.extend_from_slice(part);
            room -= part.len();
        }
        self.to_client.extend_from_slice(&[kind]);
        let (to, plain) = self.to_client[start..].split_at_mut(HEAD);
        let head = head(plain.len() + self.writes.suite.aead.tag_len());
        to.copy_from_slice(&head);
        let Ok(tag) = self.writes.seal(head, plain) else {
            // It must not leave as it is.
            self.to_client.truncate(start);
            self.break_off();
            return None;
        };
        self.to_client.extend_from_slice(tag.as_ref());
        Some(MOST_CONTENT - room)
    }

    /// Without a word: it could not be sealed.
    fn break_off(&mut self) {
        (self.failure, self.closed) = (Some(Failure::Refused(Alert::InternalError)), true);
    }

    /// Whether another process can go on from here: nothing is half said, and neither side has said goodbye.
    pub(super) fn can_go(&self) -> bool {
        self.to_client.is_empty() && !self.owes_update && !self.ended && !self.closed && self.failure.is_none()
    }
}
