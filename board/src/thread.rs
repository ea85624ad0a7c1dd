//! Starts threads, limits what each may do and how long it may take.

pub mod capabilities;
pub mod deadline;
pub mod fd_reserve;
pub mod offload;
pub mod realtime;
pub mod spawn;
