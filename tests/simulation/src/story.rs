//! Plays a story, and compares what is told with its expected trace.

use std::path::Path;
use std::{env, fs};

use firmware_agnostic::identity::BoxId;
use firmware_agnostic::settings::Settings;

use super::fault_model::{FaultModel, SECOND};
use super::trace::Trace;
use super::{World, fixtures};

/// A story that is being told.
pub struct Story(World);

impl Story {
    /// Two boxes without power.
    pub fn begin() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl Fn(&mut Settings)) -> Self {
        let mut pair = fixtures::pair();
        pair.iter_mut().for_each(change);
        Self(World::new(pair, FaultModel::none(), 1, Trace::Kept(Vec::new())))
    }

    /// A pair whose home serves.
    pub fn serving() -> Self {
        Self::serving_with(|_| {})
    }

    /// A pair whose home serves, both boxes set up a little differently.
    pub fn serving_with(change: impl Fn(&mut Settings)) -> Self {
        let mut story = Self::with(change);
        story.power_on(BoxId::First);
        story.power_on(BoxId::Second);
        story.run(20 * SECOND);
        assert_eq!(story.0.serving(), Some(BoxId::First));
        story.0.forget_lines();
        story
    }

    /// Lets `micros` microseconds pass.
    ///
    /// # Panics
    ///
    /// If a promise is broken.
    pub fn run(&mut self, micros: u64) {
        self.0
            .run(micros)
            .unwrap_or_else(|broken| panic!("{broken}\n{}", self.0.lines().join("\n")));
    }

    /// Cuts or mends all cables.
    pub fn cables(&mut self, work: bool) {
        (0..3).for_each(|link| self.plug(link, work));
    }

    /// Compares what was told with `stories/NAME.trace`, and who serves with `serving`.
    ///
    /// # Panics
    ///
    /// If they differ.
    pub fn end(self, name: &str, serving: Option<BoxId>) {
        let told = self.0.lines().join("\n") + "\n";
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../core/stories/{name}.trace"));
        if env::var_os("TWOBOX_WRITE").is_some() {
            fs::write(&path, &told).expect("the folder of the stories can be written");
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        let difference =
            told.lines().zip(expected.lines()).find(|(told, expected)| told != expected);
        assert!(told == expected, "{name}: the first difference is {difference:?} in\n{told}");
        if serving.is_some() {
            assert_eq!(self.0.serving(), serving, "\n{told}");
        }
    }
}

impl std::ops::Deref for Story {
    type Target = World;

    fn deref(&self) -> &World {
        &self.0
    }
}

impl std::ops::DerefMut for Story {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.0
    }
}
