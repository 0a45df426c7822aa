use std::io;

use exercises::ch2_accept::{Next, next};
use nix::errno::Errno;

#[test]
fn a_client_that_went_away_does_not_stop_the_loop() {
    for errno in [Errno::ECONNABORTED, Errno::EPROTO, Errno::ENETDOWN, Errno::EHOSTUNREACH, Errno::EOPNOTSUPP] {
        assert_eq!(
            next(&io::Error::from(errno)),
            Next::Again,
            "{errno}: the next client may be fine (accept(2), \"Error handling\")"
        );
    }
}

#[test]
fn what_has_run_out_is_waited_for() {
    for errno in [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM] {
        assert_eq!(
            next(&io::Error::from(errno)),
            Next::AfterAPause,
            "{errno}: the client stays in the queue, so the next accept(2) fails at once, and the next, and the next …"
        );
    }
}

#[test]
fn a_descriptor_that_is_no_listener_is_given_up() {
    for errno in [Errno::EBADF, Errno::EINVAL, Errno::ENOTSOCK] {
        assert_eq!(next(&io::Error::from(errno)), Next::GiveUp, "{errno}: asking again cannot help");
    }
}
