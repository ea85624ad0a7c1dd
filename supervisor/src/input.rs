//! Lists what the loop can be told.

use firmware_agnostic::node::Event;
use firmware_agnostic::node::reload::Reloaded;
use smol::channel::Sender;

use crate::control::request::{ReloadMode, Request};
use crate::reload::candidate::Candidate;

/// Something that the loop takes in.
pub(crate) enum Input {
    /// Something happened.
    Event(Event),
    /// The resource that is called so should run, and does not.
    ResourceFailed(String),
    /// The resource that is called so could not be started here now, or could again.
    Startable(String, bool),
    /// The record of this number is on the disk, or cannot be.
    Recorded(u32),
    /// That takes longer than it may.
    RecordOverdue(u32),
    /// A witness has another answer than before.
    Witness,
    /// A gate has.
    Gate,
    /// The configuration was read again, and is right.
    Reload(Box<Candidate>, ReloadMode, Sender<String>),
    /// Somebody asks about the configuration that is on trial, and waits for the answer.
    Trial(TrialQuery, Sender<String>),
    /// The trial may be over.
    TrialOver,
    /// Somebody asks through the control socket, and waits for the answer.
    Request(Request, Sender<String>),
}

/// What is asked or told about a trial.
pub(crate) enum TrialQuery {
    /// Could one begin?
    Begin,
    /// Which configuration is it?
    Which,
    /// The other box keeps it: so does this one.
    Keep,
    /// The other box asks this one to keep the one of this mark.
    KeepToo(String),
    /// The other box has refused what both were to try, for this reason.
    Refused(String),
}

/// What the node is to know of an input.
pub(crate) enum NodeInput {
    /// This.
    Event(Event),
    /// It has another configuration.
    Reloaded(Box<Reloaded>),
}
