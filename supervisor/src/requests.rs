//! Answers the operators: makes of each request an event for the node, or a reply.

pub(crate) mod order;
