//! Talks to the other box over the links.

pub(crate) mod letters;
pub(crate) mod links;
