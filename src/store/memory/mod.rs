//! The in-memory adapter: the reference.
