//! The handler of a self-pipe: it writes one byte, and the code it interrupts must not notice.

use std::ffi::c_int;
use std::io::PipeWriter;
use std::sync::OnceLock;

use nix::unistd::write;

/// The end the handler writes to. It is non-blocking.
pub static WRITE_END: OnceLock<PipeWriter> = OnceLock::new();

/// Installed by the test, for a signal that arrives between a failed call and the look at its `errno`.
pub extern "C" fn on_signal(number: c_int) {
    if let (Some(pipe), Ok(byte)) = (WRITE_END.get(), u8::try_from(number)) {
        let _ = write(pipe, &[byte]);
    }
}
