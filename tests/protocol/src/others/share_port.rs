//! Two sockets on one port, with `SO_REUSEPORT`: the lab's `share_port`, whose stop is as careful as ours.
//!
//! Mended: one socket in both processes, so that there is one queue.

use super::{Other, Step, outside, within};

/// Two processes, and a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct World {
    old: Old,
    new_listens: bool,
    client: Client,
    mended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Old {
    Accepts,
    Empties,
    FoundEmpty,
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Client {
    None,
    WithOld,
    WithNew,
    Answered,
    Reset,
}

const STEPS: &[Step<World>] = &[
    outside(
        "The new process binds the same port, and listens. The old one is told to stop.",
        |it| !it.new_listens,
        |it| (it.new_listens, it.old) = (true, Old::Empties),
    ),
    outside(
        "A client connects. The kernel puts it into the queue of the old process.",
        |it| it.client == Client::None && it.old != Old::Closed,
        |it| it.client = Client::WithOld,
    ),
    outside(
        "A client connects. The kernel puts it into the queue of the new process.",
        |it| it.client == Client::None && it.new_listens,
        |it| it.client = Client::WithNew,
    ),
    within(
        "The old process accepts the client, and answers.",
        |it| it.client == Client::WithOld && matches!(it.old, Old::Accepts | Old::Empties),
        |it| it.client = Client::Answered,
    ),
    within(
        "The new process accepts the client, and answers.",
        |it| it.client == Client::WithNew,
        |it| it.client = Client::Answered,
    ),
    within(
        "The old process has accepted every client in its queue: the next accept(2) finds none.",
        |it| it.old == Old::Empties && it.client != Client::WithOld,
        |it| it.old = Old::FoundEmpty,
    ),
    within(
        "The old process closes its socket.",
        |it| it.old == Old::FoundEmpty && (it.client != Client::WithOld || it.mended),
        |it| {
            it.old = Old::Closed;
            if it.client == Client::WithOld {
                it.client = Client::WithNew;
            }
        },
    ),
    within(
        "The old process closes its socket, and with it the queue. The kernel resets the client.",
        |it| it.old == Old::FoundEmpty && it.client == Client::WithOld && !it.mended,
        |it| (it.old, it.client) = (Old::Closed, Client::Reset),
    ),
];

/// Two sockets on one port.
#[must_use]
pub fn other(mended: bool) -> Other<World> {
    Other {
        first: World { old: Old::Accepts, new_listens: false, client: Client::None, mended },
        steps: STEPS,
        promise: "a client that is connected gets an answer",
        holds: |it, _| it.client != Client::Reset,
    }
}
