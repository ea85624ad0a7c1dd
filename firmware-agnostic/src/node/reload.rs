//! Changes the configuration while the box goes on.
//!
//! Its settings, and nothing that it knows: the role, the term, the peer's word and the failures stay. The box takes a
//! new state, so that nothing that the peer has said to the old one, with another rank for instance, starts a box (the
//! echo rule).

use heapless::Vec;

use crate::frame::Keys;
use crate::heartbeat::PeerRequest;
use crate::identity::{LINKS_MAX, LinkId, RESOURCES_MAX, ResourceId};
use crate::node::{Actions, Node, tell};
use crate::order::Refusal;
use crate::report::Report;
use crate::settings::Settings;
use crate::time::Instant;

/// A new configuration, and what of the old one is in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reloaded {
    /// The new settings; which box it is and which machine stays as it is.
    pub settings: Settings,
    /// For each link, its place so far; none for a new one.
    pub links: Vec<Option<LinkId>, LINKS_MAX>,
    /// For each resource, its place so far; none for a new one, and for one that is to be tried afresh.
    pub resources: Vec<Option<ResourceId>, RESOURCES_MAX>,
}

impl Node {
    /// Whether this box may go on with another configuration now, while its peer has the present one.
    ///
    /// # Errors
    ///
    /// When the resources or the fence devices have not answered, and will answer for those of the present one; or
    /// when the boxes would no longer hear each other, or not often enough, and one of them would shoot.
    pub fn may_reload(&self, reloaded: &Reloaded, now: Instant) -> Result<(), Refusal> {
        if self.asked.is_some() || self.fencing.is_under_way() {
            return Err(Refusal::Busy);
        }
        let hears = self.peer.hears(now);
        let stays = reloaded.links.iter().flatten().any(|link| hears.contains(*link));
        if hears.is_empty() || self.request() == PeerRequest::Maintenance {
            Ok(())
        } else if !stays {
            Err(Refusal::NoLinkStays)
        } else if !self.settings.timing.goes_with(&reloaded.settings.timing) {
            Err(Refusal::TimesApart)
        } else {
            Ok(())
        }
    }

    /// Whether this box may have the keys `new` instead of `old` now, which its peer has too as far as is known,
    /// and signs with the one called `theirs`.
    ///
    /// # Errors
    ///
    /// When one of the boxes would hear nothing that it can read any more, and shoot.
    pub fn may_change_keys(
        &self,
        old: &Keys,
        new: &Keys,
        theirs: Option<u8>,
        now: Instant,
    ) -> Result<(), Refusal> {
        if self.peer.hears(now).is_empty() || self.request() == PeerRequest::Maintenance {
            Ok(())
        } else if !new.are_read_with(old) {
            Err(Refusal::KeyUnknown)
        } else if theirs.is_some_and(|id| !new.has_like(old, id)) {
            Err(Refusal::KeyInUse)
        } else {
            Ok(())
        }
    }

    /// Goes on with other settings, and tells what to do about it, as [`Node::step`] does.
    pub fn reload(&mut self, reloaded: Reloaded, now: Instant) -> Actions {
        self.apply(now, |node, actions| {
            let differed = node.config_differs();
            let Reloaded { settings, links, resources } = reloaded;
            let (me, system) = (node.settings.me, node.settings.system);
            node.settings = Settings { me, system, ..settings };
            let times = (node.settings.timing, node.settings.restart_time);
            node.peer.reload(times, &links, now);
            node.recovery.reload(&node.settings.resources, &resources);
            node.change += 1;
            if node.config_differs() && !differed {
                tell(actions, Report::ConfigDiffers);
            }
        })
    }
}
