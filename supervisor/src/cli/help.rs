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
twobox makes two boxes act as one that does not fail. Each box sends heartbeats
over every cable between them, and takes over when the other is proved off.

twobox [--config FILE] [--socket PATH] COMMAND

";

const AFTER: &str = "
`twobox help COMMAND` says more about one of them.

Files   /etc/twobox.toml   the configuration, the same on both boxes
        /etc/twobox.key    the key of the pair, mode 0600
        /run/twobox.sock   where the running twobox answers
Manual  man 8 twobox       every command, option, file and signal
        man 5 twobox.toml  every word of the configuration
Exit    0 done   1 refused, or the configuration is wrong   2 not understood
        3 no twobox runs here   4 not permitted   5 other box silent
        10 status: degraded

Examples
  twobox key --new /etc/twobox.key   make a key, then copy it to the other box
  twobox check --here        before the first start, on each box
  twobox standby             on the active box, before somebody opens it
  twobox confirm server1     server1 is silent, and you have seen it off
";

/// Every command, in the order in which they are needed.
pub const COMMANDS: [Topic; 18] = [
    Topic {
        word: "run",
        operands: "",
        options: "[--box NAME] [--dry-run]",
        line: "do this box's part: init starts this",
        text: "\
Reads the configuration, listens for the other box, and starts, watches and
stops the resources. Stays in the foreground. SIGTERM hands the resources over
to the other box, and ends twobox. --box says which box this is, if the machine
itself cannot tell. As root, twobox takes real-time priority and locked memory,
and drops all rights that it does not need; `status` shows what the kernel has
refused. It waits for a missing interface or device of a link or an address.
--dry-run shows what would prevent the start, and starts nothing.",
    },
    Topic {
        word: "check",
        operands: "",
        options: "[FILE] [--box NAME] [--here] [--all] | --peer",
        line: "find mistakes in the configuration, or show its times",
        text: "\
Reads the configuration as `run` does, and prints every mistake in a line of
its own: FILE:LINE:COLUMN: WORD: REASON. If there is none, prints for each kind
of failure the longest time without service; --all also prints what that time
is made of, and the rules that the times keep. Looks at the key file and the
fence programs too. --here also looks at the interfaces, devices, programs,
accounts and folders of this machine, for a login on the tty, and for a router
that answers for every address. --peer asks the other box over the links: which
twobox runs there, whether it has the same configuration, where it differs, and
whether it could run with the file of this box. Ends with 5 if the other box
does not answer.",
    },
    Topic {
        word: "key",
        operands: "FILE",
        options: "[--new]",
        line: "show the fingerprints of the keys, or make a key",
        text: "\
Shows the id and the fingerprint of each key in FILE, never the key itself. The
first key signs. Both boxes must show the same lines: two people can read them
to each other over the phone. --new makes FILE first, with one random key and
mode 0600; a file that is there already stays as it is. Copy FILE to the other
box by a way that nobody can read, such as scp -p.",
    },
    Topic {
        word: "status",
        operands: "",
        options: "[--all | --json | --metrics]",
        line: "show the state of the pair",
        text: "\
Shows the role of this box and the reason, the role of the other box and when
it was heard, each link and each resource. Ends with 0 when all is well, and
with 10 when the pair is degraded: one more failure may end the service. What
does not fit on a screen of 24 lines is left out, the least important first;
--all shows it. --json is for programs: later versions add words and remove
none. --metrics is for Prometheus.",
    },
    Topic {
        word: "history",
        operands: "",
        options: "[--json] [-n N | --all] [--both | --with FILE]",
        line: "show what has happened, also before the last boot",
        text: "\
Shows every change of role, shot and drill, and the end of every reload or
trial of a configuration, the newest last. Of a takeover it shows how long each
part took. Reads the file of [history], also while no twobox runs. On a
terminal it shows as much as the screen has room for; -n N shows the last N,
and --all everything. --both asks the other box for its history over the links,
shows how far the clocks differ, and shows the events of both boxes in their
true order: what a box had heard of the other comes before it, also against the
clocks. It ends with 5 if the other box does not answer. --with FILE reads a
copy of the other box's file instead, and sorts by the terms. The time of day
is for people: twobox decides nothing by it.",
    },
    Topic {
        word: "standby",
        operands: "",
        options: "[--for TIME | --persistent]",
        line: "give the resources to the other box, and leave them there",
        text: "\
This box stops its resources, and the other one starts them. This box does not
serve again until `twobox resume` is given here, until it boots, or with --for
until TIME is over. With --persistent the order also survives a boot. Refused
if the other box cannot serve. On the box that stands by already it keeps that
box from taking over: the pair is then not redundant.",
    },
    Topic {
        word: "takeover",
        operands: "",
        options: "[--for TIME]",
        line: "take the resources from the other box, and keep them",
        text: "\
The other box stops its resources, and this one starts them. This box keeps
them against the priorities until `twobox resume` is given here, until
it fails or boots, or with --for until TIME is over. Refused if the other box
is silent: see `twobox help confirm`.",
    },
    Topic {
        word: "failback",
        operands: "",
        options: "",
        line: "give the resources back to home now",
        text: "\
Say it on the box that serves and is not home. Home gets the resources at once:
it does not wait for the rest of failback_hold, and earlier failures do not
count. Refused if home is not ready, or if a `gate` is not open yet.",
    },
    Topic {
        word: "maintenance",
        operands: "",
        options: "[--for TIME | --persistent]",
        line: "leave everything as it is, on both boxes",
        text: "\
Neither box starts, stops, moves or fences anything, also when this box falls
silent. Failures are only reported. Ends with `twobox resume` on this box, when
this box boots, or with --for when TIME is over. With --persistent it also
survives a boot.",
    },
    Topic {
        word: "resume",
        operands: "",
        options: "",
        line: "end a `standby`, `takeover` or `maintenance`",
        text: "\
Say it on the box that got the order. Priority and auto_failback decide again
which box serves. A home that was locked out for its failures may serve again.",
    },
    Topic {
        word: "clear",
        operands: "",
        options: "",
        line: "forget the failures of the resources, once they are mended",
        text: "\
A box whose resources have failed too often does not serve. It forgets the
failures after forget_after, or at once by this command.",
    },
    Topic {
        word: "confirm",
        operands: "PEER",
        options: "",
        line: "the other box is off: you have seen it",
        text: "\
When the other box is silent and its power cannot be read, this box waits for
a person. Go there. See that the box called PEER is off, or pull its cord. Then
give this command with its name. If PEER still runs, both boxes serve at once,
and data can be lost. Without PEER, on a terminal, twobox shows what it knows
of the other box, and asks you to type the name.",
    },
    Topic {
        word: "fence",
        operands: "PEER",
        options: "[--yes] | --dry-run [--box NAME]",
        line: "cut the power of the other box, and see that it is off",
        text: "\
Say it on the box that serves: it cuts the power of the box that stands by, for
instance before somebody opens that box. A box that does not serve refuses it;
with --yes it takes over. The other box stays off until you switch it on, or
the `action` of its device does that. --dry-run orders nothing. It asks each
device in the file of --config (not the running twobox) for the power and for
the box that it belongs to, and shows how long that took. A BMC makes the light
of its box blink, so that you see which box it would cut.",
    },
    Topic {
        word: "drill",
        operands: "fence PEER",
        options: "",
        line: "cut the other box's power for real, and bring it back",
        text: "\
Say it on the box that serves, when the pair is redundant. twobox cuts the
power of the box that stands by, sees that it is off, switches it on again,
waits until the pair is redundant, and shows how long each step took. The
service stays where it is. Interrupting this command does not cancel the drill:
twobox restores the power anyway.",
    },
    Topic {
        word: "reload",
        operands: "",
        options: "[--dry-run | --both [--for TIME] | --confirm]",
        line: "read the configuration again, and apply what changed",
        text: "\
Reads the configuration, the key file and the secrets of the fence devices
again. If there is a mistake, twobox shows every mistake and changes nothing.
Otherwise it shows what is different, and replaces only that: a service whose
command is the same runs on, and a link that is the same stays open. --dry-run
only shows it. A few words cannot change while twobox runs; then it changes
nothing, and says what to do. SIGHUP does the same, and writes to the log.
Reload one box after the other: until both have the same file, both report that
they are configured differently, as an error only after five minutes.

--both sends the file to the other box as well, which takes it only if its own
file says peer_may_configure = true. It takes programs, accounts and files only
if its own file says exactly the same: copy it there first. If either box finds
a mistake, or a new fence device does not tell the power, neither changes
anything. Otherwise both boxes run with it on trial, and both go back by
themselves after TIME (2min; 1h at most), unless you say `twobox reload
--confirm` on one of them. During the trial FILE holds the old configuration,
and FILE.new the new one. After a trial that nobody has confirmed, your text is
in FILE.rejected. If twobox dies during the trial it starts again with FILE,
and logs that FILE.new is there; the other box goes back as usual. Ends with 5
if the other box does not answer: then nothing has changed on this box.

To change the key of the pair without losing a heartbeat, reload both boxes
after each step: add the new key below the old one; move it to the top; take
the old one out.",
    },
    Topic {
        word: "upgrade",
        operands: "",
        options: "",
        line: "become the twobox that is installed now",
        text: "\
The running twobox starts the program file at its own path in its place, and
the services run on. Refused if that program would not start with the present
configuration (`run --dry-run`), while a resource starts, stops or moves, and
while an order `takeover` is in force: the next twobox would not know of it.",
    },
    Topic {
        word: "log",
        operands: "LEVEL",
        options: "",
        line: "log more or less, until the next start",
        text: "\
LEVEL is error, warn, info, debug or trace.",
    },
    Topic {
        word: "help",
        operands: "",
        options: "[COMMAND]",
        line: "this text, or more about one command",
        text: "\
Shows all commands, or explains COMMAND.",
    },
];
