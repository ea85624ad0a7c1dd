//! Reads the two boxes, and finds out which of them is this machine.

use board::config::table::{Source, Table};
use board::fence;
use firmware_agnostic::evidence::Require;
use firmware_agnostic::heartbeat::Priority;
use firmware_agnostic::identity::BoxId;

use super::identity::{Identity, Marks};

/// The two `[box.NAME]`, in the order of [`BoxId`].
pub(super) struct Boxes([BoxEntry; 2]);

struct BoxEntry {
    name: String,
    priority: Option<Priority>,
    fence: Vec<fence::Config>,
    fence_place: (usize, usize),
    marks: Marks,
}

impl Boxes {
    /// Reads both, and complains unless they are two.
    pub(super) fn read(
        root: &mut Table<'_>,
        source: &Source<'_>,
        require: Require,
    ) -> Option<Self> {
        let mut tables = root.section("box").named_tables();
        tables.sort_by(|(one, _), (other, _)| one.cmp(other));
        let names: Vec<_> = tables.iter().map(|(name, _)| name.clone()).collect();
        if names.len() != 2 {
            let them = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let reason = format!(
                "a pair is two boxes, and here is {them}: say [box.NAME] for each of the two"
            );
            if names.is_empty() {
                root.miss("box", reason);
            } else {
                root.error("box", reason);
            }
        }
        source.set_boxes(names);
        let mut entries: Vec<_> = tables
            .into_iter()
            .map(|(name, mut table)| {
                let entry = BoxEntry::read(name, &mut table, require);
                (entry, table)
            })
            .collect();
        if let [(first, _), (second, table)] = entries.as_slice()
            && first.priority.is_some()
            && first.priority == second.priority
        {
            table.error(
                "priority",
                format!(
                    "is that of {} too: the box with the higher one is home, so they must differ",
                    first.name
                ),
            );
        }
        if let [(first, _), (second, table)] = entries.as_slice()
            && first.fence.iter().any(|one| second.fence.iter().any(|other| one.is_same_as(other)))
        {
            table.error(
                "fence",
                format!(
                    "has the very device of {}: it would cut the power of the wrong box; name the outlet of each",
                    first.name
                ),
            );
        }
        let entries: Vec<_> = entries
            .drain(..)
            .map(|(entry, table)| {
                table.finish();
                entry
            })
            .collect();
        entries.try_into().ok().map(Self)
    }

    /// The box that `identity` is; complains in `root` unless it is exactly one.
    pub(super) fn find(&self, identity: &Identity, root: &Table<'_>) -> Option<BoxId> {
        let fits: Vec<_> = BoxId::BOTH
            .into_iter()
            .filter(|id| identity.is(&self.of(*id).name, &self.of(*id).marks))
            .collect();
        if let [me] = fits.as_slice() {
            return Some(*me);
        }
        let [first, second] = &self.0;
        let which = if fits.is_empty() { "neither of the boxes" } else { "both boxes at once" };
        let remedy = if identity.told.is_some() {
            "say one of their names"
        } else {
            "correct what tells them apart, or say --box NAME"
        };
        root.error(
            "box",
            format!(
                "this machine ({identity}) is {which}, {} ({}) and {} ({}): {remedy}",
                first.name, first.marks, second.name, second.marks
            ),
        );
        None
    }

    pub(super) fn priority(&self, id: BoxId) -> Option<Priority> {
        self.of(id).priority
    }

    /// The devices of each box.
    pub(super) fn fences(&self) -> [&[fence::Config]; 2] {
        self.0.each_ref().map(|entry| entry.fence.as_slice())
    }

    pub(super) fn fence_places(&self) -> [(usize, usize); 2] {
        self.0.each_ref().map(|entry| entry.fence_place)
    }

    /// The names, and the devices.
    pub(super) fn into_parts(self) -> ([String; 2], [Vec<fence::Config>; 2]) {
        let [first, second] = self.0;
        ([first.name, second.name], [first.fence, second.fence])
    }

    fn of(&self, id: BoxId) -> &BoxEntry {
        let [first, second] = &self.0;
        match id {
            BoxId::First => first,
            BoxId::Second => second,
        }
    }
}

impl BoxEntry {
    fn read(name: String, table: &mut Table<'_>, require: Require) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(plain) {
            table.error(
                "",
                format!(
                    "is no name for a box: take at most {NAME_MAX} letters, digits, dots and dashes"
                ),
            );
        }
        let priority = table.require("priority").map(Priority);
        let said = table.has("fence");
        let fence = table
            .tables("fence")
            .into_iter()
            .filter_map(|mut device| fence::Config::read(&mut device));
        let fence = fence.collect();
        if !said && require == Require::Fenced {
            table.miss(
                "fence",
                "is missing: say how the power of this box is cut, \
                 fence = [{ kind = \"command\", command = [\"/PROGRAM\"] }], \
                 or fence = [] to wait for an operator's word every time it is silent",
            );
        }
        Self { name, priority, fence, fence_place: table.place("fence"), marks: Marks::read(table) }
    }
}

/// As long as a host name may be (`hostname(7)`).
const NAME_MAX: usize = 64;
