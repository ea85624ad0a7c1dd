//! The cables and paths that carry heartbeats.
//!
//! A link sends and receives whole frames and never blocks; whatever goes wrong with it is said in an
//! error, and [`Port`] opens it again. What all links share stands here; what one is made of stands in its
//! own file.
//!
//! To add a link: write `link/NAME.rs` after the model of [`udp`], then name it in three places below (`mod`,
//! [`Config`], [`Config::open`]). The compiler asks for the last when the second is there.
