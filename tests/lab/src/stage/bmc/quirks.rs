//! What BMCs of the field do differently from the standard, each with the report that it is known from.
//!
//! Where a machine is named without an address, `FreeIPMI` names it: ipmipower(8), section "workarounds", and
//! `doc/freeipmi-bugs-issues-and-workarounds.txt` in its source.

use std::time::Duration;

/// How a BMC is odd.
#[derive(Clone, Debug, Default)]
pub struct Quirks {
    /// What it always does.
    pub habits: Vec<Habit>,
    /// So long it takes for some things, beside the latency of all. `OpenBMC` asks PAM in RAKP 1: 0.2 s, and more
    /// than 1 s under load (github.com/openbmc/openbmc-test-automation/issues/2111,
    /// github.com/openbmc/phosphor-net-ipmid/issues/16).
    pub slow: Vec<(Work, Duration)>,
    /// So many bytes follow behind its power status; with four of them the message is as long as takes a whole block.
    pub status_extra: usize,
    /// The numbers of its packets.
    pub numbers: Numbers,
    /// What it says of the box that it is in.
    pub identity: Identity,
    /// The status by which it refuses a suite, instead of 0x11: Supermicro X8DTG 0x0a, MSI MS-91D2 0x12.
    pub refuses_suites_by: Option<u8>,
    /// So many RAKP 3 are refused with 0x0f, however right they are: "ignore 15 value if we are retrying"
    /// (`_got_rakp4` in session.py of pyghmi, which no longer knows why).
    pub refuses_proofs: u32,
    /// So many orders are refused with 0xd5, while the box is being switched on: IBM FSP
    /// (github.com/open-power/op-test/issues/363).
    pub refuses_orders: u32,
    /// So many commands end with this completion code first. 0xff while `OpenBMC` boots
    /// (github.com/openbmc/openbmc/issues/1810), 0xd2 after a reset (github.com/cablelabs/snaps-boot/issues/219),
    /// 0xc0 and 0xc3 when it has too much to do (`retryable` errors of `OpenStack` Ironic).
    pub cold: Option<(u8, u32)>,
    /// The power that it tells is that of so long ago: "queries may return on for several seconds" (ipmipower(8),
    /// "known issues"; `fence_ipmilan` warns of it too).
    pub status_lags: Duration,
    /// For so long after a power off nothing goes in or out, because its network card is the box's:
    /// github.com/openbmc/openbmc/issues/2521 and 863.
    pub gone_after_off: Duration,
}

/// What a BMC always does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Habit {
    /// It serves one packet after the other, and hears nothing of the next meanwhile: `OpenBMC`'s netipmid, and
    /// most. Else what takes its time is done beside what comes meanwhile.
    Serial,
    /// It pads with a whole block where none is needed: `paddingLen` in `crypt_algo.cpp` of `OpenBMC`'s netipmid
    /// (github.com/gebn/bmc/pull/63).
    WholeBlock,
    /// It says, to everybody who asks, that it does not speak IPMI 2.0: Asus P5M2, Intel X38ML, Sun Fire X4150
    /// (`authcap`).
    DeniesItself,
    /// Its signatures in RAKP 2 and 4 are a byte too long: Supermicro H8QME (`supermicro20`), Sun Fire 4100 (`sun20`).
    LongSignatures,
    /// The sums in its messages are wrong: Supermicro X9SCM-iiF, X9DRi-F, X9DRFR (`nochecksumcheck`).
    WrongSums,
    /// Its refusals of RAKP 1 and 3 name nobody: tag and id are 0 (`rakp12.cpp`, `rakp34.cpp` of `OpenBMC`'s netipmid;
    /// github.com/xcat2/xcat-core/pull/7555, Lenovo XCC3 among them).
    AnonymousRefusals,
    /// It signs with the privilege of the Open Session Request, the highest if that is 0: Supermicro X8DTH, Intel
    /// S5500WBV, Dell C5220 (`opensesspriv`).
    SignsFirstPrivilege,
    /// RAKP 3 that comes twice costs the session: `OpenBMC` works its key out again with the old one before it
    /// (`sessionIntegrityKey.insert` in `rakp34.cpp`); session.py of pyghmi warns of it in general.
    ProofOnce,
    /// It answers no ping of ASF: Intel Windmill, Quanta Winterfell (`ipmiping`); `OpenBMC` unless built with it.
    NoPing,
    /// Sessions that are only begun take a place as well: Cisco IMC has four
    /// (github.com/ipmitool/ipmitool/issues/213), and `OpenBMC` counts them (`startSession` in
    /// `sessions_manager.cpp`).
    BegunCounts,
    /// A box that is off is not switched off, nor one on that is on, with 0xd5: Dell
    /// (github.com/bmc-toolbox/bmclib/issues/382, github.com/aws/eks-anywhere/issues/3568).
    RefusesWhatIsSo,
}

impl Quirks {
    /// A BMC with nothing but that habit.
    pub fn of(habit: Habit) -> Self {
        Self { habits: vec![habit], ..Self::default() }
    }

    pub(super) fn has(&self, habit: Habit) -> bool {
        self.habits.contains(&habit)
    }
}

/// What may take its time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Work {
    /// Open Session.
    Open,
    /// RAKP 1.
    First,
    /// RAKP 3.
    Third,
    /// A command in a session: function and command.
    Command(u8, u8),
}

/// How the packets of a session are numbered.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Numbers {
    /// 1, 2, 3.
    #[default]
    Count,
    /// 1, 3, 5: `ASRock` MT-C224 where it shares the box's network card.
    Skip,
    /// 0 each time; ipmitool never looks at them.
    Zero,
    /// 1 each time.
    Same,
}

/// What is answered to Get System GUID, which is optional (section 22.14).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Identity {
    /// The GUID of the character.
    #[default]
    Told,
    /// This completion code: 0xff where `OpenBMC` has no such object (github.com/openbmc/openbmc/issues/3854),
    /// 0xc1, 0xcc or 0xd4 elsewhere.
    Refused(u8),
    /// Nothing.
    Silent,
}
