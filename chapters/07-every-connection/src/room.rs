//! Rooms: what one member says, all members hear, in whichever process they are.
//!
//! The invariant: a room is one log, and a member is a position in it. All processes append to the same log, so there is one order;
//! and a member that goes over reads on from its position, so it hears every message once.

mod log;

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::FlockOperation;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio::task::spawn_blocking;

use log::Log;

/// Bytes that a room keeps, for members that are slow, and for those that come back.
const KEPT: u64 = 1 << 20;

/// Some of what this member has not heard yet is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lagged;

/// A room, which all generations share.
///
/// ```
/// # use every_connection::Room;
/// # #[tokio::main]
/// # async fn main() -> std::io::Result<()> {
/// // In a service, `graceful::Builder::keep` has it made, and passes it on.
/// let memory = Room::create()?;
/// // In two processes, in a service.
/// let (old, new) = (Room::open(&memory)?, Room::open(&memory)?);
/// let mut position = new.end()?;
/// old.say(b"hello").await?;
/// assert_eq!(new.next(&mut position).await?, Ok("hello".into()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Room {
    log: Arc<Log>,
    /// Which task of this process appends; the lock of the log is for processes.
    turn: Arc<Mutex<()>>,
    /// Changes with the end of the log.
    news: watch::Receiver<u64>,
}

impl Room {
    /// The memory of a room that keeps its last megabyte, for [`open`](Self::open) in this process and in its successors.
    ///
    /// # Errors
    /// If there is no memory or no descriptor left: memfd_create(2).
    pub fn create() -> io::Result<OwnedFd> {
        Room::keeping(KEPT)
    }

    /// The same, for one that keeps this many bytes; or 64 KiB, if that is more.
    ///
    /// # Errors
    /// As above.
    pub fn keeping(bytes: u64) -> io::Result<OwnedFd> {
        Log::create(bytes)
    }

    /// Opens the room in this memory. It has to be called in a tokio runtime.
    ///
    /// # Errors
    /// If it is not the memory of a room that this version knows; if there is no descriptor left; or if this user has as many
    /// inotify instances as it may: inotify(7), `/proc/sys/fs/inotify/max_user_instances`.
    pub fn open(memory: &OwnedFd) -> io::Result<Room> {
        let log = Arc::new(Log::open(memory)?);
        let bell = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        // All writers open the memory anew: from Linux 6.14 on, what is written through its first descriptor rings no bell.
        inotify::add_watch(&bell, format!("/proc/self/fd/{}", log.file.as_raw_fd()), WatchFlags::MODIFY)?;
        let (news, heard) = watch::channel(log.bounds()?.end);
        // SAFETY: the descriptor must stay open and the same for as long as it is registered; an `OwnedFd` is.
        let bell = unsafe { AsyncFd::register_with_interest(bell, Interest::READABLE) }?;
        tokio::spawn(tell(bell, Arc::clone(&log), news));
        Ok(Room { log, turn: Arc::default(), news: heard })
    }

    /// Where a new member begins that wants to hear what is said from now on.
    ///
    /// # Errors
    /// If the memory cannot be read, or is damaged.
    pub fn end(&self) -> io::Result<u64> {
        Ok(self.log.bounds()?.end)
    }

    /// Where one begins that wants to hear all that the room still knows.
    ///
    /// # Errors
    /// If the memory cannot be read, or is damaged.
    pub fn oldest(&self) -> io::Result<u64> {
        Ok(self.log.bounds()?.oldest)
    }

    /// Says something, of at most 64 KiB, to all members. Cancel safe: what is dropped was not said.
    ///
    /// While a process stands still that is just saying something, this waits in a thread of the runtime's for blocking work, also
    /// after it is dropped. To stop a runtime of your own without that process, use
    /// [`shutdown_background`](tokio::runtime::Runtime::shutdown_background): a mere drop waits for the thread.
    ///
    /// # Errors
    /// If it is too long, or the memory cannot be written, or is damaged.
    pub async fn say(&self, message: &[u8]) -> io::Result<()> {
        let turn = Turn(Arc::clone(&self.log), Arc::clone(&self.turn).lock_owned().await);
        match turn.0.lock(FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => turn.0.append(message),
            // A process that has it and is stopped must not stop a thread of ours that others need.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let wait = spawn_blocking(move || turn.0.lock(FlockOperation::LockExclusive).map(|()| turn));
                wait.await??.0.append(message)
            }
            Err(error) => Err(error),
        }
    }

    /// Waits for what is said at `position`, and moves that on. Cancel safe: it has not moved until this returns. So it counts in
    /// the state of a handler that sends and flushes what it got before it waits again.
    ///
    /// [`Lagged`] if some messages are gone already; then it has moved to the oldest one that is not. So it does if no message begins
    /// at `position`, which may come from a client.
    ///
    /// # Errors
    /// If the memory cannot be read, or is damaged.
    pub async fn next(&self, position: &mut u64) -> io::Result<Result<Bytes, Lagged>> {
        let mut news = self.news.clone();
        loop {
            // Before the look, so that what comes after it is news.
            news.mark_unchanged();
            match self.log.read(*position)? {
                Some(Ok((message, next))) => {
                    *position = next;
                    return Ok(Ok(message));
                }
                Some(Err(Lagged)) => {
                    *position = self.oldest()?;
                    return Ok(Err(Lagged));
                }
                None => news.changed().await.map_err(io::Error::other)?,
            }
        }
    }
}

/// The turn of a task to append.
#[derive(Debug)]
struct Turn(Arc<Log>, #[expect(dead_code, reason = "it is held")] OwnedMutexGuard<()>);

impl Drop for Turn {
    fn drop(&mut self) {
        // `Err`: never, and it ends with the process.
        let _ = self.0.lock(FlockOperation::Unlock);
    }
}

/// Tells the members in this process that something was said in any, for as long as there is a [`Room`].
async fn tell(bell: AsyncFd<OwnedFd>, log: Arc<Log>, news: watch::Sender<u64>) {
    loop {
        let mut rung = tokio::select! {
            () = news.closed() => return,
            Ok(rung) = bell.readable() => rung,
        };
        while rustix::io::read(&bell, &mut [0; 256]).is_ok() {}
        rung.clear_ready();
        // If this look fails, the members look themselves, and this goes on.
        let now = log.bounds().map_or(0, |bounds| bounds.end);
        news.send_if_modified(|end| std::mem::replace(end, now) != now);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use tokio::task::yield_now;
    use tokio::time::{Duration, timeout};

    use super::*;

    /// As many processes in one room.
    fn processes<const COUNT: usize>() -> [Room; COUNT] {
        let memory = Room::create().expect("there is memory");
        [(); COUNT].map(|()| Room::open(&memory).expect("it is a room"))
    }

    async fn hear(room: &Room, position: &mut u64) -> String {
        let heard = timeout(Duration::from_secs(10), room.next(position)).await.expect("it is told");
        let message = heard.expect("it can be read").expect("it is kept");
        String::from_utf8(message.into()).expect("it is text")
    }

    #[tokio::test]
    async fn all_members_in_all_processes_hear_the_same() {
        let rooms = processes::<3>();
        let members = rooms.clone().into_iter().flat_map(|room| vec![room; 10]).map(|room| {
            tokio::spawn(async move {
                let (mut position, mut heard) = (room.oldest().expect("it can be read"), vec![]);
                while heard.len() < 300 {
                    heard.push(hear(&room, &mut position).await);
                }
                heard
            })
        });
        let members: Vec<_> = members.collect();
        let says = rooms.into_iter().enumerate().map(|(process, room)| {
            tokio::spawn(async move {
                for number in 0..100 {
                    room.say(format!("{process} {number}").as_bytes()).await.expect("it is said");
                    if number % 7 == 0 {
                        yield_now().await;
                    }
                }
            })
        });
        for task in says.collect::<Vec<_>>() {
            task.await.expect("no panic");
        }
        let mut first: Option<Vec<String>> = None;
        for member in members {
            let heard = member.await.expect("no panic");
            assert_eq!(*first.get_or_insert_with(|| heard.clone()), heard);
        }
        let said = |process| (0..100).map(move |number| format!("{process} {number}"));
        for process in 0..3 {
            let begins = format!("{process} ");
            let heard = first.iter().flatten().filter(|line| line.starts_with(&begins));
            assert!(heard.cloned().eq(said(process)), "in the order in which it was said: {first:?}");
        }
    }

    /// In a runtime of one thread.
    #[tokio::test]
    async fn a_process_that_stands_still_in_its_turn_does_not_stop_a_thread_of_ours() {
        let [ours, other] = processes();
        other.log.lock(FlockOperation::LockExclusive).expect("it can be locked");
        for dropped in ["not said", "nor this"] {
            let say = timeout(Duration::from_millis(20), ours.say(dropped.as_bytes()));
            say.await.expect_err("it waits, and the runtime goes on");
        }
        let waits = tokio::spawn(async move { ours.say(b"said").await.map(|()| ours) });
        yield_now().await;
        other.log.append(b"before").expect("it can be written");
        other.log.lock(FlockOperation::Unlock).expect("it can be unlocked");
        let ours = waits.await.expect("no panic").expect("it is said");
        let mut position = ours.oldest().expect("it can be read");
        assert_eq!([hear(&ours, &mut position).await, hear(&other, &mut position).await], ["before", "said"]);
        assert_eq!(Some(position), other.end().ok());
    }

    #[tokio::test]
    async fn a_member_that_lags_is_told_and_goes_on_with_the_oldest_message() {
        let [room] = processes();
        let (mut lagging, mut elsewhere) = (room.oldest().expect("it can be read"), u64::MAX);
        for number in 0..100 {
            room.say(format!("{number} {}", "x".repeat(60_000)).as_bytes()).await.expect("it is said");
        }
        for position in [&mut lagging, &mut elsewhere] {
            assert_eq!(room.next(position).await.expect("it can be read"), Err(Lagged));
            for number in 83..100 {
                assert!(hear(&room, position).await.starts_with(&format!("{number} ")));
            }
        }
        assert_eq!(lagging, room.end().expect("it can be read"));
    }

    #[tokio::test]
    async fn a_look_that_fails_does_not_end_a_room() {
        let [room] = processes();
        let mut before = [0; 128];
        room.log.file.read_exact_at(&mut before, 0).expect("it can be read");
        let mut position = room.end().expect("it can be read");
        let damage = async { room.log.file.write_all_at(&[0xff; 128], 0).expect("it can be written") };
        let (heard, ()) = tokio::join!(room.next(&mut position), damage);
        heard.expect_err("a member that waits is told, too");
        room.log.file.write_all_at(&before, 0).expect("it can be written");
        let (line, said) = tokio::join!(hear(&room, &mut position), room.say(b"mended"));
        said.expect("it is said");
        assert_eq!(line, "mended");
    }

    #[tokio::test]
    async fn the_bell_is_taken_down_with_the_last_clone_of_a_room() {
        let [room] = processes();
        let (log, clone) = (Arc::downgrade(&room.log), room.clone());
        drop(room);
        clone.say(b"still there").await.expect("it is said");
        drop(clone);
        while log.strong_count() > 0 {
            yield_now().await;
        }
    }
}
