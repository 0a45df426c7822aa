//! The built book, as a browser shows it.
