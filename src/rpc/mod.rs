//! The gRPC surface: the only room that knows tonic and prost.

pub mod pb;
