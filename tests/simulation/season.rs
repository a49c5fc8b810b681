//! The conditions of a long history: its hosts, the time that calls take, outages, and changes.

use crate::host::Setup;
use crate::world::Random;

/// What is special about a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One host, one clock.
    Calm,
    /// Several hosts, whose clocks differ by up to the tolerance.
    Clocks,
    /// Sessions end half an hour after their last refresh, and after a few hours in any case.
    ShortSessions,
    /// Codes are valid for so long that more than ten are valid at once.
    LongCodes,
    /// The directory, the store or the signer is down for a long time.
    Outages,
    /// Settings or secrets are changed, host by host.
    Changes,
    /// Calls of directory and signer take seconds.
    SlowCalls,
    /// A retry window of zero.
    NoRetries,
}

/// The change at the hosts of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The sealing secret is replaced in three steps.
    Rotation,
    /// The sealing secret has leaked, and all hosts drop it at once.
    Leak,
    /// Codes get longer.
    CodeLength,
    /// Access tokens get another profile.
    Profile,
    /// The retry window is closed.
    RetryWindow,
}

#[derive(Clone, Debug)]
pub struct Season {
    pub kind: Kind,
    pub setups: Vec<Setup>,
    pub clock_jumps: bool,
    /// The longest time that a call of directory or signer takes, in milliseconds.
    pub longest_call: u64,
    pub change: Option<Change>,
    pub mishaps_in_a_hundred_calls: usize,
}

impl Season {
    /// Makes the conditions of a seed. Every eighth history is of one kind.
    pub fn of(seed: u64, random: &Random) -> Self {
        let kind = KINDS[usize::try_from(seed).unwrap() % KINDS.len()];
        let mut setup = Setup::default();
        let also = |wanted: Kind, percent| kind == wanted || kind != Kind::Calm && random.percent(percent);
        if also(Kind::ShortSessions, 20) {
            setup.idle = 30 * 60;
            setup.absolute = random.pick(&[2, 6, 12]) * 3600;
        }
        if also(Kind::LongCodes, 10) {
            setup.code_validity = random.pick(&[600, 600, 1800]);
        } else if also(Kind::Clocks, 20) {
            setup.code_validity = 60;
        }
        if also(Kind::NoRetries, 10) {
            setup.retry_window = 0;
        }
        let hosts = match kind {
            Kind::Calm => 1,
            Kind::Clocks | Kind::Changes => 2 + random.below(2),
            _ => 1 + random.below(3),
        };
        let ahead = |host| if host == 0 { 0 } else { random.pick(&AHEAD) };
        let mut setups: Vec<Setup> = (0..hosts).map(|host| Setup { ahead: ahead(host), ..setup.clone() }).collect();
        // No two clocks differ by more than the tolerance.
        let least = setups.iter().map(|setup| setup.ahead).min().unwrap_or_default();
        for setup in &mut setups {
            setup.ahead = setup.ahead.min(least + TOLERANCE);
        }
        let longest_call = match kind {
            Kind::Calm => 0,
            Kind::SlowCalls => random.pick(&[5, 1_000, 6_000]),
            _ => random.pick(&[0, 0, 5, 300]),
        };
        Self {
            kind,
            setups,
            clock_jumps: kind == Kind::Calm && random.percent(25),
            longest_call,
            change: also(Kind::Changes, 0).then(|| random.pick(&CHANGES)),
            mishaps_in_a_hundred_calls: if kind == Kind::Calm { 3 } else { random.pick(&[0, 1, 3]) },
        }
    }

    /// By how much the clocks differ, in milliseconds.
    pub fn spread(&self) -> u64 {
        crate::acts::Rules::of(&self.setups).spread()
    }
}

impl Change {
    /// The setup of a host after a step of the change; `None` when there is no such step.
    pub fn step(self, step: usize, setup: &Setup) -> Option<Setup> {
        let next = setup.clone();
        match (self, step) {
            (Self::Rotation, 0) => Some(Setup { accepted: vec![NEXT], ..next }),
            (Self::Rotation, 1) => Some(Setup { sealing: NEXT, accepted: vec![setup.sealing], ..next }),
            (Self::Rotation, 2) => Some(Setup { accepted: Vec::new(), ..next }),
            (Self::Leak, 0) => Some(Setup { sealing: NEXT, accepted: Vec::new(), ..next }),
            (Self::CodeLength, 0) => Some(Setup { code_length: 8, ..next }),
            (Self::Profile, 0) => Some(Setup { is_rfc9068: true, ..next }),
            (Self::RetryWindow, 0) => Some(Setup { retry_window: 0, ..next }),
            _ => None,
        }
    }

    /// Tells whether a step has to wait until every session from before it has ended.
    pub fn waits_for_sessions(self, step: usize) -> bool {
        self == Self::Rotation && step == 2
    }
}

/// The number of the sealing secret that comes next.
const NEXT: u8 = 3;

const KINDS: [Kind; 8] = [
    Kind::Calm,
    Kind::Clocks,
    Kind::ShortSessions,
    Kind::LongCodes,
    Kind::Outages,
    Kind::Changes,
    Kind::SlowCalls,
    Kind::NoRetries,
];

const CHANGES: [Change; 5] = [Change::Rotation, Change::Leak, Change::CodeLength, Change::Profile, Change::RetryWindow];

/// How far the clocks of two hosts may be apart, in milliseconds.
const TOLERANCE: i64 = 5_000;

const AHEAD: [i64; 8] = [-5_000, -4_000, -1, 0, 1, 1_000, 4_000, 5_000];
