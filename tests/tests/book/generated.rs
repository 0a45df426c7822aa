//! What is drawn or compared from the code: diffs, the lifecycle's table and diagram.
