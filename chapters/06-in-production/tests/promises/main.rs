//! What chapter 6 promises, checked against its program: real processes, real signals, a PID namespace of their own.
//!
//! No test sleeps to let something happen. A moment in the life of a process is held open with SIGSTOP, or by a program at
//! a gate (see [`server`]).

mod bad_input;
mod control;
mod counters;
mod deploy;
mod descriptors;
mod endurance;
mod full_disk;
mod handover;
mod load;
mod pause;
mod pid_file;
mod probation;
mod process_1;
mod server;
mod systemd;
