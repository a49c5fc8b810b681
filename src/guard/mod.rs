//! The send guard: messages cost money, and numbers that nobody reads are sent to for profit (artificially inflated
//! traffic).
//!
//! A *destination* is what an address has in common with others:
//!
//! | destination | what it is | records |
//! |---|---|---|
//! | block | a phone number without its last 4 digits | one per block |
//! | country | a calling code | one per shard |
//! | e-mail domain | what stands after the `@`; off by default | one per domain |
//! | client | the messages of one client; where the client has a [`MessageBudget`] | one per shard |
//!
//! A message counts as *unverified* for its destinations as soon as it is sent, and as *verified* once its code is
//! redeemed. Blocks, countries and domains earn their messages by verified ones. Past a [`Threshold`], a send needs a
//! reason to be trusted: the host's verdict [`Verdict::Allow`], or a valid device token. An attacker can therefore make
//! the newcomers of a country prove that they are people, and cannot shut the country.
//!
//! An hour and a day are whole hours and days of UTC. "24 hours" are the present hour and the 23 before it.

pub(crate) mod charge;
mod countries;
mod counts;
pub(crate) mod destination;
pub(crate) mod message;
pub(crate) mod standing;
#[cfg(test)]
mod tests;

use core::num::{NonZeroU16, NonZeroU32};

pub use crate::guard::countries::{Countries, InvalidCallingCode};

/// The settings of the send guard. It is off by default, and then costs nothing.
///
/// Begin with [`GuardMode::Observe`]: the guard counts and decides, tells the
/// [`Observer`](crate::observer::Observer), and refuses nothing. Change to [`GuardMode::Enforce`] when the observer
/// reports attacks and no honest users.
///
/// ```
/// use otp_grant::Settings;
/// use otp_grant::guard::{Countries, GuardMode};
///
/// let mut settings = Settings::default();
/// settings.send_guard.mode = GuardMode::Enforce;
/// // France, and North America without Jamaica.
/// settings.send_guard.countries = Some(Countries::only(["33", "1"])?.except(["1876"])?);
/// # Ok::<(), otp_grant::guard::InvalidCallingCode>(())
/// ```
///
/// # Cost
///
/// While the guard is on, a send loads and swaps one record for each of its destinations: 4 calls of the store more for
/// a phone number, and 2 more where the client has a [`MessageBudget`]. A login or a verification makes 4 calls more,
/// for block and country, after its answer is decided and before it is given. Their errors change nothing of the
/// answer, but a slow store delays it. What is refused by the list or by the host's verdict costs no call.
///
/// # Limits
///
/// A message that could not be delivered stays counted. While a provider is down, its countries look as if they were
/// pumped.
///
/// A destination knows its latest 16 messages by name. On a busy shard, a login then drops fewer of the other messages
/// of its address, and an undo can leave a message counted. Both err on the side of counting too much.
///
/// A login takes up to two other messages of its address out of the counts: those whose otp_token is still good, and
/// that came without a device, where the login did. An attacker who has brought a block to its threshold can see by the
/// block that somebody in it has logged in. An attacker with numbers of their own has two more messages with each
/// login.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SendGuard {
    /// Whether the guard counts and refuses. Defaults to [`GuardMode::Off`].
    pub mode: GuardMode,

    /// The countries that messages are sent to. Defaults to `None`, which is every country.
    ///
    /// A number in another country is answered as a number that the provider refuses: `invalid_phone_number`. This
    /// needs no store. A number without `+` has no known country, and is refused where there is a list. Set a country
    /// code or a numbering plan in [`AddressPolicy`](crate::AddressPolicy).
    pub countries: Option<Countries>,

    /// What a block must earn. Defaults to 5 messages in 24 hours and 3 in an hour.
    ///
    /// A block has 10,000 numbers, which mostly belong to one operator. Attackers rent whole blocks. A household or an
    /// office seldom needs more than 5 messages a day that lead to no login. In a burst, 3 more pass.
    ///
    /// A number with its country code and the same number without it are in two blocks and two countries, where the
    /// host names no country. Set a country code or a numbering plan in [`AddressPolicy`](crate::AddressPolicy) before
    /// the guard enforces.
    pub block: Threshold,

    /// What a country must earn. Defaults to 20 messages in 24 hours and 3 in an hour.
    ///
    /// The counts are divided by [`shards`](Self::shards), and each shard has at least 3. With the default of 16
    /// shards, counts of 1 to 63 mean the same: 48 for the country, and in bursts up to as many again, since young
    /// messages are let off. A service without users in a country loses at most these messages a day to it. Where there
    /// are users, their logins earn more.
    pub country: Threshold,

    /// What an e-mail domain must earn. Defaults to `None`: e-mail costs little, and the domains of large providers
    /// have one record each, which all their users would then share.
    pub email_domain: Option<Threshold>,

    /// Over how many records a country and a client are spread, by a MAC of the address. Defaults to 16. At most 1,024.
    ///
    /// Each shard judges alone by its share of the counts. One record is changed by one request at a time, so a host
    /// with many sends per second needs many shards. After a change of the number, the counts begin anew.
    pub shards: NonZeroU16,

    /// Whether clients can pass a challenge, after which the host gives the verdict [`Verdict::Allow`]. Defaults to
    /// `true`.
    ///
    /// With `true`, a send that needs a reason to be trusted is answered with 400 `challenge_required`. With `false`,
    /// it is answered as if no quota were left: 400 `insufficient_sms_quota` or `insufficient_email_quota`.
    pub has_challenge: bool,
}

impl SendGuard {
    /// Tells whether the settings are in range.
    pub(crate) fn is_sound(&self) -> bool {
        let thresholds = [Some(&self.block), Some(&self.country), self.email_domain.as_ref()];
        self.shards.get() <= MOST_SHARDS && thresholds.into_iter().flatten().all(Threshold::is_sound)
    }

    pub(crate) fn is_on(&self) -> bool {
        self.mode != GuardMode::Off
    }

    pub(crate) fn enforces(&self) -> bool {
        self.mode == GuardMode::Enforce
    }
}

impl Default for SendGuard {
    fn default() -> Self {
        Self {
            mode: GuardMode::Off,
            countries: None,
            block: Threshold::new(FIVE, THREE),
            country: Threshold::new(TWENTY, THREE),
            email_domain: None,
            shards: SIXTEEN,
            has_challenge: true,
        }
    }
}

/// Whether the send guard counts and refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum GuardMode {
    /// Nothing is counted, and verdicts of the host are ignored.
    #[default]
    Off,
    /// Messages are counted, and decisions are reported to the observer. Nothing is refused, not even where the records
    /// of the guard can't be loaded.
    Observe,
    /// Messages are counted, and sends are refused.
    Enforce,
}

/// What the host knows about a request for a code: from a captcha, a device attestation or the reputation of a network.
/// The core never sees a network address.
///
/// The verdict comes with the request: [`Request::with_verdict`](crate::Request::with_verdict) or
/// [`SendRequest::with_verdict`](crate::wire::SendRequest::with_verdict).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The host knows nothing.
    #[default]
    None,
    /// The request comes from a person, as far as the host can tell. It is a reason to trust the send.
    Allow,
    /// The client must pass a challenge. Where the guard enforces, the send is answered with `challenge_required`,
    /// whatever the counts say, or as if no quota were left where the host has no challenge
    /// ([`SendGuard::has_challenge`]).
    Challenge,
    /// Where the guard enforces, the send is refused as if no quota were left.
    Refuse,
}

/// What a destination must earn.
///
/// A send needs a reason to be trusted once the unverified messages of 24 hours reach the larger of `per_day` and
/// `verified_percent` of the verified ones, or once those of an hour reach the larger of `per_hour` and the same share
/// of the verified ones. *Verified* counts the best day (the best hour) of the last 14 days, or the last 24 hours (the
/// present hour) if these had more.
///
/// Messages that are younger than their code's time are let off, since nobody could redeem them yet: as many as the
/// best verified hour of 14 days had, and at least `per_hour`. A burst can therefore exceed a count by as much. A
/// code's time counts as 10 minutes at most, and ends with its minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Threshold {
    /// How many unverified messages of 24 hours need no verified ones.
    pub per_day: NonZeroU32,
    /// How many unverified messages of an hour need no verified ones. At most `per_day`.
    pub per_hour: NonZeroU32,
    /// How many unverified messages 100 verified ones earn. Defaults to 50. At most 1,000.
    ///
    /// With 50, a destination where 2 of 3 messages are verified is never past its threshold. Honest users verify about
    /// 80 of 100. An attacker who verifies numbers of their own earns more messages on each of the next 14 days: half
    /// as many as they have verified on one day, and in a burst as many more as they have verified in one hour.
    pub verified_percent: u32,
}

impl Threshold {
    /// Makes a threshold whose `verified_percent` is 50.
    pub const fn new(per_day: NonZeroU32, per_hour: NonZeroU32) -> Self {
        Self { per_day, per_hour, verified_percent: 50 }
    }

    fn is_sound(&self) -> bool {
        self.per_hour <= self.per_day && self.verified_percent <= 1000
    }
}

/// How many messages a client can send, whether they are verified or not.
///
/// The budget is a part of the client's configuration
/// ([`Client::with_message_budget`](crate::Client::with_message_budget)), because clients differ, and because each send
/// reads the client anyway. A client without a budget costs no call.
///
/// Past half of the budget, a send needs a reason to be trusted. Past all of it, only a valid device token passes, and
/// other sends are answered as if no quota were left. An attacker who uses up the budget of a client therefore keeps
/// its newcomers out until the next hour or day: give a budget only to clients that attackers can use, such as public
/// ones.
///
/// The budget is divided by [`SendGuard::shards`], and each shard has at least 3. With the default of 16 shards, a
/// budget of less than 48 lets 48 messages through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageBudget {
    pub(crate) per_hour: NonZeroU32,
    pub(crate) per_day: NonZeroU32,
}

impl MessageBudget {
    /// Makes a budget of messages per hour and per 24 hours.
    pub const fn new(per_hour: NonZeroU32, per_day: NonZeroU32) -> Self {
        Self { per_hour, per_day }
    }
}

/// Why the guard refused a send, or would have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GuardCause {
    /// The country of the number is not on the list.
    CountryNotAllowed,
    /// The host's verdict.
    Verdict,
    /// The block of the number is past its threshold.
    Block,
    /// The country of the number is past its threshold.
    Country,
    /// The e-mail domain is past its threshold.
    EmailDomain,
    /// The budget of the client is half used, or used up.
    ClientBudget,
}

/// Why a send is trusted, if it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    None,
    /// The host's verdict is "allow".
    Allowed,
    /// The address knows the device of the request.
    Device,
}

impl Trust {
    pub(crate) fn new(verdict: Verdict, has_known_device: bool) -> Self {
        match verdict {
            _ if has_known_device => Self::Device,
            Verdict::Allow => Self::Allowed,
            Verdict::None | Verdict::Challenge | Verdict::Refuse => Self::None,
        }
    }
}

/// The fewest messages of one shard.
const LEAST_OF_A_SHARD: u32 = 3;
const MOST_SHARDS: u16 = 1024;
const SIXTEEN: NonZeroU16 = NonZeroU16::MIN.saturating_add(15);
const THREE: NonZeroU32 = NonZeroU32::MIN.saturating_add(2);
const FIVE: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);
const TWENTY: NonZeroU32 = NonZeroU32::MIN.saturating_add(19);
