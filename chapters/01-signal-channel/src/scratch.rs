//! Dispatch from scratch: from sigaction(2) to a channel, in three steps.
//!
//! The invariant of every step: the handler, which may interrupt any instruction of any thread, only does what
//! signal-safety(7) allows: it takes no lock and it never waits. Each step moves more of the work out of the
//! handler and into ordinary code.
//!
//! | step | the handler | so | still missing |
//! | --- | --- | --- | --- |
//! | [`s1_flag`] | sets a flag | we can check whether a signal came | waiting is hard |
//! | [`s2_self_pipe`] | writes a byte to a pipe | anyone can wait for it | one reader, one list, for ever |
//! | [`s3_registry`] | sets a bit, wakes a thread | the thread sends it to every channel that wants it | – |
//!
//! What `signal-hook` does for [`notify`](crate::notify()) is the second step with the bits of the third.

pub mod s1_flag;
pub mod s2_self_pipe;
pub mod s3_registry;
