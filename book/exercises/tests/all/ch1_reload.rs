use exercises::ch1_reload::work;
use nix::sys::signal::{SigHandler, raise, signal};
use signal_channel::{Signal, notify};

#[test]
fn a_worker_reloads_as_often_as_it_is_asked_and_ends_by_the_signal_that_means_it() {
    // Under nohup(1) this test ignores SIGHUP, and `notify` would leave it so.
    // SAFETY: SIG_DFL is no handler.
    unsafe { signal(Signal::SIGHUP, SigHandler::SigDfl) }.unwrap();
    let mut signals = notify(&[Signal::SIGHUP, Signal::SIGTERM]).unwrap();
    let mut reloads = 0;
    raise(Signal::SIGHUP).unwrap();

    // Each signal is sent when the one before it has arrived, or the kernel would count two of a kind as one.
    let ended_by = work(&mut signals, || {
        reloads += 1;
        raise(if reloads < 3 { Signal::SIGHUP } else { Signal::SIGTERM }).unwrap();
    });

    assert_eq!(ended_by, Some(Signal::SIGTERM), "SIGHUP asks the worker to read its configuration again, not to end");
    assert_eq!(reloads, 3, "SIGHUP was sent three times, each after the previous reload");
}
