//! What several targets need: descriptors of all kinds, and a runtime.

use std::fs::File;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixStream};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use tokio::runtime::{Builder, Runtime};

/// Below it, descriptors come and go with each input.
const HIGH: RawFd = 200;

/// One of each kind, by a letter.
struct Kinds(Vec<(u8, OwnedFd)>);

thread_local! {
    static KINDS: Kinds = Kinds::new();
    static RUNTIME: Runtime = Builder::new_current_thread().enable_all().build().expect("there are descriptors left");
}

impl Kinds {
    fn new() -> Kinds {
        for number in 3..HIGH {
            // What libFuzzer has open would look as if it had come through exec(2).
            // SAFETY: F_SETFD sets a flag, takes no pointer, and returns EBADF if the number is not open (fcntl(2)).
            unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port left");
        let udp = UdpSocket::bind("127.0.0.1:0").expect("there is a port left");
        let (pipe, _) = io::pipe().expect("there are descriptors left");
        let file = File::open("/dev/null").expect("it is there");
        // The other ends are gone.
        let [(blocking, _), (connection, _)] =
            [(); 2].map(|()| UnixStream::pair().expect("there are descriptors left"));
        connection.set_nonblocking(true).expect("it is a socket");
        let (datagrams, _) = UnixDatagram::pair().expect("there are descriptors left");
        let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC);
        let (channel, _) = pair.expect("there are descriptors left");
        let all: [(u8, OwnedFd); 8] = [
            (b'l', listener.into()),
            (b'u', udp.into()),
            (b'p', pipe.into()),
            (b'f', file.into()),
            (b'b', blocking.into()),
            (b's', connection.into()),
            (b'd', datagrams.into()),
            (b'c', channel),
        ];
        Kinds(all.into_iter().map(|(letter, fd)| (letter, copy_above(&fd, FcntlArg::F_DUPFD_CLOEXEC(HIGH)))).collect())
    }

    fn copy(&self, letter: u8, how: FcntlArg<'_>) -> OwnedFd {
        let kind = self.0.iter().find(|kind| kind.0 == letter).unwrap_or(&self.0[usize::from(letter) % self.0.len()]);
        copy_above(&kind.1, how)
    }
}

fn copy_above(fd: &OwnedFd, how: FcntlArg<'_>) -> OwnedFd {
    let number = fcntl(fd, how).expect("there are descriptors left");
    // SAFETY: fcntl(2) has just made this descriptor, and nothing else owns it.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// A descriptor of this kind.
pub(crate) fn descriptor(letter: u8) -> OwnedFd {
    KINDS.with(|kinds| kinds.copy(letter, FcntlArg::F_DUPFD_CLOEXEC(3)))
}

/// One that looks as if it had come through exec(2): with the lowest free number, and without CLOEXEC.
pub(crate) fn inherited(letter: u8) -> OwnedFd {
    KINDS.with(|kinds| kinds.copy(letter, FcntlArg::F_DUPFD(3)))
}

/// Runs this to its end.
pub(crate) fn on_runtime<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// Asserts that what this opens is closed afterwards.
pub(crate) fn assert_none_left(run: impl FnOnce()) {
    on_runtime(async {});
    let lowest = || descriptor(b'f').as_raw_fd();
    let before = lowest();
    run();
    assert_eq!(before, lowest(), "a descriptor is left open");
}
