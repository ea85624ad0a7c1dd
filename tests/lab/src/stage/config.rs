//! Writes the configuration file of the boxes of the lab.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use firmware_agnostic::identity::BoxId;

use crate::observers::client::Question;
use crate::stage::ethernet::Segment;
use crate::stage::machine::name;
use crate::stage::{init, management};
use crate::{CLIENT_PREFIX, FLOATING};

/// The choices of a lab that end up in the configuration.
#[derive(Clone, Debug)]
pub struct Choices {
    /// The words of `[timing]`.
    pub timing: String,
    /// `auto_failback`, as written.
    pub auto_failback: String,
    /// How long home must be well before it gets the resources back.
    pub failback_hold: String,
    /// Whether each box lets the other one configure it.
    pub peer_may_configure: bool,
    /// How fast the serial cable is.
    pub baud: u32,
    /// Whether the power is cut by the BMCs of the boxes, and not by their switches.
    pub bmcs: bool,
    /// How long a BMC may take for what it is asked.
    pub bmc_timeout: &'static str,
    /// Devices that are asked before the BMCs or switches, with a comma behind each, and the name of the box for `BOX`.
    pub fence: String,
    /// Words of the direct cable.
    pub direct: String,
    /// The resources after the address; by default the lab's own service.
    pub resources: String,
    /// Where the journal is, and what can be wrong there.
    pub state: String,
    /// Anything else.
    pub extra: String,
    /// Further files in `/run` of both boxes: name (a directory if it ends in `/`) and content.
    pub files: Vec<(String, String)>,
    /// How long a box waits for a sign of life of its supervisor before it resets itself, if it does.
    pub watchdog: Option<Duration>,
    /// The supervisor, if it is to be another program than this one.
    pub program: Option<PathBuf>,
    /// In which circumstances this program plays the supervisor: words of `guise`.
    pub guise: &'static [&'static str],
    /// How the client asks.
    pub question: Question,
}

impl Default for Choices {
    fn default() -> Self {
        Self {
            timing: "keepalive = \"200ms\"\nwarntime = \"500ms\"\ndeadtime = \"1s\"\ninitdead = \"5s\"\n"
                .to_owned(),
            auto_failback: "true".to_owned(),
            failback_hold: "2s".to_owned(),
            peer_may_configure: true,
            baud: 115_200,
            bmcs: false,
            bmc_timeout: "4s",
            fence: String::new(),
            direct: String::new(),
            resources: format!(
                "[[resource]]\nkind = \"process\"\nname = \"service\"\n\
                 command = [\"/run/demo\", \"serve\", \"{FLOATING}\"]\nready = \"notify\"\n"
            ),
            state: "/run".to_owned(),
            extra: String::new(),
            files: Vec::new(),
            watchdog: None,
            program: None,
            guise: &[],
            question: Question::Echo,
        }
    }
}

/// The file `/run/twobox.toml` of both boxes.
pub(crate) fn text(choices: &Choices) -> String {
    let mut text = format!(
        "[pair]\nname = \"lab\"\nkey_file = \"/run/twobox.key\"\nauto_failback = {}\nfailback_hold = \"{}\"\n\
         peer_may_configure = {}\n\n\
         [journal]\nfile = \"{}/journal\"\n\n\
         [timing]\n{}\n",
        choices.auto_failback,
        choices.failback_hold,
        choices.peer_may_configure,
        choices.state,
        choices.timing
    );
    for id in BoxId::BOTH {
        let own = name(id);
        let priority = 100 - 50 * id.index();
        let _ = writeln!(
            text,
            "[box.{own}]\npriority = {priority}\nhostname = \"{own}\"\n\
             fence = [{}{}]\n",
            choices.fence.replace("BOX", own),
            if choices.bmcs { management::words(id, choices.bmc_timeout) } else { switch(own) }
        );
    }
    for place in 0..2 {
        let [first, second] = BoxId::BOTH.map(|id| init::addresses(id)[place].1);
        let interface = [Segment::Lan, Segment::Direct][place].interface();
        let _ = writeln!(
            text,
            "[[link]]\nkind = \"udp\"\ninterface = \"{interface}\"\n\
             address = {{ server1 = \"{first}\", server2 = \"{second}\" }}\n{}",
            if place == 1 { choices.direct.as_str() } else { "" }
        );
    }
    let _ = writeln!(
        text,
        "[[link]]\nkind = \"serial\"\ndevice = \"/run/ttyS1\"\nbaud = {}\n\n\
         [[resource]]\nkind = \"address\"\naddress = \"{FLOATING}/{CLIENT_PREFIX}\"\ninterface = \"eth0\"\n\n{}\n{}",
        choices.baud, choices.resources, choices.extra
    );
    text
}

fn switch(own: &str) -> String {
    format!(
        "{{ kind = \"command\", command = [\"/run/demo\", \"switch\", \"{own}\"], timeout = \"1s\" }}"
    )
}

/// The key of the pair, `/run/twobox.key`. Everybody may know it: nobody else is in the lab.
pub(crate) const KEY: &str = "1 nobody-else-is-in-this-lab-so-this-is-no-secret\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenarios::ldap;

    #[test]
    fn the_boxes_can_read_their_file() {
        for choices in [Choices::default(), ldap::choices().unwrap_or_default()] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("twobox.toml");
            std::fs::write(&path, text(&choices)).unwrap();
            let complaints = supervisor::config::Config::load(&path, Some("server1")).err();
            assert!(complaints.is_none(), "{}\n{}", complaints.unwrap(), text(&choices));
        }
    }
}
