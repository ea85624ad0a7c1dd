//! Reads in `/proc/self/status` with which rights a program runs. Wants root.

use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use board::config::requirement::{Requirement, Right};
use board::config::table::Source;
use board::process::account::Account;
use board::process::child::{Child, Program};
use board::process::privileges::Privileges;
use board::resource;
use board::thread::capabilities::Rights;
use board::thread::deadline::Deadline;
use firmware_agnostic::identity::BoxId;
use rustix::thread::{CapabilitySet, capabilities, set_no_new_privs};

#[test]
fn a_thread_that_has_few_rights_gives_all_that_it_was_given() {
    let own = capabilities(None).unwrap().permitted;
    let status = of_thread(Rights::PROGRAMS, || status("", None));
    assert_eq!(set(&status, "CapEff"), own);
    assert_eq!(word(&status, "NoNewPrivs"), "1");
    // One that starts no programs has none to give, and one that may gain rights gets them all the same.
    assert_eq!(set(&of_thread(Rights::NONE, || self::status("", None)), "CapEff"), KEPT);
    let free = of_thread(Rights::NONE, || self::status("new_privileges = true", None));
    assert_eq!((set(&free, "CapEff"), word(&free, "NoNewPrivs")), (own, "0"));
}

#[test]
fn what_it_is_given_it_has_under_any_account_and_nothing_else() {
    let words = "capabilities = [\"net_bind_service\", \"CAP_NET_RAW\"]";
    let given = CapabilitySet::NET_BIND_SERVICE | CapabilitySet::NET_RAW;
    let somebody = Account::find(Some("12345"), Some(&["23456".to_owned()])).unwrap();
    for account in [None, Some(somebody)] {
        let status = of_thread(Rights::PROGRAMS, || status(words, account.clone()));
        for set in ["CapEff", "CapPrm", "CapBnd", "CapAmb"] {
            assert_eq!(self::set(&status, set), given, "{set} in {status}");
        }
        let uid = if account.is_some() { "12345" } else { "0" };
        assert_eq!(word(&status, "Uid"), uid);
    }
    let status = of_thread(Rights::PROGRAMS, || status("capabilities = []", None));
    assert_eq!(set(&status, "CapEff"), CapabilitySet::empty());
}

/// The kernel forgets the death signal of a process that gains rights.
#[test]
fn a_program_of_a_thread_with_few_rights_dies_with_it() {
    let spawn = || -> Child {
        let command = ["/bin/sleep", "608"].map(str::to_owned).to_vec();
        let program = Program { command, ..Program::default() };
        program.spawn(Stdio::null(), Stdio::null()).unwrap()
    };
    let child = of_thread(Rights::SERVICES, spawn);
    assert!(Deadline::new(Duration::from_secs(60)).readable(&[child.as_fd()]).is_ok());
}

#[test]
fn what_is_narrowed_can_be_widened_and_what_is_dropped_cannot() {
    let widened = |last: fn(Rights)| {
        of_thread(Rights::PROGRAMS, || {
            last(Rights::NONE);
            Rights::ADDRESSES.set_effective();
            capabilities(None).unwrap().effective.contains(CapabilitySet::NET_ADMIN)
        })
    };
    assert!(widened(Rights::set_effective));
    assert!(!widened(Rights::drop_others));
}

/// As in a container that says so: the guard and the successor are executed by the loop, which has few rights.
#[test]
fn where_nobody_gains_rights_a_successor_has_what_this_life_was_given() {
    let own = capabilities(None).unwrap().permitted;
    let status = thread::scope(|scope| {
        let work = || {
            set_no_new_privs(true).unwrap();
            of_thread(Rights::RESET, || {
                let has = capabilities(None).unwrap();
                assert!(!has.effective.contains(CapabilitySet::NET_ADMIN));
                let run = Command::new("/bin/cat").arg("/proc/self/status").output().unwrap();
                String::from_utf8(run.stdout).unwrap()
            })
        };
        scope.spawn(work).join().unwrap()
    });
    assert_eq!(set(&status, "CapEff"), own);
}

/// By the name that a person gives it by.
#[test]
fn each_right_that_is_missing_is_named() {
    for (right, names) in [
        (Right::Addresses, &["CAP_NET_ADMIN"][..]),
        (Right::Neighbours, &["CAP_NET_RAW"]),
        (Right::Users, &["CAP_SETUID", "CAP_SETGID"]),
        (Right::Signals, &["CAP_KILL"]),
        (Right::Bounds, &["CAP_SETPCAP"]),
        (Right::Looks, &["CAP_SYS_PTRACE"]),
        (Right::Outputs, &["CAP_CHOWN"]),
    ] {
        let need = Requirement::Right(right);
        assert_eq!(need.missing(), None, "this test wants root, to have rights");
        let told = of_thread(Rights::NONE, || need.missing()).expect("it is missing");
        assert!(names.iter().all(|name| told.contains(name)), "{told}");
    }
}

/// A process with a user takes those; one without does not.
#[test]
fn a_process_with_a_user_needs_more_rights() {
    let rights = |words: &str| {
        let text = format!("kind = \"process\"\ncommand = [\"/bin/true\"]\n{words}");
        let config = resource::Config::read(&mut Source::new(&text).parse()).unwrap();
        let all = config.needs(BoxId::First).into_iter().chain(config.wishes());
        all.filter(|need| matches!(need, Requirement::Right(_))).collect::<Vec<_>>()
    };
    let all = [Right::Users, Right::Signals, Right::Looks, Right::Outputs].map(Requirement::Right);
    assert_eq!(rights("user = \"nobody\""), all);
    assert_eq!(rights("capabilities = []"), [Requirement::Right(Right::Bounds)]);
    assert_eq!(rights(""), []);
}

/// For as long as its work takes.
#[test]
fn what_is_lent_is_given_back() {
    let seen = of_thread(Rights::PROGRAMS, || {
        Rights::NONE.set_effective();
        let effective = || capabilities(None).unwrap().effective;
        (effective(), Rights::CGROUPS.lend(effective), effective())
    });
    assert_eq!(seen.0, KEPT);
    assert_eq!(seen.1, KEPT | CapabilitySet::SYS_ADMIN | CapabilitySet::DAC_OVERRIDE);
    assert_eq!(seen.2, KEPT);
}

/// What `work` gives on a thread that keeps `rights` only.
fn of_thread<T: Send>(rights: Rights, work: impl FnOnce() -> T + Send) -> T {
    assert!(rustix::process::geteuid().is_root(), "this test wants root, to have rights");
    let work = || {
        rights.drop_others();
        work()
    };
    thread::scope(|scope| scope.spawn(work).join().unwrap())
}

/// The status of a program that runs with the privileges of these words, as this account.
fn status(words: &str, account: Option<Account>) -> String {
    let source = Source::new(words);
    let privileges = Privileges::read_all(&mut source.parse());
    let command = ["/bin/cat", "/proc/self/status"].map(str::to_owned).to_vec();
    let program = Program { command, account, privileges, ..Program::default() };
    program.run(&Deadline::new(Duration::from_secs(60))).unwrap().output
}

fn set(status: &str, name: &str) -> CapabilitySet {
    CapabilitySet::from_bits_retain(u64::from_str_radix(word(status, name), 16).unwrap())
}

/// The first word behind `name:`.
fn word<'s>(status: &'s str, name: &str) -> &'s str {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()).unwrap_or_default()
}

/// What every thread keeps.
const KEPT: CapabilitySet = CapabilitySet::IPC_LOCK;
