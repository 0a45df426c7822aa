//! Chapter 4's promises, checked against the real program.
//!
//! One binary for all of them, so that they are linked once and run side by side.

mod burst;
mod environments;
mod failures;
mod files;
mod generations;
mod listeners;
mod load;
mod log;
mod process_1;
mod program_path;
mod readiness;
mod refusals;
mod scarcity;
mod server;
mod stops;
mod third_party;
