//! A question to the BMC, and its answer: the message inside of a packet.
//!
//! ```text
//! 20 FUNCTION<<2 SUM 81 NUMBER<<2 COMMAND DATA.. SUM               to the BMC, from a console
//! 81 (FUNCTION|1)<<2 SUM 20 NUMBER<<2 COMMAND CODE DATA.. SUM      and back
//! ```
//!
//! Section 13.8. A sum makes the bytes before it zero.

/// What a BMC is asked or told: function, command and data.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IpmiRequest {
    /// The network function, which is even.
    pub function: u8,
    /// The command of that function.
    pub command: u8,
    /// What goes with it.
    pub data: Vec<u8>,
}

/// What it answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IpmiResponse<'a> {
    /// The function that was asked.
    pub function: u8,
    /// The command that was asked.
    pub command: u8,
    /// The number of the question.
    pub number: u8,
    /// The completion code: 0 when it was done (table 5-2).
    pub code: u8,
    /// What goes with it.
    pub data: &'a [u8],
}

impl IpmiRequest {
    /// The message, by which the answer of that `number` (6 bits) is asked for.
    pub fn write(&self, number: u8) -> Vec<u8> {
        let mut message = vec![BMC, self.function << 2];
        message.push(sum(&message));
        let from = message.len();
        message.extend([CONSOLE, number << 2, self.command]);
        message.extend(&self.data);
        message.push(sum(message.get(from..).unwrap_or_default()));
        message
    }
}

impl<'a> IpmiResponse<'a> {
    /// Reads an answer; nothing where it is none, or damaged. In a packet that is `signed` nothing can be damaged,
    /// and the sums are not looked at: some BMCs make them wrong (Supermicro X9SCM-iiF, X9DRi-F; `nochecksumcheck`
    /// of `FreeIPMI`).
    pub fn read(message: &'a [u8], signed: bool) -> Option<Self> {
        let (head, body) = message.split_at_checked(3)?;
        let (_, inside) = body.split_last()?;
        if !signed && (sum(head) != 0 || sum(body) != 0) {
            return None;
        }
        let ([CONSOLE, function, _], [_, number, command, code, data @ ..]) = (head, inside) else {
            return None;
        };
        // An answer has an odd function; the question's is one less.
        (function >> 2 & 1 == 1).then(|| Self {
            function: (function >> 2) - 1,
            command: *command,
            number: number >> 2,
            code: *code,
            data,
        })
    }

    /// Whether it answers `request`; in which message that was asked, the number tells.
    pub fn answers(&self, request: &IpmiRequest) -> bool {
        (self.function, self.command) == (request.function, request.command)
    }

    /// Its data, or its completion code.
    ///
    /// # Errors
    ///
    /// The completion code, where it is not 0.
    pub fn result(&self) -> Result<Vec<u8>, u8> {
        if self.code == 0 { Ok(self.data.to_vec()) } else { Err(self.code) }
    }
}

/// What must follow so that the sum of all bytes is zero.
pub fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte))
}

/// The address of the BMC on its own bus.
pub const BMC: u8 = 0x20;
/// The address of a remote console.
pub const CONSOLE: u8 = 0x81;

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded: Get Channel Authentication Capabilities of ipmitool, and the answer of `ipmi_sim`.
    #[test]
    fn messages_are_those_of_others() {
        let request = IpmiRequest { function: 6, command: 0x38, data: vec![0x8e, 4] };
        assert_eq!(request.write(0), [0x20, 0x18, 0xc8, 0x81, 0, 0x38, 0x8e, 4, 0xb5]);
        let answer = [0x81, 0x1c, 0x63, 0x20, 0, 0x38, 0, 1, 0x96, 4, 3, 0, 0, 0, 0, 0x0a];
        let read = IpmiResponse::read(&answer, false).unwrap();
        assert_eq!((read.function, read.command, read.number, read.code), (6, 0x38, 0, 0));
        assert_eq!(read.data, [1, 0x96, 4, 3, 0, 0, 0, 0]);
        for place in 0..answer.len() {
            let mut damaged = answer;
            damaged[place] ^= 1;
            assert_eq!(IpmiResponse::read(&damaged, false), None, "{place}");
        }
        let question = [0x81, 0, 0x7f, 0x20, 0, 0, 0, 0xe0];
        assert_eq!(IpmiResponse::read(&question, true), None);
    }
}
