//! What a page shows of a terminal is what happens.
