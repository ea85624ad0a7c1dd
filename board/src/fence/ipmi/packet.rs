//! What stands around a message on its way: RMCP, and the header of a session of IPMI 1.5 or 2.0.
//!
//! ```text
//! RMCP      06 00 ff CLASS                                               CLASS 06: ASF (ping), 07: IPMI
//! IPMI 1.5  AUTH SEQUENCE(4) SESSION(4) [SIGNATURE(16)] LENGTH MESSAGE   no signature where AUTH is 0
//! IPMI 2.0  06 KIND SEQUENCE.. SESSION(4) SEQUENCE(4) LENGTH(2) PAYLOAD [ff.. PADS 07 SIGNATURE]
//! ```
//!
//! Little end first; the session before the sequence in 2.0. Section 13.6, and ASF 2.0 section 3.2.4 for the ping.
//! Reading is pure: who may have sent it is for the session to say.

/// What a datagram of a BMC is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Packet<'a> {
    /// The answer to a ping, and whether it promises IPMI.
    Pong(bool),
    /// Of IPMI 1.5.
    Old {
        /// By what it is signed, as a number of table 13-8.
        auth: u8,
        /// Its number in the session.
        sequence: u32,
        /// The session, 0 outside of any.
        session: u32,
        /// The signature, empty where there is none.
        signature: &'a [u8],
        /// The message.
        message: &'a [u8],
    },
    /// Of IPMI 2.0.
    New {
        /// What the payload is.
        kind: u8,
        /// Whether the payload is hidden.
        hidden: bool,
        /// The session, 0 outside of any.
        session: u32,
        /// Its number in the session.
        sequence: u32,
        /// The payload.
        payload: &'a [u8],
        /// All that is signed with what signs it, where it says that it is signed.
        signed: Option<&'a [u8]>,
    },
}

impl<'a> Packet<'a> {
    /// Reads a datagram; nothing where it is none of these.
    pub fn read(datagram: &'a [u8]) -> Option<Self> {
        let (rmcp, rest) = datagram.split_first_chunk()?;
        match rmcp {
            [VERSION, _, _, CLASS_ASF] => Self::pong(rest),
            [VERSION, _, _, CLASS_IPMI] if rest.first() == Some(&RMCP_PLUS) => Self::new(rest),
            [VERSION, _, _, CLASS_IPMI] => Self::old(rest),
            _ => None,
        }
    }

    fn pong(rest: &[u8]) -> Option<Self> {
        let (header, data) = rest.split_first_chunk::<8>()?;
        let [0, 0, 0x11, 0xbe, PONG, ..] = header else { return None };
        Some(Self::Pong(data.get(8)? & 0x80 != 0))
    }

    fn old(rest: &'a [u8]) -> Option<Self> {
        let (auth, rest) = rest.split_first()?;
        let (sequence, rest) = number(rest)?;
        let (session, rest) = number(rest)?;
        let (signature, rest) = rest.split_at_checked(if *auth == 0 { 0 } else { 16 })?;
        let (length, rest) = rest.split_first()?;
        // A byte may follow, so that some lengths are avoided (section 13.6).
        let message = rest.get(..usize::from(*length))?;
        Some(Self::Old { auth: *auth, sequence, session, signature, message })
    }

    fn new(whole: &'a [u8]) -> Option<Self> {
        let ([_, kind], rest) = whole.split_first_chunk()?;
        // Other payloads than the standard's have a longer header, and are none of ours.
        if kind & 0x3f == 2 {
            return None;
        }
        let (session, rest) = number(rest)?;
        let (sequence, rest) = number(rest)?;
        let (length, rest) = rest.split_first_chunk()?;
        let payload = rest.get(..usize::from(u16::from_le_bytes(*length)))?;
        let signed = (kind & SIGNED != 0).then_some(whole);
        let hidden = kind & HIDDEN != 0;
        Some(Self::New { kind: kind & 0x3f, hidden, session, sequence, payload, signed })
    }
}

/// Asks a BMC whether it is there (ASF 2.0 section 3.2.4.2).
pub fn ping(tag: u8) -> Vec<u8> {
    vec![VERSION, 0, 0xff, CLASS_ASF, 0, 0, 0x11, 0xbe, PING, tag, 0, 0]
}

/// A packet of IPMI 1.5. There is no signature where `auth` is 0.
pub fn old(auth: u8, sequence: u32, session: u32, signature: &[u8], message: &[u8]) -> Vec<u8> {
    let mut packet = vec![VERSION, 0, 0xff, CLASS_IPMI, auth];
    packet.extend(sequence.to_le_bytes());
    packet.extend(session.to_le_bytes());
    packet.extend(signature);
    packet.push(message.len() as u8);
    packet.extend(message);
    packet
}

/// A packet of IPMI 2.0 without a signature.
pub fn new(kind: u8, session: u32, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![VERSION, 0, 0xff, CLASS_IPMI, RMCP_PLUS, kind];
    packet.extend(session.to_le_bytes());
    packet.extend(sequence.to_le_bytes());
    packet.extend((payload.len() as u16).to_le_bytes());
    packet.extend(payload);
    packet
}

/// The same with the padding that goes before a signature.
pub fn to_be_signed(kind: u8, session: u32, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = new(kind | SIGNED, session, sequence, payload);
    let pads = (packet.len() - RMCP).wrapping_neg().wrapping_sub(2) % 4;
    packet.extend([0xff; 4].iter().take(pads));
    packet.extend([pads as u8, NEXT_HEADER]);
    packet
}

/// A number of four bytes, and what follows.
pub fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*number), rest))
}

/// The length of the RMCP header, which is never signed.
pub const RMCP: usize = 4;
/// Payloads of IPMI 2.0 (table 13-16).
pub const MESSAGE: u8 = 0x00;
/// RMCP+ Open Session Request.
pub const OPEN: u8 = 0x10;
/// RMCP+ Open Session Response.
pub const OPENED: u8 = 0x11;
/// RAKP Message 1 to 4.
pub const RAKP: [u8; 4] = [0x12, 0x13, 0x14, 0x15];
/// In the kind: the payload is hidden.
pub const HIDDEN: u8 = 0x80;

const SIGNED: u8 = 0x40;
const VERSION: u8 = 6;
const CLASS_ASF: u8 = 6;
const CLASS_IPMI: u8 = 7;
const RMCP_PLUS: u8 = 6;
const PING: u8 = 0x80;
const PONG: u8 = 0x40;
const NEXT_HEADER: u8 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_signed_is_a_multiple_of_four() {
        for length in 0..9 {
            let packet = to_be_signed(MESSAGE, 1, 2, &vec![0; length]);
            assert_eq!((packet.len() - RMCP) % 4, 0);
            assert!(packet.len() - RMCP - 12 - length <= 5, "{length}");
            let Some(Packet::New { payload, signed: Some(signed), .. }) = Packet::read(&packet)
            else {
                panic!("{packet:?}")
            };
            assert_eq!((payload.len(), signed.len()), (length, packet.len() - RMCP));
        }
    }

    #[test]
    fn a_packet_that_is_cut_short_is_none() {
        let packet = new(OPENED, 0, 0, &[1, 2, 3]);
        assert!(Packet::read(&packet).is_some());
        for length in 0..packet.len() {
            assert_eq!(Packet::read(&packet[..length]), None, "{length}");
        }
    }
}
