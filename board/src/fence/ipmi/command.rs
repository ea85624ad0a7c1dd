//! What a BMC can be asked and told, and what its answers mean.
//!
//! A constructor per command, and a reader per answer; sections are those of the IPMI v2.0 specification. An answer
//! that is too short is none.

use firmware_agnostic::node::fencing::LastLoss;

use super::message::IpmiRequest;
use super::packet::number;
use crate::fence::{Guid, Power};

/// What may be done over a session (section 13.31, table 22-25). Power needs an operator.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Privilege {
    /// Looks at things.
    User = 2,
    /// Switches them.
    Operator = 3,
    /// Configures them as well.
    Administrator = 4,
}

/// Chassis Control (section 28.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChassisControl {
    /// Power off, now.
    Off = 0,
    /// Power on.
    On = 1,
    /// Off for a second at least, then on.
    Cycle = 2,
    /// The reset line.
    Reset = 3,
    /// What the power button asks of the operating system.
    Soft = 5,
}

/// Get Chassis Status (section 28.2).
pub fn chassis_status() -> IpmiRequest {
    IpmiRequest { function: CHASSIS, command: 0x01, data: Vec::new() }
}

/// The power, by the answer to [`chassis_status`].
pub fn power(answer: &[u8]) -> Option<Power> {
    let [now, _, _, ..] = answer else { return None };
    Some(if now & 1 == 0 { Power::Off } else { Power::On })
}

/// Chassis Control (section 28.3).
pub fn chassis_control(control: ChassisControl) -> IpmiRequest {
    IpmiRequest { function: CHASSIS, command: 0x02, data: vec![control as u8] }
}

/// Chassis Identify (section 28.5): the lamp of the box blinks for so many seconds, none puts it out.
pub fn identify(seconds: u8) -> IpmiRequest {
    IpmiRequest { function: CHASSIS, command: 0x04, data: vec![seconds] }
}

/// Get System Restart Cause (section 28.11).
pub fn restart_cause() -> IpmiRequest {
    IpmiRequest { function: CHASSIS, command: 0x07, data: Vec::new() }
}

/// Why a box started last (table 28-11).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Restart {
    /// By Chassis Control: it was shot, or an operator did it.
    Ordered,
    /// By its reset button: it had power.
    ResetButton,
    /// By its power button: it had none.
    PowerButton,
    /// By its watchdog.
    Watchdog,
    /// Because power came back, and it is always switched on then.
    PowerCame,
    /// Because power came back, and it was on when that was lost.
    Restored,
    /// By software of its own.
    Software,
    /// For another reason, or none that is known.
    Other(u8),
}

impl Restart {
    /// What that says of how the power was lost, if it says anything.
    pub const fn last_loss(self) -> Option<LastLoss> {
        match self {
            Self::Ordered => Some(LastLoss::Ordered),
            Self::PowerButton | Self::PowerCame => Some(LastLoss::Unclear),
            Self::ResetButton | Self::Watchdog | Self::Restored | Self::Software => {
                Some(LastLoss::None)
            }
            Self::Other(_) => None,
        }
    }
}

/// The reason, by the answer to [`restart_cause`].
pub fn restart(answer: &[u8]) -> Option<Restart> {
    Some(match answer.first()? & 0x0f {
        1 => Restart::Ordered,
        2 => Restart::ResetButton,
        3 => Restart::PowerButton,
        4 => Restart::Watchdog,
        6 => Restart::PowerCame,
        7 => Restart::Restored,
        // Ctrl-Alt-Del and the like.
        10 => Restart::Software,
        other => Restart::Other(other),
    })
}

/// Get Device ID (section 20.1).
pub fn device_id() -> IpmiRequest {
    IpmiRequest { function: APPLICATION, command: 0x01, data: Vec::new() }
}

/// What BMC it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DeviceId {
    /// Its firmware, major and minor.
    pub firmware: (u8, u8),
    /// Its maker, an enterprise number of IANA.
    pub maker: u32,
    /// Its model, of that maker.
    pub product: u16,
}

/// The BMC, by the answer to [`device_id`].
pub fn device(answer: &[u8]) -> Option<DeviceId> {
    let [_, _, major, minor, _, _, m0, m1, m2, p0, p1, ..] = answer else { return None };
    Some(DeviceId {
        // The minor number is in BCD.
        firmware: (major & 0x7f, (minor >> 4) * 10 + (minor & 0x0f)),
        maker: u32::from_le_bytes([*m0, *m1, *m2, 0]) & 0x000f_ffff,
        product: u16::from_le_bytes([*p0, *p1]),
    })
}

/// Get System GUID (section 22.14).
pub fn system_guid() -> IpmiRequest {
    IpmiRequest { function: APPLICATION, command: 0x37, data: Vec::new() }
}

/// The GUID, by the answer to [`system_guid`]; none where it is one that every board has.
pub fn guid(answer: &[u8]) -> Option<Guid> {
    answer.first_chunk().map(|bytes| Guid(*bytes)).filter(|guid| !guid.is_blank())
}

/// Add SEL Entry (section 31.6): a line in the BMC's own log, which outlives the box, that its operating system was
/// stopped, with two bytes of our own.
pub fn add_to_log(words: [u8; 2]) -> IpmiRequest {
    let mut record = vec![0, 0, SYSTEM_EVENT, 0, 0, 0, 0];
    record.extend([SOFTWARE, 0, EVENT_FORMAT, OS_STOP, 0, SENSOR_SPECIFIC, CRITICAL_STOP]);
    record.extend(words);
    IpmiRequest { function: STORAGE, command: 0x44, data: record }
}

/// Get Channel Authentication Capabilities (section 22.13) of the channel that the question comes by. Those of IPMI 2.0
/// are told only where they are asked for.
pub fn capabilities(privilege: Privilege, new: bool) -> IpmiRequest {
    let channel = if new { 0x8e } else { 0x0e };
    IpmiRequest { function: APPLICATION, command: 0x38, data: vec![channel, privilege as u8] }
}

/// How a BMC lets one in, by its own word. Nobody signs it, and many a BMC says it wrong (Asus P5M2, Intel X38ML,
/// Sun Fire X4150; `authcap` of `FreeIPMI`), so that nothing depends on it but what people are told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Capabilities {
    /// The kinds of sessions of IPMI 1.5, a bit each, in the order of table 13-8.
    pub old: u8,
    /// Whether it speaks IPMI 2.0.
    pub new: bool,
}

/// What it can, by the answer to [`capabilities`].
pub fn able(answer: &[u8]) -> Option<Capabilities> {
    let [_, kinds, _, extended, ..] = answer else { return None };
    Some(Capabilities { old: kinds & 0x3f, new: kinds & 0x80 != 0 && extended & 2 != 0 })
}

/// Whether the box is switched by it.
pub const fn is_order(request: &IpmiRequest) -> bool {
    matches!((request.function, request.command), (CHASSIS, 0x02))
}

/// Whether every BMC that has let one in can answer it once it has started.
pub const fn is_basic(request: &IpmiRequest) -> bool {
    matches!((request.function, request.command), (CHASSIS, 0x01) | (APPLICATION, SET_PRIVILEGE))
}

/// Whether a BMC need not know what is asked (appendix G): where it says nothing, its session may stand all the same.
pub const fn is_optional(request: &IpmiRequest) -> bool {
    !matches!(
        (request.function, request.command),
        (CHASSIS, 0x01 | 0x02) | (APPLICATION, 0x01 | SET_PRIVILEGE)
    )
}

/// Whether the privilege of a user is enough for what is asked (appendix G).
pub const fn is_for_users(request: &IpmiRequest) -> bool {
    matches!(
        (request.function, request.command),
        (CHASSIS, 0x01 | 0x07) | (APPLICATION, 0x01 | 0x37)
    )
}

/// Get Session Challenge (section 22.16).
pub fn challenge(auth: u8, user: &[u8; 16]) -> IpmiRequest {
    let data = [&[auth], user.as_slice()].concat();
    IpmiRequest { function: APPLICATION, command: 0x39, data }
}

/// The session for the time being, and what is to be signed, by the answer to [`challenge`].
pub fn challenged(answer: &[u8]) -> Option<(u32, [u8; 16])> {
    let (session, rest) = number(answer)?;
    Some((session, *rest.first_chunk()?))
}

/// Activate Session (section 22.17). The BMC is to count from `sequence`.
pub fn activate(
    auth: u8,
    privilege: Privilege,
    challenge: &[u8; 16],
    sequence: u32,
) -> IpmiRequest {
    let data = [&[auth, privilege as u8], challenge.as_slice(), &sequence.to_le_bytes()].concat();
    IpmiRequest { function: APPLICATION, command: 0x3a, data }
}

/// By what the session is signed from now on, the session, and from where we are to count; by the answer to
/// [`activate`].
pub fn activated(answer: &[u8]) -> Option<(u8, u32, u32)> {
    let (auth, rest) = answer.split_first()?;
    let (session, rest) = number(rest)?;
    let (sequence, _) = number(rest)?;
    Some((auth & 0x0f, session, sequence))
}

/// Set Session Privilege Level (section 22.18).
pub fn set_privilege(privilege: Privilege) -> IpmiRequest {
    IpmiRequest { function: APPLICATION, command: SET_PRIVILEGE, data: vec![privilege as u8] }
}

/// Close Session (section 22.19).
pub fn close(session: u32) -> IpmiRequest {
    IpmiRequest { function: APPLICATION, command: 0x3c, data: session.to_le_bytes().to_vec() }
}

const CHASSIS: u8 = 0x00;
/// The function of what is asked of the BMC about itself.
pub const APPLICATION: u8 = 0x06;
const STORAGE: u8 = 0x0a;
const SET_PRIVILEGE: u8 = 0x3b;
/// A record of the system event log in the format of the standard (section 32.1).
const SYSTEM_EVENT: u8 = 0x02;
/// System software (table 5-4).
const SOFTWARE: u8 = 0x41;
/// OS stop or shutdown (table 42-3).
const OS_STOP: u8 = 0x20;
/// That of IPMI 1.5 and later (table 32-1).
const EVENT_FORMAT: u8 = 0x04;
/// A critical stop at run time, with two bytes of the sender's (tables 42-3 and 29-6).
const CRITICAL_STOP: u8 = 0xa1;
/// The meaning of the words is that of the sensor's kind (table 42-1).
const SENSOR_SPECIFIC: u8 = 0x6f;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_cut_short_is_none() {
        assert_eq!(power(&[1, 0]), None);
        assert_eq!(power(&[0, 0, 0]), Some(Power::Off));
        assert_eq!(power(&[0x21, 0, 0]), Some(Power::On));
        assert_eq!(guid(&[1; 15]), None);
        assert_eq!(guid(&[0; 16]), None);
        assert_eq!(challenged(&[0; 19]), None);
        assert_eq!(activated(&[0; 8]), None);
        assert_eq!(restart(&[]), None);
        assert_eq!(device(&[0; 10]), None);
    }
}
