//! What execve(2) is given: the program, its arguments, its environment.
//!
//! The invariant: everything is laid out as the kernel reads it before anything irrevocable happens, so that nothing
//! has to be allocated after a fork, and nothing can be malformed by then.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::Bequest;

/// A program that is ready to be started.
pub(crate) struct Image {
    /// Not searched on `PATH`.
    pub(crate) program: CString,
    /// The first one is the program, as always.
    pub(crate) arguments: Vec<CString>,
    /// Lacks `LISTEN_PID`, which is known only later.
    pub(crate) environment: Vec<CString>,
}

impl Image {
    /// # Errors
    /// `InvalidInput` if the program or an argument holds a NUL.
    pub(crate) fn new(bequest: &Bequest<'_>, program: &Path, args: &[OsString]) -> io::Result<Image> {
        let arguments = std::iter::once(program.as_os_str()).chain(args.iter().map(OsString::as_os_str));
        Ok(Image {
            program: c_string(program.as_os_str())?,
            arguments: arguments.map(c_string).collect::<io::Result<_>>()?,
            environment: bequest.environment(),
        })
    }
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    Ok(CString::new(text.as_bytes())?)
}
