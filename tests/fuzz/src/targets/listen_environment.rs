//! What the environment says about inherited descriptors, and what they turn out to be.
//!
//! Five lines: how to ask (`e` from the environment alone), and what `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES` contain, each
//! behind `=`, or it is not set; `self` is our pid. Then a letter for each descriptor,
//! a large one if it has CLOEXEC, so that it cannot have come through exec(2).

use std::env;
use std::ffi::OsString;
use std::os::fd::{FromRawFd as _, IntoRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt as _;

use graceful_shutdown::Address;
use inherited_fds::{InheritError, Inherited};
use nix::libc;

use crate::descriptors::{assert_none_left, descriptor, inherited};

const VARIABLES: [&str; 3] = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];

pub(crate) fn run(bytes: &[u8]) {
    let mut lines =
        bytes.splitn(5, |byte| *byte == b'\n').map(|line| line.split(|byte| *byte == 0).next().unwrap_or(line));
    let mut line = || lines.next().unwrap_or_default();
    let how = line();
    for variable in VARIABLES {
        let value = line().strip_prefix(b"=");
        let value = value
            .map(|value| if value == b"self" { std::process::id().to_string().into_bytes() } else { value.to_vec() });
        // SAFETY: no other thread may touch the environment meanwhile (`std::env::remove_var`), and there is none.
        unsafe { env::remove_var(variable) };
        if let Some(value) = value {
            // SAFETY: the same.
            unsafe { env::set_var(variable, OsString::from_vec(value)) };
        }
    }
    let letters = line();
    assert_none_left(|| {
        let open = |letter: &u8| {
            let crosses = !letter.is_ascii_uppercase();
            let fd = if crosses { inherited(*letter) } else { descriptor(letter.to_ascii_lowercase()) };
            (fd.into_raw_fd(), crosses)
        };
        let opened: Vec<_> = letters.iter().take(8).map(open).collect();
        let count = env::var("LISTEN_FDS").ok().and_then(|count| count.parse::<usize>().ok());
        let taken =
            if how == b"e" { Inherited::from_env().map(|it| (it, None)) } else { Inherited::from_parent("channel") };
        assert!(VARIABLES.iter().all(|variable| env::var_os(variable).is_none()), "no child takes them for its own");
        let promised =
            |number: RawFd| count.is_some_and(|count| usize::try_from(number - 3).is_ok_and(|at| at < count));
        let touched = match taken {
            Ok((inherited, channel)) => {
                let printable = |name: &str| name.bytes().all(|byte| byte != b':' && (b' '..=b'~').contains(&byte));
                assert!(inherited.names().all(|name| (1..256).contains(&name.len()) && printable(name)));
                assert_eq!(
                    inherited.names().count() + usize::from(channel.is_some()),
                    count.unwrap_or(0),
                    "all, and no more"
                );
                claim(inherited);
                true
            }
            Err(error) => {
                let sentence = error.to_string();
                assert!(!sentence.contains(char::is_control), "a sentence on one line: {sentence:?}");
                assert_ne!(count, Some(0), "a promise of none is none: {sentence}");
                count.is_some() && !matches!(error, InheritError::OtherPid(..))
            }
        };
        for (number, crossed) in opened {
            // SAFETY: F_GETFD reads a flag, takes no pointer, and returns EBADF if the number is not open (fcntl(2)).
            let open = unsafe { libc::fcntl(number, libc::F_GETFD) } != -1;
            assert_eq!(open, !(touched && crossed && promised(number)), "{number} of {count:?}");
            if open {
                // SAFETY: it is open, and ours again: what does not touch it has no owner for it (io-safety, `std::os::fd`).
                drop(unsafe { OwnedFd::from_raw_fd(number) });
            }
        }
    });
}

/// As a server does.
fn claim(mut inherited: Inherited) {
    let names: Vec<_> = inherited.names().map(str::to_owned).collect();
    let [any, all] = ["127.0.0.1:0", "0.0.0.0:80"].map(|address| address.parse::<Address>().expect("an address"));
    for name in &names {
        let before = inherited.names().count();
        match (name.as_bytes()[0] % 4, inherited.names().count()) {
            (0, _) => drop(inherited.take(name)),
            (1, _) => drop(inherited.listener(name, &all)),
            (2, _) => drop(inherited.udp(name, "127.0.0.1:0".parse().expect("an address"))),
            _ => drop(inherited.listener(name, &any)),
        }
        assert!(inherited.names().count() <= before);
    }
    let _ = inherited.finish();
}
