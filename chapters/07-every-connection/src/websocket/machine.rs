//! Where the frames and messages of one connection begin and end, told from its bytes alone.
//!
//! The invariant: when it [is quiet](Machine::is_quiet), neither side is in the middle of a message, every ping that was released is
//! answered, and neither side has said goodbye. What it does not understand passes, and the connection is never quiet again.

/// A frame that is not longer is released as a whole; so it can also go on as a part. A longer one is released as it comes.
pub(super) const WHOLE: usize = 8 * 1024;

pub(super) const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Both directions of one connection.
#[derive(Debug, Default)]
pub(super) struct Machine {
    incoming: Direction,
    outgoing: Direction,
    /// The head of an outgoing frame, as far as it is written; or the frame, if it is a control frame.
    begun: Vec<u8>,
    /// What the last ping said that was released. A library that cannot write may answer only the last one.
    ping: Option<Vec<u8>>,
    /// A side has said goodbye, or breaks the rules, or uses an extension.
    ends: bool,
}

#[derive(Debug, Default)]
struct Direction {
    /// What is still to come of the frame.
    left: u64,
    /// The next frame of data goes on with a message.
    open: bool,
}

impl Direction {
    fn is_between(&self) -> bool {
        self.left == 0 && !self.open
    }
}

/// What precedes a frame's payload (RFC 6455, section 5.2).
struct Head {
    opcode: u8,
    fin: bool,
    size: usize,
    frame_size: u64,
}

/// This is no frame, or one of an extension.
struct Broken;

impl Head {
    /// `Ok(None)`: there is more to come.
    fn read(bytes: &[u8], masked: bool) -> Result<Option<Head>, Broken> {
        let [first, second, ..] = *bytes else { return Ok(None) };
        let (fin, opcode, length) = (first & 0x80 != 0, first & 0xf, second & 0x7f);
        let allowed = match opcode {
            0..=2 => true,
            CLOSE | PING | PONG => fin && length <= 125,
            _ => false,
        };
        if !allowed || first & 0x70 != 0 || (second & 0x80 != 0) != masked {
            return Err(Broken);
        }
        let more = match length {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let size = 2 + more + if masked { 4 } else { 0 };
        if bytes.len() < size {
            return Ok(None);
        }
        let number = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        let length = if more == 0 { length.into() } else { bytes[2..2 + more].iter().fold(0, number) };
        let frame_size = if length >> 63 == 0 { length + size as u64 } else { return Err(Broken) };
        Ok(Some(Head { opcode, fin, size, frame_size }))
    }

    fn is_control(&self) -> bool {
        self.opcode >= CLOSE
    }
}

impl Machine {
    // ANCHOR: quiet
    pub(super) fn is_quiet(&self) -> bool {
        let between = self.incoming.is_between() && self.outgoing.is_between() && self.begun.is_empty();
        between && self.ping.is_none() && !self.ends
    }
    // ANCHOR_END: quiet

    /// Whether the client is in the middle of a message, as far as it was released.
    pub(super) fn is_in_message(&self) -> bool {
        !self.incoming.is_between() && !self.ends
    }

    /// Whether a control frame can be written between those of the library.
    pub(super) fn is_between_frames(&self) -> bool {
        self.outgoing.left == 0 && self.begun.is_empty() && !self.ends
    }

    /// How many bytes may go to the library.
    fn passes(&self) -> u64 {
        if self.ends { u64::MAX } else { self.incoming.left }
    }

    /// Releases as many of these bytes as it may, `room` at most, and returns how many. `held`: no further message is begun, unless
    /// without it the connection would never be quiet.
    pub(super) fn release(&mut self, bytes: &[u8], room: usize, held: bool) -> usize {
        // What the library was given before this, it has had the time to answer.
        let held = held && (self.is_in_message() || self.is_quiet());
        let (mut released, most) = (0, room.min(bytes.len()));
        while released < most {
            if self.passes() == 0 && !(held && self.incoming.is_between()) {
                self.begin(&bytes[released..]);
            }
            let step = self.passes().min((most - released) as u64);
            if step == 0 {
                break;
            }
            self.incoming.left = self.incoming.left.saturating_sub(step);
            released += usize::try_from(step).unwrap_or(most);
        }
        released
    }

    /// Begins the client's next frame, if enough of it is there.
    fn begin(&mut self, bytes: &[u8]) {
        let head = match Head::read(bytes, true) {
            Ok(Some(head)) if head.frame_size > WHOLE as u64 || head.frame_size <= bytes.len() as u64 => head,
            Ok(_) => return,
            Err(Broken) => {
                self.ends = true;
                return;
            }
        };
        if !head.is_control() {
            self.ends = self.incoming.open != (head.opcode == 0);
            self.incoming.open = !head.fin;
        } else if head.opcode == PING {
            let (mask, payload) = bytes[head.size - 4..].split_at(4);
            let length = usize::from(bytes[1] & 0x7f);
            self.ping =
                Some(payload.iter().take(length).zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect());
        }
        self.ends |= head.opcode == CLOSE;
        self.incoming.left = head.frame_size;
    }

    /// Notes what the library has written.
    pub(super) fn sent(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.ends {
            let step = usize::try_from(self.outgoing.left).unwrap_or(usize::MAX).min(bytes.len());
            self.outgoing.left -= step as u64;
            bytes = &bytes[step..];
            let [first, rest @ ..] = bytes else { return };
            bytes = rest;
            self.begun.push(*first);
            match Head::read(&self.begun, false) {
                Ok(Some(head)) if !head.is_control() || head.frame_size == self.begun.len() as u64 => self.write(&head),
                Ok(_) => {}
                Err(Broken) => self.ends = true,
            }
        }
    }

    /// The library's next frame has begun; or, if it is a control frame, is written.
    fn write(&mut self, head: &Head) {
        let begun = std::mem::take(&mut self.begun);
        self.outgoing.left = head.frame_size - begun.len() as u64;
        if !head.is_control() {
            self.outgoing.open = !head.fin;
        }
        self.ping.take_if(|ping| head.opcode == PONG && *ping == begun[head.size..]);
        self.ends |= head.opcode == CLOSE;
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;

    /// A frame, masked if a client sends it.
    fn frame(first: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
        let bit = if mask.is_some() { 0x80 } else { 0 };
        let mut frame = match payload.len() {
            length @ 0..126 => vec![first, bit + u8::try_from(length).expect("below 126")],
            length @ 126..=0xffff => {
                [&[first, bit + 126][..], &u16::try_from(length).expect("16 bits").to_be_bytes()].concat()
            }
            length => [&[first, bit + 127][..], &(length as u64).to_be_bytes()].concat(),
        };
        frame.extend(mask.iter().flatten());
        let mask = mask.unwrap_or_default();
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    /// Messages, some in parts, with control frames in between; and where each message or ping, and each frame ends.
    fn messages(random: &mut Rng, masked: bool) -> (Vec<u8>, Vec<usize>, Vec<Vec<u8>>) {
        let (mut bytes, mut ends, mut pings, mut open) = (Vec::new(), vec![0], Vec::new(), false);
        for _ in 0..random.usize(1..20) {
            let mask = masked.then(|| [(); 4].map(|()| random.u8(..)));
            let longest = [3, 125, 300, WHOLE, 70_000][random.usize(..5)];
            let mut payload = vec![0; random.usize(..=longest)];
            random.fill(&mut payload);
            if random.u8(..4) == 0 {
                let payload = &payload[..payload.len().min(125)];
                let kind = if random.bool() { PING } else { PONG };
                bytes.extend(frame(0x80 | kind, payload, mask));
                pings.extend((kind == PING).then(|| payload.to_vec()));
            } else {
                let (opcode, fin) = (if open { 0 } else { random.u8(1..=2) }, random.bool());
                bytes.extend(frame(opcode | if fin { 0x80 } else { 0 }, &payload, mask));
                open = !fin;
            }
            if !open {
                ends.push(bytes.len());
            }
        }
        (bytes, ends, pings)
    }

    /// What a machine releases of bytes that come in pieces, to a library that has room for some at a time.
    fn release(machine: &mut Machine, random: &mut Rng, bytes: &[u8], held: impl Fn(usize) -> bool) -> usize {
        let (mut come, mut gone) = (0, 0);
        loop {
            let room = random.usize(1..20_000);
            let released = machine.release(&bytes[gone..come], room, held(gone));
            gone += released;
            if released == 0 {
                assert!(come - gone < WHOLE, "{} bytes are kept", come - gone);
                if come == bytes.len() || held(gone) && !machine.is_in_message() {
                    return gone;
                }
                come += random.usize(1..5_000).min(bytes.len() - come);
            }
        }
    }

    #[test]
    fn any_cut_into_pieces_is_the_same() {
        for seed in 0..200 {
            let mut random = Rng::with_seed(seed);
            let (bytes, ends, pings) = messages(&mut random, true);
            let mut machine = Machine::default();
            let gone = release(&mut machine, &mut random, &bytes, |_| false);
            assert_eq!((gone, machine.ends), (bytes.len(), false), "seed {seed}");
            assert_eq!(machine.ping.as_ref(), pings.last(), "seed {seed}");
            let between = ends.last() == Some(&bytes.len());
            assert_eq!(
                (!machine.is_in_message(), machine.is_quiet()),
                (between, between && pings.is_empty()),
                "seed {seed}"
            );
        }
    }

    #[test]
    fn one_that_is_held_stops_at_the_next_end_of_a_message() {
        for seed in 0..200 {
            let mut random = Rng::with_seed(seed);
            let (bytes, ends, _) = messages(&mut random, true);
            let (mut machine, from) = (Machine::default(), random.usize(..bytes.len()));
            let gone = release(&mut machine, &mut random, &bytes, |gone| gone >= from);
            if machine.is_in_message() {
                assert_eq!(gone, bytes.len(), "seed {seed}: only the end can keep it from an end");
            } else {
                assert!(gone >= from && ends.contains(&gone), "seed {seed}: {gone} from {from} on, of {ends:?}");
            }
        }
    }

    #[test]
    fn what_the_library_writes_is_followed_in_pieces_of_any_size() {
        for seed in 0..200 {
            let mut random = Rng::with_seed(seed);
            let (bytes, ends, _) = messages(&mut random, false);
            let (mut machine, mut at) = (Machine::default(), 0);
            while at < bytes.len() {
                let piece = random.usize(1..=bytes.len() - at).min(random.usize(1..5_000));
                machine.sent(&bytes[at..at + piece]);
                at += piece;
                assert_eq!(machine.is_quiet(), ends.contains(&at), "seed {seed}: after {at}, of {ends:?}");
            }
        }
    }

    #[test]
    fn the_last_ping_has_to_be_answered() {
        let mut machine = Machine::default();
        for ping in [b"1", b"2"] {
            let bytes = frame(0x80 | PING, ping, Some([7; 4]));
            assert_eq!(machine.release(&bytes, bytes.len(), false), bytes.len());
        }
        machine.sent(&[frame(0x80 | PONG, b"1", None), frame(0x82, b"2", None)].concat());
        assert!(!machine.is_quiet(), "another one is not answered");
        machine.sent(&frame(0x80 | PONG, b"2", None));
        assert!(machine.is_quiet());
    }

    #[test]
    fn a_goodbye_of_either_side_ends_the_quiet_and_all_passes() {
        let close = |mask| frame(0x80 | CLOSE, &[3, 232], mask);
        let mut machine = Machine::default();
        machine.sent(&close(None));
        assert!(!machine.is_quiet());
        let close = close(Some([0; 4]));
        let mut machine = Machine::default();
        assert_eq!(machine.release(&close, usize::MAX, true), 0, "it belongs to the next process");
        assert_eq!(machine.release(&close, usize::MAX, false), close.len());
        assert!(!machine.is_quiet() && !machine.is_between_frames());
        assert_eq!(machine.release(b"what is this?", usize::MAX, true), 13);
        let mut machine = Machine::default();
        let bytes = [frame(0x01, b"in ", Some([0; 4])), close].concat();
        assert_eq!(machine.release(&bytes, usize::MAX, false), bytes.len());
        assert!(!machine.is_in_message(), "its end will not come");
    }

    #[test]
    fn a_goodbye_fits_between_two_frames_of_the_library_and_nowhere_else() {
        let mut machine = Machine::default();
        for bytes in [frame(0x01, b"in ", None), frame(0x80 | PING, b"", None), frame(0x80, b"parts", None)] {
            for (at, byte) in bytes.iter().enumerate() {
                machine.sent(&[*byte]);
                assert_eq!(machine.is_between_frames(), at + 1 == bytes.len(), "after {at} of {bytes:?}");
            }
        }
    }

    #[test]
    fn what_breaks_the_rules_passes_and_never_is_quiet_again() {
        #[rustfmt::skip]
        let broken = [
            &[0x81, 0x00][..], &[0xc1, 0x80], &[0xa1, 0x80], &[0x91, 0x80], &[0x83, 0x80], &[0x8b, 0x80], &[0x09, 0x80],
            &[0x89, 0xfe], &[0x80, 0x80, 0, 0, 0, 0], &[0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ];
        for bytes in broken {
            let mut machine = Machine::default();
            assert_eq!(machine.release(bytes, usize::MAX, false), bytes.len(), "{bytes:?}");
            assert!(!machine.is_quiet(), "{bytes:?}");
        }
    }

    #[test]
    fn a_frame_may_be_as_long_as_the_rules_allow() {
        let mut machine = Machine::default();
        assert_eq!(machine.release(&[0x82, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0], 14, false), 14);
        assert!(machine.is_in_message(), "its payload is still to come");
        assert_eq!(machine.passes(), u64::MAX >> 1);
    }
}
