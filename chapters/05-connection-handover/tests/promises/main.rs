//! What chapter 5 promises, checked against the real program: no request lost, and no connection closed.
//!
//! A [`lab::Wire`] is one socket and never connects again; so where it goes on being answered by one process after the
//! other, it is the same connection throughout.

mod connections;
mod faults;
mod load;
mod neighbours;
mod server;
mod stays;
mod third_party;
