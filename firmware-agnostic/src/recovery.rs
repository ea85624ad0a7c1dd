//! What is done when a resource fails?

/// What a resource's failure leads to, once it has failed too often.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum OnFailure {
    /// Nothing: it is told, and left as it is.
    Ignore,
    /// It is started again, for ever.
    Restart,
    /// The resources move to the peer.
    Failover,
    /// The resources move to the peer, and stay there until an operator says `resume`.
    Standby,
    /// The box resets itself.
    Fence,
}
