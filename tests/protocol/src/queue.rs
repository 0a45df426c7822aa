//! One direction of a channel: messages in order, none lost, and small, since millions of worlds are remembered.
//!
//! The invariant: what is read is what was sent, oldest first.

use crate::model::Message;

/// Four bits for each message, the oldest one lowest; 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Queue(u32);

impl Queue {
    /// Nothing to read.
    pub const EMPTY: Queue = Queue(0);

    /// Whether there is no message to read.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The messages, oldest first.
    pub fn iter(self) -> impl Iterator<Item = Message> {
        (0..8).map_while(move |place| decode(self.0 >> (4 * place) & 15))
    }

    /// # Panics
    /// If it is full. A real channel has room for hundreds of messages, and eight are never on their way.
    pub fn push(&mut self, message: Message) {
        let sent = self.iter().count();
        assert!(sent < 8, "more messages are on their way than the model has room for: {self:?}");
        self.0 |= encode(message) << (4 * sent);
    }

    /// Reads the oldest message.
    pub fn pop(&mut self) -> Option<Message> {
        let message = decode(self.0 & 15);
        self.0 >>= 4;
        message
    }
}

fn encode(message: Message) -> u32 {
    match message {
        Message::Ready => 1,
        Message::Activate => 2,
        Message::Accepting => 3,
        Message::Replaced => 4,
        Message::Committed => 5,
        Message::Stop => 6,
        Message::Older(older) => 7 + u32::from(older),
    }
}

fn decode(bits: u32) -> Option<Message> {
    match bits {
        0 => None,
        1 => Some(Message::Ready),
        2 => Some(Message::Activate),
        3 => Some(Message::Accepting),
        4 => Some(Message::Replaced),
        5 => Some(Message::Committed),
        6 => Some(Message::Stop),
        older => Some(Message::Older(u8::try_from(older - 7).ok()?)),
    }
}
