//! The body of version 1.

use serde::{Deserialize, Serialize};

use super::{Version, Word};
use crate::heartbeat::{Asks, Epoch, Fingerprint, Heartbeat, Links, Priority, Role, Term};
use crate::identity::BoxId;

#[derive(Deserialize, Serialize)]
pub(super) struct Body {
    number: u32,
    sentence: Sentence,
}

/// There was one kind of sentence, and a byte that said so.
#[derive(Deserialize, Serialize)]
enum Sentence {
    Heartbeat(Said),
}

#[derive(Deserialize, Serialize)]
struct Said {
    from: BoxId,
    epoch: Epoch,
    role: Role,
    priority: Priority,
    term: Term,
    fit: bool,
    asks: Asks,
    config: Fingerprint,
    heard: Option<Epoch>,
    hears: Links,
}

impl From<&Word> for Body {
    fn from(word: &Word) -> Self {
        let Heartbeat {
            from, epoch, role, priority, term, fit, asks, config, heard, hears, ..
        } = word.heartbeat;
        let said = Said { from, epoch, role, priority, term, fit, asks, config, heard, hears };
        Self { number: word.number, sentence: Sentence::Heartbeat(said) }
    }
}

impl From<Body> for Word {
    fn from(body: Body) -> Self {
        let Sentence::Heartbeat(said) = body.sentence;
        let Said { from, epoch, role, priority, term, fit, asks, config, heard, hears } = said;
        let heartbeat = Heartbeat {
            from,
            epoch,
            role,
            priority,
            term,
            fit,
            witness: true,
            shoots: false,
            asks,
            config,
            system: Fingerprint::default(),
            heard,
            hears,
        };
        Self { version: Version::One, number: body.number, heartbeat }
    }
}
