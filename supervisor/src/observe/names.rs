//! The names that the configuration gives to boxes, links and resources, kept for the life of the supervisor.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use firmware_agnostic::identity::{BoxId, ResourceId};
use firmware_agnostic::report::Names;

use crate::config::Config;

/// Owns what [`Names`] lends.
pub(crate) struct NameTable {
    me: BoxId,
    boxes: [&'static str; 2],
    links: Vec<&'static str>,
    resources: Vec<&'static str>,
}

impl NameTable {
    /// The names in `config`.
    pub(crate) fn new(config: &Config) -> Self {
        let [first, second] = &config.boxes;
        Self {
            me: config.settings.me,
            boxes: [keep(first), keep(second)],
            links: config.links.iter().map(|link| keep(&link.name)).collect(),
            resources: config.resources.iter().map(|resource| keep(&resource.name)).collect(),
        }
    }

    /// The resource called `name`.
    pub(crate) fn resource(&self, name: &str) -> Option<ResourceId> {
        ResourceId::new(self.resources.iter().position(|known| *known == name)?)
    }

    /// The names, lent out.
    pub(crate) fn lend(&self) -> Names<'_> {
        Names { me: self.me, boxes: self.boxes, links: &self.links, resources: &self.resources }
    }
}

/// A few short texts, each once in the life of the process.
fn keep(name: &str) -> &'static str {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = known.get(name) {
        return known;
    }
    let name = Box::leak(name.to_owned().into_boxed_str());
    known.insert(name);
    name
}

static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
