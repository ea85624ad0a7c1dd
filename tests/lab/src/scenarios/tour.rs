//! Shows what fails in the life of a pair, and what a user of the service notices of it.

use std::time::{Duration, Instant};

use firmware_agnostic::identity::BoxId::{self, First, Second};

use crate::observers::expectations::{PATIENCE, is, one_holder, order};
use crate::observers::failure::{Failure, expect};
use crate::stage::config::Choices;
use crate::{Cable, Lab, name};

/// Shows one thing after the other, and what each of them cost, as plain text of 80 columns.
///
/// # Errors
///
/// When the pair does not do what it promises.
pub fn run(choices: &Choices) -> Result<(), Failure> {
    let lab = Lab::new(choices)?;
    println!("{PICTURE}");
    let mut rows = Vec::new();
    for (place, step) in STEPS.iter().enumerate() {
        println!("\n[{}/{}] {}", place + 1, STEPS.len(), step.title);
        let row = play(&lab, step);
        for id in BoxId::BOTH {
            println!("      {:<8} {}", name(id), condition(&lab, id));
        }
        let row = row.map_err(|failure| failure.with_logs(&lab))?;
        println!("      the client missed answers for at most {}", millis(row.silence));
        rows.push((step.title, row));
    }
    println!("\n{:<48} {:>10}  served by\n{:-<79}", "what happened", "silence", "");
    for (title, row) in &rows {
        println!("{title:<48} {:>10}  {}", millis(row.silence), row.moved());
    }
    println!("{:-<79}\nmoments with the address on both boxes: {}", "", lab.doubles().len());
    one_holder(&lab)
}

/// What a box says and does, in one line.
pub(crate) fn condition(lab: &Lab, id: BoxId) -> String {
    if !lab.is_on(id) {
        return "no power".to_owned();
    }
    let role = lab.role(id).unwrap_or_else(|| "no answer from the supervisor".to_owned());
    if lab.holders().contains(&id) { format!("{role}, has the address") } else { role }
}

/// A time for a person.
pub(crate) fn millis(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

/// Something that happens to the pair, and which box serves when it is over.
struct Step {
    title: &'static str,
    act: fn(&Lab) -> Result<(), Failure>,
    then: BoxId,
}

/// What a step has cost.
struct Row {
    before: Option<BoxId>,
    after: BoxId,
    silence: Duration,
}

impl Row {
    fn moved(&self) -> String {
        match self.before {
            Some(before) if before != self.after => {
                format!("{} -> {}", name(before), name(self.after))
            }
            _ => name(self.after).to_owned(),
        }
    }
}

const STEPS: [Step; 10] = [
    Step {
        title: "both boxes boot",
        act: |lab| {
            lab.power_on(First)?;
            Ok(lab.power_on(Second)?)
        },
        then: First,
    },
    Step {
        title: "the active box loses its power",
        act: |lab| {
            lab.power_off(First);
            Ok(())
        },
        then: Second,
    },
    Step {
        title: "it comes back, and its service comes home",
        act: |lab| Ok(lab.power_on(First)?),
        then: First,
    },
    Step { title: "the serial cable is cut", act: |lab| cut(lab, Cable::Serial), then: First },
    Step { title: "the direct Ethernet is cut", act: |lab| cut(lab, Cable::Direct), then: First },
    Step {
        title: "the standby box loses the service network",
        act: |lab| cut(lab, Cable::Lan(Second)),
        then: First,
    },
    Step {
        title: "every way between the boxes is cut at once",
        act: |lab| {
            lab.part();
            // One box cuts the power of the other; which one is the point of it.
            let shot = |lab: &Lab| !lab.is_on(Second);
            expect(lab.wait_for(PATIENCE, shot), "the active box did not shoot")
        },
        then: First,
    },
    Step {
        title: "the cables are mended, the other box is back",
        act: |lab| {
            lab.mend_all();
            lab.power_on(Second)?;
            is(lab, Second, "standby")
        },
        then: First,
    },
    Step {
        title: "an operator moves the service away",
        act: |lab| order(lab, First, "standby"),
        then: Second,
    },
    Step {
        title: "an operator lets it come home",
        act: |lab| order(lab, First, "resume"),
        then: First,
    },
];

fn play(lab: &Lab, step: &Step) -> Result<Row, Failure> {
    let before = lab.serving();
    let start = Instant::now();
    (step.act)(lab)?;
    let there = |lab: &Lab| lab.serving() == Some(step.then);
    let stays = |lab: &Lab| {
        there(lab) && {
            std::thread::sleep(STEADY);
            there(lab)
        }
    };
    expect(
        lab.wait_for(PATIENCE, stays),
        format!("{} does not serve within {} s", name(step.then), PATIENCE.as_secs()),
    )?;
    let silence = lab.client().since(start).silence;
    lab.mend_all();
    // The next step begins when the pair is whole again.
    if lab.is_on(step.then.other()) {
        is(lab, step.then.other(), "standby")?;
    }
    Ok(Row { before, after: step.then, silence })
}

fn cut(lab: &Lab, cable: Cable) -> Result<(), Failure> {
    lab.cut(cable);
    // Long enough for every time that the pair could wait before it did something about it.
    std::thread::sleep(WAIT);
    expect(lab.is_on(First) && lab.is_on(Second), format!("a box was shot for {cable}"))
}

const PICTURE: &str = "
                    client, asks 200 times a second
                       |
        ===============+=============   eth0: 192.0.2.0/24, the service at .10
         |                         |
      server1 ====== eth1 ====== server2
         |  \\------ ttyS1 -------/ |
       power                     power";

/// How long a box must have served to be believed.
const STEADY: Duration = Duration::from_millis(300);

/// How long a cut cable stays cut.
const WAIT: Duration = Duration::from_secs(3);
