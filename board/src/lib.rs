//! The outside of the box: what the pair's decisions act on, one module per kind, one file per device.
//!
//! | module | question |
//! |---|---|
//! | [`link`] | how do heartbeats travel? |
//! | [`fence`] | how is the peer's power cut, and seen cut? |
//! | [`resource`] | what moves between the boxes? |
//! | [`check`] | does something really answer? |
//! | [`child`] | how is a program run so that nothing of it stays? |
//! | [`lookout`], [`alarm`] | how does the loop wait for the links, and for the time? |
//! | [`aside`], [`threads`] | who does what takes its time? |
//! | [`random`] | what tells one life from another where there are no random numbers? |
//! | [`clock`], [`power`] | what time is it; how does this box reset itself? |
//! | [`caller`], [`holder`] | who has called at a socket; which process has a file open? |
//! | [`safe_file`] | how is a file opened so that no other user has a say in it? |
//! | [`plain`] | how is text from outside made fit to be shown? |
//! | [`secret`], [`privacy`] | what is secret; what do others learn from what is left on the disk? |
//! | [`init`] | how long does init wait before it starts a program again? |
//! | [`lease`], [`guard`] | who answers for what runs here; who does when the supervisor has died? |
//! | [`reserve`] | what if no file can be opened any more? |
//! | [`watchdog`], [`notify`] | what makes a stuck box a dead box; how is init told? |
//! | [`realtime`], [`rights`] | how does a thread come before all others; what may it do? |
//! | [`table`] | how does a device read its words from the configuration? |
//!
//! Nothing here decides. A device does what it is told, in straight-line blocking code with a
//! [`patience::Patience`], and says what it saw.

pub mod alarm;
pub mod aside;
pub mod caller;
pub mod check;
pub mod child;
pub mod clock;
pub mod fence;
pub mod guard;
pub mod holder;
pub mod init;
pub mod journal;
pub mod lease;
pub mod link;
pub mod lookout;
pub mod need;
pub mod neighbour;
pub mod netlink;
pub mod notify;
pub mod patience;
pub mod plain;
pub mod power;
pub mod prefix;
pub mod privacy;
pub mod random;
pub mod realtime;
pub mod reserve;
pub mod resource;
pub mod rights;
pub mod safe_file;
pub mod secret;
pub mod table;
pub mod threads;
pub mod watchdog;
