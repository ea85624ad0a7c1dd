//! How fast, how small, how frugal is the pair, measured and not asserted?
//!
//! | section | question |
//! |---|---|
//! | [`gaps`] | how long does a user of the service miss its answers? |
//! | [`fence`] | how long does it take to cut the power of a box, and to see it cut? |
//! | [`idle`] | what does the supervisor cost while nothing happens? |
//! | [`pressure`] | does it keep its time when somebody shouts at it? |
//! | [`core`] | what does one heartbeat cost, and how fast is the simulator? |
//! | [`sizes`] | how big is what ships? |
//!
//! Whatever needs the lab is measured in a process of its own, which makes a world of its own.

use std::env;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use crate::lab::failure::Failure;

pub mod core;
pub mod fence;
pub mod gaps;
pub mod idle;
pub mod pressure;
pub mod row;
pub mod sizes;

/// Measures what `wanted` names, or everything, and prints one table. Says whether all of it could be measured.
///
/// # Errors
///
/// When the product cannot be built, or there is nothing of such a name.
pub fn run(wanted: &[&str]) -> Result<bool, Failure> {
    let all = names();
    if let Some(unknown) = wanted.iter().find(|name| **name != GAPS && !all.contains(name)) {
        return Err(Failure(format!(
            "there is no {unknown:?}: there are {GAPS} {}",
            all.join(" ")
        )));
    }
    let is_wanted = |name: &str| {
        wanted.is_empty()
            || wanted.contains(&name)
            || wanted.contains(&GAPS) && gaps::NAMES.contains(&name)
    };
    build()?;
    println!("{}\n", machine());
    row::head();
    let mut complete = true;
    for name in all.into_iter().filter(|name| is_wanted(name)) {
        let measured = match name {
            CORE => core::run(),
            FENCE => fence::run(),
            SIZES => sizes::run(),
            name => in_a_world(name),
        };
        if let Err(Failure(reason)) = measured {
            println!("{name}: not measured: {reason}");
            complete = false;
        }
    }
    println!("\nmachine afterwards: {}", load());
    Ok(complete)
}

/// Measures what is called `name` in the world that this process is in.
///
/// # Errors
///
/// When the pair did not do what it was to be measured at.
pub fn inside(name: &str) -> Result<(), Failure> {
    match name {
        IDLE => idle::run(),
        PRESSURE => pressure::run(),
        name => gaps::run(name),
    }
}

/// The program that ships, beside this one.
///
/// # Errors
///
/// When this process does not know where it is.
fn product() -> io::Result<PathBuf> {
    Ok(match env::var_os(PRODUCT) {
        Some(path) => path.into(),
        None => env::current_exe()?.with_file_name("twobox"),
    })
}

/// What is measured must be what ships, as it is now.
fn build() -> Result<(), Failure> {
    if env::var_os(PRODUCT).is_some() {
        return Ok(());
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--package", "supervisor"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    if status.success() { Ok(()) } else { Err(Failure("the product cannot be built".to_owned())) }
}

fn in_a_world(name: &str) -> Result<(), Failure> {
    let status = Command::new(env::current_exe()?)
        .args([ALONE, name])
        // Inside, this program is a copy without neighbours.
        .env(PRODUCT, product()?)
        .status()?;
    if status.success() { Ok(()) } else { Err(Failure("see above".to_owned())) }
}

fn names() -> Vec<&'static str> {
    let mut names = gaps::NAMES.to_vec();
    names.extend([FENCE, IDLE, PRESSURE, CORE, SIZES]);
    names
}

/// On what all this was measured.
fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let model = model.trim_start_matches([' ', '\t', ':']);
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    format!("{cpus} x {model}, Linux {kernel}, {}", load())
}

fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!("load {}", load.split(' ').next().unwrap_or("unknown"))
}

/// The first argument of the process that measures in a world of its own.
pub const ALONE: &str = "alone";

/// Every section of [`gaps`].
const GAPS: &str = "gaps";
const FENCE: &str = "fence";
const IDLE: &str = "idle";
const PRESSURE: &str = "pressure";
const CORE: &str = "core";
const SIZES: &str = "sizes";

/// Names the product to measure, in place of the one built beside this program.
const PRODUCT: &str = "TWOBOX";
