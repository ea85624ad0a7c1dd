//! Which of the two boxes, which of the cables, which of the resources: places in the configuration.
//!
//! The configuration file is the same on both boxes, so a place names the same thing on both. Names
//! are for people, and stay outside the core.

use serde::{Deserialize, Serialize};

/// One of the two boxes: the place of its name in alphabetical order.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum BoxId {
    /// The box whose name comes first.
    First,
    /// The box whose name comes second.
    Second,
}

impl BoxId {
    /// Both boxes, in the order of their places.
    pub const BOTH: [Self; 2] = [Self::First, Self::Second];

    /// The other one of the pair.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    /// The place as an index into a pair of things.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// One link: its place in the configuration, the first being 0.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LinkId(u8);

impl LinkId {
    /// The link at `place`, or `None` past [`LINKS_MAX`].
    pub const fn new(place: usize) -> Option<Self> {
        if place < LINKS_MAX { Some(Self(place as u8)) } else { None }
    }

    /// The place as an index, below [`LINKS_MAX`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One resource: its place in the configuration, the first being 0.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ResourceId(u8);

impl ResourceId {
    /// The resource at `place`, or `None` past [`RESOURCES_MAX`].
    pub const fn new(place: usize) -> Option<Self> {
        if place < RESOURCES_MAX { Some(Self(place as u8)) } else { None }
    }

    /// The place as an index, below [`RESOURCES_MAX`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Two cables are the rule; more than six ways between two boxes share their failures. A heartbeat
/// has one bit for each.
pub const LINKS_MAX: usize = 6;

/// What one appliance runs; a longer list is a sign that the group wants a script of its own.
pub const RESOURCES_MAX: usize = 24;
