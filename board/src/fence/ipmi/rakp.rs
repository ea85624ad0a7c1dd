//! The handshake of IPMI 2.0: both ends show that they know the password, and work out a key (RAKP).
//!
//! ```text
//! console                                    BMC
//!   Open Session: suite, our id        ->
//!                                      <-    their id
//!   RAKP 1: our number, user           ->
//!                                      <-    RAKP 2: their number, GUID, signed by the password
//!   RAKP 3: signed by the password     ->
//!                                      <-    RAKP 4: signed by the key of the session
//! ```
//!
//! Sections 13.17 to 13.24 and 13.31. Each function makes or reads one of them. A signature that is wrong is told by
//! [`Error::Password`] or [`Error::CutOff`] where the password made it, and [`Error::Key`] where the BMC's own key has.
//!
//! Only RAKP 2 shows whether the password is right. The console has to know that before RAKP 3, which is the first
//! message that its own password signs: so a stranger at the BMC's address learns the name of the user, and nothing
//! to guess the password by. A refusal of RAKP 3 says nothing of the password any more: both ends know it.

use zeroize::Zeroizing;

use super::command::Privilege;
use super::error::Error;
use super::packet::{self, OPEN, OPENED, Packet, RAKP, number};
use super::suite::{SessionKeys, Suite, is_same};

/// Who wants in, and by what.
pub struct Login {
    /// The user, at most 16 bytes.
    pub user: Vec<u8>,
    /// Its password, at most 20 bytes.
    pub password: Zeroizing<Vec<u8>>,
    /// The BMC's own key (Kg), where it has one.
    pub key: Option<Zeroizing<Vec<u8>>>,
    /// What is to be done in the session.
    pub privilege: Privilege,
}

/// A handshake on its way: what both ends have told so far.
pub struct Handshake {
    suite: Suite,
    ours: u32,
    our_number: [u8; 16],
    theirs: u32,
    their_number: [u8; 16],
    guid: [u8; 16],
}

impl Handshake {
    /// A handshake by that suite; both numbers are random.
    pub const fn new(suite: Suite, ours: u32, our_number: [u8; 16]) -> Self {
        Self { suite, ours, our_number, theirs: 0, their_number: [0; 16], guid: [0; 16] }
    }

    /// The suite that it is by.
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// Open Session Request (section 13.17). It asks for the privilege of RAKP 1: some BMCs make their signatures
    /// with what stands here (Supermicro X8DTH, Intel S5500WBV, Dell C5220; `opensesspriv` of `FreeIPMI`).
    pub fn open(&self, login: &Login) -> Vec<u8> {
        let mut payload = vec![TAG, login.privilege as u8, 0, 0];
        payload.extend(self.ours.to_le_bytes());
        for (kind, algorithm) in (0..).zip(self.suite.algorithms()) {
            payload.extend([kind, 0, 0, 8, algorithm, 0, 0, 0]);
        }
        packet::new(OPEN, 0, 0, &payload)
    }

    /// Open Session Response (section 13.18); nothing where it is none to our request.
    pub fn opened(&mut self, packet: &Packet<'_>) -> Option<Result<(), Error>> {
        let rest = self.read(packet, OPENED)?;
        let rest = rest.map_err(|status| Error::of_opening(status, self.suite));
        Some(rest.and_then(|rest| {
            let (theirs, algorithms) = number(rest).ok_or(Error::Nonsense)?;
            // A BMC that chose another suite than we asked for would be a way around it.
            let chosen =
                (0..).zip(self.suite.algorithms()).all(|(place, algorithm): (usize, _)| {
                    algorithms.get(place * 8 + 4).is_some_and(|chosen| chosen & 0x3f == algorithm)
                });
            self.theirs = theirs;
            if chosen { Ok(()) } else { Err(Error::Suite(self.suite)) }
        }))
    }

    /// RAKP Message 1 (section 13.20).
    pub fn first(&self, login: &Login) -> Vec<u8> {
        let mut payload = vec![TAG, 0, 0, 0];
        payload.extend(self.theirs.to_le_bytes());
        payload.extend(self.our_number);
        payload.extend([role(login), 0, 0, login.user.len() as u8]);
        payload.extend(&login.user);
        packet::new(RAKP[0], 0, 0, &payload)
    }

    /// RAKP Message 2 (section 13.21); nothing where it is none to our first.
    pub fn second(&mut self, packet: &Packet<'_>, login: &Login) -> Option<Result<(), Error>> {
        let rest = self.read(packet, RAKP[1])?.map_err(Error::of_status);
        Some(rest.and_then(|rest| {
            let (their_number, rest) = rest.split_first_chunk().ok_or(Error::Nonsense)?;
            let (guid, signature) = rest.split_first_chunk().ok_or(Error::Nonsense)?;
            let is_signed_by = |password: &[u8]| {
                let words: [&[u8]; 7] = [
                    &self.ours.to_le_bytes(),
                    &self.theirs.to_le_bytes(),
                    &self.our_number,
                    their_number,
                    guid,
                    &[role(login), login.user.len() as u8],
                    &login.user,
                ];
                begins_with(signature, &self.suite.sign(password, &words))
            };
            if !is_signed_by(&login.password) {
                let cut_off = login.password.get(..CUT_OFF).is_some_and(is_signed_by);
                return Err(if cut_off { Error::CutOff } else { Error::Password });
            }
            (self.their_number, self.guid) = (*their_number, *guid);
            Ok(())
        }))
    }

    /// RAKP Message 3 (section 13.22).
    pub fn third(&self, login: &Login) -> Vec<u8> {
        let signature = self.suite.sign(
            &login.password,
            &[
                &self.their_number,
                &self.ours.to_le_bytes(),
                &[role(login), login.user.len() as u8],
                &login.user,
            ],
        );
        self.answer(0, &signature)
    }

    /// RAKP Message 3 of one that gives up, because the signature is wrong: the BMC then forgets the session, and does
    /// not count a login that has failed.
    pub fn give_up(&self) -> Vec<u8> {
        self.answer(WRONG_SIGNATURE, &[])
    }

    fn answer(&self, status: u8, signature: &[u8]) -> Vec<u8> {
        let mut payload = vec![TAG, status, 0, 0];
        payload.extend(self.theirs.to_le_bytes());
        payload.extend(signature);
        packet::new(RAKP[2], 0, 0, &payload)
    }

    /// RAKP Message 4 (section 13.23), and the keys that both ends have now; nothing where it is none to our third.
    pub fn fourth(&self, packet: &Packet<'_>, login: &Login) -> Option<Result<SessionKeys, Error>> {
        let rest = self.read(packet, RAKP[3])?.map_err(Error::of_proof);
        Some(rest.and_then(|signature| {
            // Section 13.31: a BMC that has no key of its own takes the password.
            let key = login.key.as_ref().unwrap_or(&login.password);
            let session_key = self.suite.sign(
                key,
                &[
                    &self.our_number,
                    &self.their_number,
                    &[role(login), login.user.len() as u8],
                    &login.user,
                ],
            );
            let expected = self
                .suite
                .tag(&session_key, &[&self.our_number, &self.theirs.to_le_bytes(), &self.guid]);
            if begins_with(signature, &expected) {
                Ok(SessionKeys::new(self.suite, &session_key))
            } else {
                Err(Error::Key)
            }
        }))
    }

    /// The ids of the session: theirs and ours.
    pub const fn ids(&self) -> (u32, u32) {
        (self.theirs, self.ours)
    }

    /// By what the BMC calls itself.
    pub const fn guid(&self) -> [u8; 16] {
        self.guid
    }

    /// What stands behind the head that all of them have: tag, status, our id; or the status of a refusal.
    fn read<'a>(&self, packet: &Packet<'a>, wanted: u8) -> Option<Result<&'a [u8], u8>> {
        let Packet::New { kind, session: 0, payload, .. } = *packet else { return None };
        let [tag, status, ..] = payload else { return None };
        if kind != wanted || *tag != TAG {
            return None;
        }
        let told = payload.get(4..).and_then(number);
        match (*status, told) {
            (0, Some((ours, rest))) => (ours == self.ours).then_some(Ok(rest)),
            (0, None) => None,
            // What is refused may be told without our id, or without anything.
            (_, Some((ours, _))) if ours != self.ours && ours != 0 => None,
            (status, _) => Some(Err(status)),
        }
    }
}

/// Whether a signature is the one that is expected. Some BMCs send more bytes behind it (Supermicro H8QME, Sun Fire
/// 4100, and in suite 0 Supermicro X8DTG; `supermicro20`, `sun20` and `integritycheckvalue` of `FreeIPMI`).
fn begins_with(signature: &[u8], expected: &[u8]) -> bool {
    signature.get(..expected.len()).is_some_and(|signature| is_same(signature, expected))
}

/// The user is looked for by its name alone, and not by name and privilege (table 13-11).
const fn role(login: &Login) -> u8 {
    NAME_ONLY | login.privilege as u8
}

/// So much of a password a BMC keeps that was given it in the form of IPMI 1.5 (section 22.30).
const CUT_OFF: usize = 16;
const NAME_ONLY: u8 = 0x10;
/// One handshake has one of each message; which handshake it is, our id says. `OpenBMC` answers 0 to any tag.
const TAG: u8 = 0;
/// Invalid integrity check value (table 13-15).
const WRONG_SIGNATURE: u8 = 0x0f;
