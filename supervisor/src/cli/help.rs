//! Prints help for a console of 80 columns.

use std::fmt;

/// A command, explained.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Topic {
    /// The command.
    pub word: &'static str,
    /// What follows it.
    pub operands: &'static str,
    /// What may follow it.
    pub options: &'static str,
    /// In one line.
    pub line: &'static str,
    /// In a paragraph.
    pub text: &'static str,
}

impl Topic {
    /// How it is said.
    pub fn usage(&self) -> String {
        let words = ["twobox", self.word, self.operands, self.options];
        words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n\n{}.\n\n{}\n", self.usage(), self.line, self.text)
    }
}

/// Everything in one screen.
pub(super) fn overview() -> String {
    let commands = COMMANDS.map(|topic| {
        let words = format!("{} {}", topic.word, topic.operands);
        format!("  {words:<18}{}\n", topic.line)
    });
    format!("{BEFORE}{}{AFTER}", commands.concat())
}

/// The version of the program.
pub(super) fn version() -> String {
    format!("twobox {}\n", env!("CARGO_PKG_VERSION"))
}

const BEFORE: &str = "\
twobox makes two boxes act as one that does not fail: it hears the other box
over every cable between them, and takes over when the other is proved dead.

twobox [--config FILE] [--socket PATH] COMMAND

";

const AFTER: &str = "
`twobox help COMMAND` says more about one of them.

Files   /etc/twobox.toml   the configuration, the same on both boxes
        /etc/twobox.key    the key of the pair, mode 0600
        /run/twobox.sock   where the running supervisor is asked
Exit    0 done   1 refused, or the configuration is wrong   2 not understood
        3 supervisor not reached   4 not permitted   5 other box silent
        10 status: degraded

Examples
  twobox check --here        before the first start, on each box
  twobox standby             on the active box, before it is opened
  twobox confirm server1     server1 is silent, and somebody has seen it off
";

/// Every command, in the order in which they are needed.
pub const COMMANDS: [Topic; 17] = [
    Topic {
        word: "run",
        operands: "",
        options: "[--box NAME] [--dry-run]",
        line: "do this box's part: what init starts",
        text: "\
Reads the configuration, listens for the other box, and starts, watches and
stops the resources. Stays in the foreground; SIGTERM hands the resources over
to the other box and ends. --box says which box this is, where the machine
itself cannot tell. As root it takes what it needs (real-time priority, locked
memory) and drops all other rights; `status` says what was refused. Waits for
the interface or device of a link or an address that is missing. --dry-run says
what would keep it from starting, and starts nothing.",
    },
    Topic {
        word: "check",
        operands: "",
        options: "[FILE] [--box NAME] [--here] [--all] | --peer",
        line: "what is wrong with the configuration, or what it promises",
        text: "\
Reads the configuration as `run` does, and prints all that is wrong with it,
one mistake in each line: FILE:LINE:COLUMN: WORD: REASON. If nothing is wrong,
prints the worst time without service for each kind of failure; with --all also
what it is made of, and every inequality between the times. Looks at the key
file and the fence programs too; with --here also at the interfaces, devices,
programs, accounts and folders, for a login on the tty, and for a router that
answers for every address.
--peer asks the other box over the links between them: which twobox runs there,
whether with this configuration, where it differs, and whether it could run
with the file of this box. Ends with 5 if there is no answer.",
    },
    Topic {
        word: "status",
        operands: "",
        options: "[--all | --json | --metrics]",
        line: "how the pair is",
        text: "\
Shows the role of this box and why it has it, the other box and how old that
news is, each link and each resource. Ends with 0 when all is well, and with
10 when the pair is degraded: one more failure may end the service. What does
not fit on a screen of 24 lines is left out, what matters least first; --all
shows it. --json is for programs; its words only ever become more. --metrics is
for Prometheus.",
    },
    Topic {
        word: "history",
        operands: "",
        options: "[--json] [-n N | --all] [--both | --with FILE]",
        line: "what has happened to this box, kept over reboots",
        text: "\
Shows every change of role, every shot and drill, and what became of each
configuration that was reloaded or tried, the newest last; of a takeover, how
long each part of it took. Reads the file of [history], whether or not the
supervisor runs. On a terminal it shows as much as the screen has room for;
-n N shows the last N, and --all everything. --both asks the other box for its
own over the links between them, tells how far the clocks differ, and shows
what both have seen in the order in which it happened: what a box had heard of
the other comes before it, also against the clocks. It ends with 5 if there is
no answer. --with FILE takes the file of the other box, copied here, and the
order of the terms. The time of day is for people: nothing is decided by it.",
    },
    Topic {
        word: "standby",
        operands: "",
        options: "[--for TIME | --persistent]",
        line: "give the resources to the other box, and leave them there",
        text: "\
This box stops its resources, the other one starts them. This box takes none
until it is told to `resume` or boots anew: after TIME with --for, and not even
then with --persistent. Refused if the other box could not serve.",
    },
    Topic {
        word: "takeover",
        operands: "",
        options: "[--for TIME]",
        line: "take the resources from the other box, and keep them",
        text: "\
The other box stops its resources, this one starts them, and keeps them until
`resume`, or for TIME, against the priorities; until it fails or boots
anew. Refused if the other box is silent: see `confirm`.",
    },
    Topic {
        word: "failback",
        operands: "",
        options: "",
        line: "give the resources back to home now",
        text: "\
Said on the box that serves and is not home: home gets the resources at once,
without the rest of failback_hold, and also after failures. Refused if
home is not ready, or if a resource is not in step yet.",
    },
    Topic {
        word: "maintenance",
        operands: "",
        options: "[--for TIME | --persistent]",
        line: "leave everything as it is, also when this box fails",
        text: "\
Nothing is started, stopped, moved or fenced: not here, and not by the other
box if this one falls silent. Failures are told only. Until `resume`, or this
box boots anew: after TIME with --for, and not even then with --persistent.",
    },
    Topic {
        word: "resume",
        operands: "",
        options: "",
        line: "end a `standby`, `takeover` or `maintenance`",
        text: "\
Priority and auto_failback decide again where the resources are. A home that
was locked out for its failures is trusted again.",
    },
    Topic {
        word: "clear",
        operands: "",
        options: "",
        line: "forget the failures of the resources: their cause is mended",
        text: "\
A box whose resources have failed too often does not serve until their
failures are forgotten, by themselves after forget_after or by this command.",
    },
    Topic {
        word: "confirm",
        operands: "PEER",
        options: "",
        line: "the other box is off: somebody has looked",
        text: "\
When the other box is silent and its power cannot be read, this box waits for
a person. Go there, see that the box called PEER is off or pull its cord, and
say so by its name. If it runs after all, both boxes serve at once, and data
can be lost. On a terminal, without PEER, shows what is known of it first, and
has its name typed.",
    },
    Topic {
        word: "fence",
        operands: "PEER",
        options: "[--yes] | --dry-run [--box NAME]",
        line: "cut the power of the other box, and see it off",
        text: "\
Said on the box that serves: cuts the power of the one that stands by, before
it is opened, for instance. On a box that does not serve it is refused, or with
--yes means that this box takes over. The box stays off until you put its power
on, unless the `action` of its device does. --dry-run orders nothing: it asks
each device in the file of --config (not what runs) for the power and for whose
power it is, and tells how long that took; a BMC has the light of its box
blink, so that you see which one it would cut.",
    },
    Topic {
        word: "drill",
        operands: "fence PEER",
        options: "",
        line: "cut the other box's power for real, and bring it back",
        text: "\
On the box that serves, when the pair is well: cuts the power of the one that
stands by, sees it off, puts it on again, waits until the pair is whole, and
tells how long each step took. The service stays where it is. Interrupting
this command does not cancel the drill: the power is restored anyway.",
    },
    Topic {
        word: "reload",
        operands: "",
        options: "[--dry-run | --both [--for TIME] | --confirm]",
        line: "go on with what the configuration says now",
        text: "\
Reads the configuration, the key file and the secrets of the fence devices
again. If anything is wrong with them, nothing changes, and all that is wrong
is told. Otherwise tells what is different, and replaces just that: a service
whose command is the same runs on, a cable that is the same stays open.
--dry-run tells it only. A few words cannot change while twobox runs; then
nothing changes, and it says what to do.
SIGHUP does the same, and tells the log. Reload one box after the other: until
both have the same file they say that they are configured differently, as an
error only after five minutes.

--both sends the file to the other box as well, which takes it only if its own
file says peer_may_configure = true. Programs, accounts and files it takes only
once its own file says exactly the same: copy it there first. If either box
finds anything wrong, or a new fence device does not tell the power, nothing
changes on either. Otherwise both run it, and go back by themselves after TIME
(2min; 1h at most) unless you say `reload --confirm` on one of them. Until then FILE has what was proven on both boxes,
and what is tried lies in FILE.new; what nobody has confirmed lies in
FILE.rejected afterwards. A twobox that dies meanwhile comes back with FILE,
and tells the log that FILE.new is there; the other box goes back as always.
Ends with 5 if the other box does not answer: then nothing has changed on this
one.

To change the key of the pair without losing a heartbeat, reload both boxes
after each step: add the new key below the old one; put it first; take the old
one out.",
    },
    Topic {
        word: "upgrade",
        operands: "",
        options: "",
        line: "go on as the twobox that is installed now",
        text: "\
The supervisor becomes the program that lies where it was started from, and
the services run on. Refused if that program would not start with the
configuration as it is now (run --dry-run), while something moves, and while a
takeover was ordered that stands: the next twobox would not know of it.",
    },
    Topic {
        word: "log",
        operands: "LEVEL",
        options: "",
        line: "tell more or less, until the next start",
        text: "\
LEVEL is error, warn, info, debug or trace.",
    },
    Topic {
        word: "help",
        operands: "",
        options: "[COMMAND]",
        line: "this text, or more about one command",
        text: "\
Reads like the text that you are reading.",
    },
];
