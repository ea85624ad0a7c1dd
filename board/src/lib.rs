//! The outside of the box: what the pair's decisions act on, one module per kind, one file per device.
//!
//! | module | holds |
//! |---|---|
//! | [`link`] | how heartbeats travel |
//! | [`fence`] | how the peer's power is cut, and seen cut |
//! | [`resource`] | what moves between the boxes |
//! | [`check`] | whether something outside really answers |
//! | [`watchdog`] | what makes a stuck box a dead box |
//! | [`config`] | how a device reads its words from the file |
//! | [`process`] | child programs |
//! | [`thread`] | threads, their rights and their deadlines |
//! | [`time`] | the clock, the alarm, and the wait for the links |
//! | [`net`] | netlink, ARP and NDP |
//! | [`disk`] | the journal, the lease and safe files |
//! | [`host`] | the reset of this box, its init, its callers |
//!
//! Nothing here decides. A device does what it is told, in straight-line blocking code with a
//! [`thread::deadline::Deadline`], and says what it saw.

pub mod check;
pub mod config;
pub mod disk;
pub mod fence;
pub mod host;
pub mod link;
pub mod net;
pub mod process;
pub mod resource;
pub mod thread;
pub mod time;
pub mod watchdog;
