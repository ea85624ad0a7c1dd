//! Names what proves that the peer holds nothing.
//!
//! Silence proves nothing: it is heard from a dead box and from a cut cable alike. So a box takes over only on
//! evidence of the level that the integrator requires.

/// What was seen of a peer that does not serve.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Evidence {
    /// Its own word, which echoes this box's present epoch.
    Released,
    /// Its power, seen off.
    Fenced,
    /// Its lines dropped, its carriers gone, and its BMC silent, all of it for `dark_time`.
    Dark,
    /// Nothing but its silence, for `deadtime`.
    Silence,
    /// An operator's word, given after seeing all of the above.
    Operator,
}

/// The least evidence on which a box takes over from a silent peer (`takeover.require`).
///
/// The peer's own word and the operator's always suffice.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Require {
    /// The power must be seen off.
    Fenced,
    /// Or the peer must be dark: it and its BMC have lost their power together.
    Dark,
    /// Silence will do, as in VRRP: two boxes may hold the resources while they do not hear each other.
    Silence,
}

impl Evidence {
    /// Whether this is enough where `required` is asked for.
    pub const fn suffices(self, required: Require) -> bool {
        match self {
            Self::Released | Self::Fenced | Self::Operator => true,
            Self::Dark => !matches!(required, Require::Fenced),
            Self::Silence => matches!(required, Require::Silence),
        }
    }
}
