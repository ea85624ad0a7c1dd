//! The IPMI client against BMCs that nobody of this house wrote: `OpenIPMI`'s `ipmi_sim` and the server of pyghmi.
//!
//! Both hold the power of a box that is a file with a 0 or a 1 in it.

mod openipmi;
mod pyghmi;
mod reach;
mod recorded;
mod relay;
mod scene;
mod words;
