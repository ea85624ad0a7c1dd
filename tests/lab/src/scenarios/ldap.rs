//! Moves a real `slapd` between the boxes.

use std::path::Path;

use crate::FLOATING;
use crate::observers::client::Question;
use crate::stage::config::Choices;

/// The choices of a lab that serves LDAP, or `None` if there is no `slapd` on this machine.
pub fn choices() -> Option<Choices> {
    let program = PLACES.into_iter().find(|place| Path::new(place).exists())?;
    let resources = format!(
        "[[resource]]\nkind = \"process\"\nname = \"slapd\"\n\
         command = [\"{program}\", \"-d\", \"0\", \"-f\", \"/run/slapd.conf\", \"-h\", \"ldap://{FLOATING}/\"]\n"
    );
    let files =
        vec![("slapd.conf".to_owned(), CONFIG.to_owned()), ("ldap/".to_owned(), String::new())];
    Some(Choices { resources, files, question: Question::Ldap, ..Choices::default() })
}

/// What to do when there is no `slapd`.
pub const MISSING: &str = "there is no slapd on this machine: install the package slapd";

/// The exit code for that.
pub const MISSING_CODE: u8 = 3;

const PLACES: [&str; 3] = ["/usr/sbin/slapd", "/usr/libexec/slapd", "/usr/lib/openldap/slapd"];

/// A directory (slapd.conf(5)) with nothing in it, whose files are in the box's memory.
const CONFIG: &str = "\
pidfile /run/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
database mdb
suffix \"cn=example\"
directory /run/ldap
";
