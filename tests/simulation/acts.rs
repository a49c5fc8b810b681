//! Requests as they look from outside: what was asked and when, what was answered, and what the host was told. Promises
//! are checked against these, and know nothing of records.

use otp_grant_tests::steps::Mishap;

use crate::facts::{Entry, OUTSIDE, Told, What};
use crate::request::{Answer, Ask, Challenge, RefreshToken, Tokens};

/// One request.
#[derive(Clone, Debug)]
pub struct Act {
    /// The number in the history, or [`OUTSIDE`] for a request before the history.
    pub number: usize,
    pub host: usize,
    pub ask: Ask,
    pub began: Moment,
    /// The answer and its moment. `None` where the caller hung up.
    pub answered: Option<(Moment, Answer)>,
    pub told: Vec<(Moment, Told)>,
    /// How many things went wrong in the request.
    pub mishaps: usize,
    /// How many things went wrong at the store.
    pub store_mishaps: usize,
    /// Whether a swap of the request was applied late, or may have been.
    pub was_late: bool,
    /// Whether a load of the request was stale, which breaks the contract of the store.
    pub read_stale: bool,
    /// Whether the write of another request came before its own.
    pub met_a_conflict: bool,
    pub is_unverifiable: bool,
}

/// A place in the order of all events, and its time by a correct clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    pub place: usize,
    pub at: u64,
}

/// The settings of the hosts of a history.
#[derive(Clone, Debug)]
pub struct Rules {
    /// How far the clock of each host is ahead.
    pub ahead: Vec<i64>,
    /// In milliseconds, like all fields below.
    pub code_validity: u64,
    pub idle: u64,
    pub absolute: u64,
    /// The longest retry window at any host.
    pub retry_window: u64,
    /// The shortest retry window at any host, at any time.
    pub shortest_retry_window: u64,
    /// The time from which every host has a retry window of zero.
    pub zero_since: Option<u64>,
    /// When a leaked sealing secret was dropped.
    pub leaked_at: Option<u64>,
    /// Whether the times in the log are those that the hosts read: there is one clock, and calls take no time.
    pub is_exact: bool,
    /// Whether the send guard is enforced.
    pub guards: bool,
    /// Whether a sealing secret is dropped, and with it the device tokens that it has sealed.
    pub drops_a_secret: bool,
    /// When the test identity ends.
    pub review_ends: Option<u64>,
}

impl Default for Rules {
    fn default() -> Self {
        Self::of(&[crate::host::Setup::default()])
    }
}

impl Rules {
    pub fn of(setups: &[crate::host::Setup]) -> Self {
        let first = &setups[0];
        Self {
            ahead: setups.iter().map(|setup| setup.ahead).collect(),
            code_validity: first.code_validity * 1000,
            idle: first.idle * 1000,
            absolute: first.absolute * 1000,
            retry_window: setups.iter().map(|setup| setup.retry_window * 1000).max().unwrap_or_default(),
            shortest_retry_window: setups.iter().map(|setup| setup.retry_window * 1000).min().unwrap_or_default(),
            zero_since: setups.iter().all(|setup| setup.retry_window == 0).then_some(0),
            leaked_at: None,
            is_exact: setups.len() == 1,
            guards: first.guards,
            drops_a_secret: false,
            review_ends: first.review_ends.map(|end| end * 1000),
        }
    }

    /// By how much the clocks differ.
    pub fn spread(&self) -> u64 {
        let (least, most) = (self.ahead.iter().min(), self.ahead.iter().max());
        least.zip(most).map_or(0, |(least, most)| least.abs_diff(*most))
    }

    /// Returns the longest retry window of a token that was superseded at this time.
    pub fn window_at(&self, at: u64) -> u64 {
        if self.zero_since.is_some_and(|since| at >= since) { 0 } else { self.retry_window }
    }
}

impl Act {
    pub fn answer(&self) -> Option<&Answer> {
        self.answered.as_ref().map(|(_, answer)| answer)
    }

    /// Returns when the request was answered. A dropped request never was.
    pub fn ended(&self) -> Moment {
        self.answered.as_ref().map_or(Moment { place: usize::MAX, at: u64::MAX }, |(moment, _)| *moment)
    }

    /// Returns the tokens that the request released.
    pub fn tokens(&self) -> Option<&Tokens> {
        match self.answer()? {
            Answer::LoggedIn(tokens) | Answer::Refreshed(tokens) => Some(tokens),
            _ => None,
        }
    }

    /// Returns the challenge that the request sent.
    pub fn sent(&self) -> Option<&Challenge> {
        match self.answer()? {
            Answer::Sent(challenge) => Some(challenge),
            _ => None,
        }
    }

    /// Returns the challenge of a guess, and whether the code is right.
    pub fn guess(&self) -> Option<(&Challenge, bool)> {
        match &self.ask {
            Ask::Guess { challenge, right, .. } => Some((challenge, *right)),
            _ => None,
        }
    }

    /// Returns the device whose token came with the request and was good for it. How long a token is good depends on
    /// the clock of a host, so a token near its end is good for this purpose.
    pub fn device(&self) -> Option<&str> {
        let device = self.ask.device().filter(|device| self.began.at < device.issued_at + DEVICE_VALIDITY + HOUR)?;
        Some(&device.id)
    }

    /// Tells whether a client asks to remember a device, and may have been heard.
    pub fn may_have_remembered(&self) -> bool {
        let asks = matches!(&self.ask, Ask::Guess { challenge, right: true, .. } if challenge.remembers);
        asks && matches!(self.answer(), None | Some(Answer::LoggedIn(_) | Answer::Unavailable))
    }

    /// Returns the refresh token that the request presents.
    pub fn refresh(&self) -> Option<&RefreshToken> {
        match &self.ask {
            Ask::Refresh(token) => Some(token),
            _ => None,
        }
    }

    /// Returns the session that the request concerns or begins.
    pub fn session(&self) -> Option<&str> {
        self.ask.session().or_else(|| self.tokens().map(|tokens| tokens.refresh.session.as_str()))
    }

    pub fn was_told(&self, told: Told) -> Option<Moment> {
        self.told.iter().find(|(_, other)| *other == told).map(|(moment, _)| *moment)
    }

    /// Tells whether the request may have left something in the store although it was answered with 503. This takes two
    /// failures of the store: they make an outcome unknown, or prevent the undoing after another part has failed.
    pub fn may_have_left_something(&self) -> bool {
        let elsewhere = self.mishaps - self.store_mishaps;
        self.was_late || self.store_mishaps > 2 || self.store_mishaps > 1 && elsewhere > 0
    }

    /// Tells whether the request redeemed a code.
    pub fn has_redeemed(&self) -> bool {
        matches!(self.answer(), Some(Answer::LoggedIn(_) | Answer::Verified))
    }

    /// Returns the name of the request in a finding.
    pub fn name(&self) -> String {
        let of =
            if self.number == OUTSIDE { "an earlier request".to_owned() } else { format!("request {}", self.number) };
        format!("{of} ({} at host {})", self.ask.name(), self.host)
    }
}

/// Returns the acts of a history, in the order in which they began. `from` is the place of the first entry.
pub fn acts(asks: &[Ask], hosts: &[usize], entries: &[Entry], struck: &[(usize, Mishap)], from: usize) -> Vec<Act> {
    let mut acts: Vec<Act> = Vec::with_capacity(asks.len());
    let mut of_request: Vec<Option<usize>> = vec![None; asks.len()];
    for (index, entry) in entries.iter().enumerate() {
        let Some(slot) = of_request.get_mut(entry.request) else { continue };
        let moment = Moment { place: from + index, at: entry.at };
        if let What::Began = entry.what {
            *slot = Some(acts.len());
            let own = struck.iter().filter(|(request, _)| *request == entry.request);
            acts.push(Act {
                number: entry.request,
                host: hosts.get(entry.request).copied().unwrap_or_default(),
                ask: asks[entry.request].clone(),
                began: moment,
                answered: None,
                told: Vec::new(),
                mishaps: own.clone().count(),
                store_mishaps: own.clone().filter(|(_, mishap)| is_of_store(*mishap)).count(),
                was_late: own.clone().any(|(_, mishap)| *mishap == Mishap::Late),
                read_stale: own.clone().any(|(_, mishap)| *mishap == Mishap::Stale),
                met_a_conflict: false,
                is_unverifiable: false,
            });
            continue;
        }
        let Some(act) = slot.and_then(|place| acts.get_mut(place)) else { continue };
        match &entry.what {
            What::Answered(answer) => act.answered = Some((moment, answer.clone())),
            What::Told(told) => act.told.push((moment, *told)),
            What::Conflict => act.met_a_conflict = true,
            What::Unverifiable => act.is_unverifiable = true,
            _ => {}
        }
    }
    acts
}

/// For how long a device is known after its latest login.
const DEVICE_VALIDITY: u64 = 90 * 24 * HOUR;
const HOUR: u64 = 60 * 60 * 1000;

fn is_of_store(mishap: Mishap) -> bool {
    !matches!(mishap, Mishap::DirectoryFails | Mishap::SignerFails)
}
