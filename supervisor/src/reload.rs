//! Goes on with another configuration, or tries one out.

pub(crate) mod apply;
pub(crate) mod candidate;
pub(crate) mod outcome;
pub(crate) mod staged_file;
pub(crate) mod trial;
