//! Words what has become of a configuration, for the history and the hooks, in one line.

use std::fmt;
use std::time::Duration;

use firmware_agnostic::report::{Severity, Time};

/// What has become of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ConfigOutcome {
    /// This box goes on with it.
    Applied,
    /// This box tries it for so long.
    OnTrial(Duration),
    /// Both boxes keep what they have tried.
    Kept,
    /// This box does, because the other one said so.
    KeptOnWord,
    /// What was tried is given up, for this reason.
    Returned(&'static str),
    /// The other box could not run with it, and nothing was changed.
    Refused,
}

impl ConfigOutcome {
    /// The word for programs.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::OnTrial(_) => "on_trial",
            Self::Kept => "kept",
            Self::KeptOnWord => "kept_on_word",
            Self::Returned(_) => "returned",
            Self::Refused => "refused",
        }
    }

    /// How much it matters.
    pub(crate) const fn weight(self) -> Severity {
        match self {
            Self::Applied | Self::Kept | Self::KeptOnWord => Severity::Info,
            Self::OnTrial(_) | Self::Returned(_) | Self::Refused => Severity::Warning,
        }
    }

    /// The line for people; `what` has changed, or is the reason, in lines.
    pub(crate) fn line(self, what: &str) -> String {
        match brief(what) {
            what if what.is_empty() => self.to_string(),
            what => format!("{self}: {what}"),
        }
    }
}

impl fmt::Display for ConfigOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Applied => f.write_str("reloaded"),
            Self::OnTrial(time) => write!(f, "reloaded, on trial for {}", Time(*time)),
            Self::Kept => f.write_str("the configuration on trial is kept by both boxes"),
            Self::KeptOnWord => {
                f.write_str("the configuration on trial is kept on the other box's word")
            }
            Self::Returned(why) => write!(f, "the configuration on trial is given up, {why}"),
            Self::Refused => f.write_str("the other box refuses the configuration"),
        }
    }
}

/// As many of `lines` as a line of the history has room for, and how many more there are.
fn brief(lines: &str) -> String {
    let (mut brief, mut rest) = (String::new(), lines.lines().filter(|line| !line.is_empty()));
    while let Some(line) = rest.next() {
        let line: String = line.trim().chars().take(LINE_MAX).collect();
        if brief.len() + line.len() > BRIEF_MAX {
            return format!("{brief}; and {} more", rest.count() + 1);
        }
        if !brief.is_empty() {
            brief.push_str("; ");
        }
        brief.push_str(&line);
    }
    brief
}

/// A word of the file, what it was, and what it is.
const LINE_MAX: usize = 120;
/// In bytes. The log has all of it.
const BRIEF_MAX: usize = 4 * LINE_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_told_in_short() {
        let line = |what: &str| ConfigOutcome::Applied.line(what);
        assert_eq!(line("a: 1 -> 2\nb: added\n"), "reloaded: a: 1 -> 2; b: added");
        let long: Vec<_> = (0..99).map(|number| format!("word{number}: changed")).collect();
        let told = line(&long.join("\n"));
        assert!(told.len() < BRIEF_MAX + 40, "{told}");
        let (listed, more) = told.split_once("; and ").unwrap();
        let more: usize = more.strip_suffix(" more").unwrap().parse().unwrap();
        assert_eq!(listed.matches(": changed").count() + more, 99, "{told}");
        let wide = "\u{e9}".repeat(10 * BRIEF_MAX);
        assert!(line(&wide).len() < BRIEF_MAX, "{}", line(&wide).len());
        assert_eq!(
            ConfigOutcome::Kept.line(""),
            "the configuration on trial is kept by both boxes"
        );
    }
}
