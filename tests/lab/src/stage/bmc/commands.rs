//! Answers the commands of a BMC's session.

use std::time::Instant;

use super::Inside;
use super::login::{Answer, Question};
use super::quirks::{Habit, Identity, Work};
use board::fence::ipmi::command::Privilege;

impl Inside {
    pub(super) fn on_command(
        &mut self,
        session: u32,
        privilege: u8,
        question: &Question<'_>,
    ) -> Option<Answer> {
        let data = question.data;
        self.works(Work::Command(question.function, question.command));
        if self.character.busy > 0 {
            self.character.busy -= 1;
            return Some((0xc0, Vec::new()));
        }
        if let Some((code, left @ 1..)) = &mut self.character.quirks.cold {
            *left -= 1;
            return Some((*code, Vec::new()));
        }
        Some(match (question.function, question.command) {
            // Chassis: status, control, restart cause.
            (0, 0x01) => {
                let mut status = vec![u8::from(self.shows_on()), 0, 0];
                status.resize(3 + self.character.quirks.status_extra, 0);
                (0, status)
            }
            (0, 0x02 | 0x04) if privilege < Privilege::Operator as u8 => (0xd4, Vec::new()),
            (0, 0x02) => self.on_control(data),
            // Ordered: by Chassis Control.
            (0, 0x07) => (0, vec![1]),
            // About itself: device id, GUID, privilege.
            (6, 0x01) => (0, vec![0x20, 1, 1, 0x23, 2, 0x80, 0, 0, 0, 1, 0]),
            (6, 0x37) => match self.character.quirks.identity {
                Identity::Told => (0, self.character.guid.0.to_vec()),
                Identity::Refused(code) => (code, Vec::new()),
                Identity::Silent => return None,
            },
            (6, 0x38) => (0, vec![1, 0x80, 4, 2, 0, 0, 0, 0]),
            (6, 0x3b) => match self.logins.raise(session, data.first().copied().unwrap_or(0)) {
                Ok(privilege) => (0, vec![privilege]),
                Err(code) => (code, Vec::new()),
            },
            (0, 0x04) => {
                self.blinks = data.first().copied().unwrap_or(15);
                (0, Vec::new())
            }
            // The end of a session.
            (6, 0x3c) => (0, Vec::new()),
            // Its log.
            (10, 0x44) => {
                self.notes += 1;
                (0, vec![1, 0])
            }
            _ => (0xc1, Vec::new()),
        })
    }

    /// What it says of the power.
    fn shows_on(&mut self) -> bool {
        let lags = self.character.quirks.status_lags;
        if let Some((was, _)) = self.before.filter(|(_, changed)| changed.elapsed() < lags) {
            return was;
        }
        !(self.character.lies && self.told_off) && self.chassis.is_on()
    }

    fn on_control(&mut self, data: &[u8]) -> Answer {
        let Some(order) = data.first() else { return (0xc7, Vec::new()) };
        let quirks = &mut self.character.quirks;
        if quirks.refuses_orders > 0 {
            quirks.refuses_orders -= 1;
            return (0xd5, Vec::new());
        }
        let on = self.chassis.is_on();
        if quirks.has(Habit::RefusesWhatIsSo) && (*order == 0 && !on || *order == 1 && on) {
            return (0xd5, Vec::new());
        }
        if *order == 0 && on && !quirks.gone_after_off.is_zero() {
            self.gone_until = Some(Instant::now() + quirks.gone_after_off);
        }
        self.orders.push(*order);
        self.told_off = *order == 0;
        if self.character.idle || self.character.lies {
            return (0, Vec::new());
        }
        match *order {
            0 => self.off_at = Some(Instant::now() + self.character.off_takes),
            1 => self.switch(true),
            2 => {
                self.switch(false);
                self.switch(true);
            }
            // Reset, soft: they end with the power on.
            3 | 5 => {}
            _ => return (0xcc, Vec::new()),
        }
        self.pass();
        (0, Vec::new())
    }
}
