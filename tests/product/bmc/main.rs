//! The BMC of the lab, verified by two clients that nobody of this house wrote; and our client against its misdeeds.

mod clients;
mod misdeeds;
mod quirks;
mod reports;
mod scene;
mod sessions;
mod slow;
mod strangers;
