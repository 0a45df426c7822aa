// ANCHOR: all
//! Why a server could not start.
//!
//! The invariant: each reason is one sentence that names the thing and the mend, and nothing is left behind.

use std::io;
use std::path::PathBuf;

use graceful_shutdown::BindError;
use inherited_fds::InheritError;

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `/proc` tells which program this is.
    #[error("cannot find out which program this is: {0}; mount /proc: mount -t proc proc /proc")]
    Program(io::Error),
    /// What was inherited cannot be used.
    #[error(transparent)]
    Inherit(#[from] InheritError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Two services have one name, or one that cannot be passed on.
    #[error("cannot pass on a listener: {0}")]
    Name(#[from] inherited_fds::NameError),
    // ANCHOR: reasons
    /// A service has the name of a channel between processes.
    #[error("a service cannot be called {0:?}, that is the name of a channel between processes; choose another name")]
    Reserved(String),
    /// The predecessor's channel says nothing that we understand.
    #[error("the predecessor's first word is missing ({0}); start this program from a shell, or upgrade with SIGUSR2")]
    Predecessor(io::Error),
    // ANCHOR_END: reasons
    /// The pid file cannot be written.
    #[error("cannot write the pid file {path}: {error}; choose a directory that exists and is ours with --pid-file", path = path.display())]
    PidFile {
        /// Where it should be.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// The kernel refuses what every server needs: an epoll instance, a thread, a signal handler.
    #[error("cannot start serving: {0}; check the limits of this process (ulimit -a)")]
    Resources(#[from] io::Error),
}
// ANCHOR_END: all
