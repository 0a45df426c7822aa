//! The last step of a program that a signal ends: dying by that signal.
//!
//! The invariant: the parent learns which signal ended us, from the kernel where that is possible, else from the status.

use std::process::ExitCode;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};

// ANCHOR: die_by
/// Dies by `signal`, so that the parent sees what ended us. A shell shows 128 + n; and a script ends on Ctrl-C only if
/// the command that it runs dies by SIGINT (<https://www.cons.org/cracauer/sigint.html>).
///
/// The glibc manual shows how ("Termination in Handler"): restore the default action and raise the signal. It must also
/// be unblocked, or it stays pending (signal(7)). The process ends here: no destructor runs, and what was printed
/// without a newline is lost. So call it last in `main`.
///
/// It returns only if the signal does not kill: the default action of some signals is harmless, and the kernel protects
/// the first process of a PID namespace, often the program in a container, from every default action
/// (`pid_namespaces(7)`). `main` should then return the value: exit status 128 + n.
#[must_use]
pub fn die_by(signal: Signal) -> ExitCode {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: sigaction(2) may only install a handler that is async-signal-safe; SIG_DFL is no handler at all.
    let restored = unsafe { sigaction(signal, &default) };
    let unblocked = SigSet::from(signal).thread_unblock();
    if restored.is_ok() && unblocked.is_ok() {
        let _ = raise(signal);
    }
    u8::try_from(128 + signal as i32).map_or(ExitCode::FAILURE, ExitCode::from)
}
// ANCHOR_END: die_by

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_signal_does_not_kill_the_status_says_it() {
        // SIGURG is ignored by default.
        assert_eq!(format!("{:?}", die_by(Signal::SIGURG)), format!("{:?}", ExitCode::from(128 + 23)));
    }
}
