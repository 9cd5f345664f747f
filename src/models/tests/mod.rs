//! What tests of several models share and what reads files.

pub(super) mod held;
