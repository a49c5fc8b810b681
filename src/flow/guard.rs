//! The send guard in a send and in a login: destinations are judged, charged for a message, and credited with a
//! success.

use crate::address::{Address, Channel};
use crate::change::{Attempt, Change};
use crate::directory::Directory;
use crate::directory::authenticated_client::AuthenticatedClient;
use crate::flow::commit::{Refused, Turn};
use crate::flow::core::Core;
use crate::flow::record::Loaded;
use crate::guard::charge::{Charge, Charged, Credit, NotCharged, TakeBackCharge};
use crate::guard::destination::Destination;
use crate::guard::message::{CountedMessage, Settlement};
use crate::guard::standing::{Rule, Standing};
use crate::guard::{GuardCause, SendGuard, Trust, Verdict};
use crate::id::{ClientId, RecordKey};
use crate::observer::Event;
use crate::otp::authenticator::Authenticator;
use crate::otp::resend::{NotOpened, OpenChallenge};
use crate::store::Store;
use crate::wire::error::{SendError, Unavailable};

/// Refuses what the list of countries and the host's verdict refuse. This needs no store. Returns `None` where the
/// guard is off.
pub(crate) fn screen<S: Store, D: Directory>(
    core: &Core<S, D>,
    client: &AuthenticatedClient,
    address: &Address,
    key: RecordKey,
    verdict: Verdict,
) -> Result<Option<Screened>, SendError> {
    let settings = &core.settings.send_guard;
    if !settings.is_on() {
        return Ok(None);
    }
    let subject = Subject { client: client.id().clone(), address: key, channel: address.channel() };
    let is_allowed = match (&settings.countries, address) {
        (Some(countries), Address::Phone(number)) => countries.allow(number),
        (None, _) | (_, Address::Email(_)) => true,
    };
    if !is_allowed {
        subject.refuse(core, GuardCause::CountryNotAllowed, Refusal::Country)?;
    }
    match verdict {
        Verdict::Challenge => subject.refuse(core, GuardCause::Verdict, Refusal::Challenge)?,
        Verdict::Refuse => subject.refuse(core, GuardCause::Verdict, Refusal::Quota)?,
        Verdict::None | Verdict::Allow => {}
    }
    let mut destinations = earning(core, address, key);
    if let Some(budget) = client.message_budget() {
        let shard = shard(settings, key);
        destinations.push(Judged {
            key: core.keyring.destination_key("client", [client.id().as_str().as_bytes(), &shard]),
            rule: Rule::budget_of_a_shard(budget, settings.shards),
            cause: GuardCause::ClientBudget,
        });
    }
    Ok(Some(Screened { subject, destinations }))
}

/// Credits the destinations of an address with a success. A credit that fails changes no reply: its messages stay
/// unverified.
pub(crate) async fn credit<S: Store, D: Directory>(
    turn: &mut Turn<'_, S, D>,
    address: &Address,
    key: RecordKey,
    settlement: Settlement,
    is_test: bool,
) {
    if settlement.is_empty() || !turn.core.settings.send_guard.is_on() {
        return;
    }
    for Judged { key, .. } in earning(turn.core, address, key) {
        let _ = turn.undo(key, None, &Credit { settlement: &settlement, is_test }).await;
    }
}

/// A send that neither the list nor the host's verdict refuses, and its destinations.
pub(crate) struct Screened {
    subject: Subject,
    destinations: Vec<Judged>,
}

impl Screened {
    /// Tells whether the message is counted anywhere.
    pub(crate) fn has_destinations(&self) -> bool {
        !self.destinations.is_empty()
    }

    /// Decides on the send, and changes nothing. The quotas of the address go first: what they refuse loads no
    /// destination.
    pub(crate) async fn admit<S: Store, D: Directory>(
        self,
        turn: &mut Turn<'_, S, D>,
        loaded: &Loaded<Authenticator>,
        open: &OpenChallenge<'_>,
        trust: Trust,
    ) -> Result<Admitted, NotAdmitted> {
        let core = turn.core;
        let attempt = Attempt { now: loaded.now(), follows_unknown_outcome: false };
        // The decision is not stored, and its verdict stays closed.
        let _ = open.decide(loaded.state().cloned(), attempt).map_err(NotAdmitted::Address)?;
        let settings = &core.settings.send_guard;
        let Self { subject, destinations } = self;
        let mut seen = Vec::with_capacity(destinations.len());
        for judged in destinations {
            let destination = match turn.load::<Destination>(judged.key).await {
                Ok(destination) => destination,
                Err(Unavailable) if !settings.enforces() => continue,
                Err(Unavailable) => return Err(NotAdmitted::Guard(SendError::TemporarilyUnavailable)),
            };
            if settings.enforces() {
                let state = destination.state().cloned().unwrap_or_default().at(destination.now());
                let standing = judged.rule.standing(&state);
                if !standing.admits(trust) {
                    return Err(NotAdmitted::Guard(subject.refused(core, judged.cause, Refusal::of(standing))));
                }
            }
            seen.push((judged, destination));
        }
        Ok(Admitted { subject, seen, trust })
    }
}

/// A send that may be made, as its destinations were when they were loaded.
pub(crate) struct Admitted {
    subject: Subject,
    seen: Vec<(Judged, Loaded<Destination>)>,
    trust: Trust,
}

impl Admitted {
    /// Charges the message to each destination, and decides again. If one destination refuses, or its store fails, what
    /// was charged is taken back, as far as the store allows.
    pub(crate) async fn charge<S: Store, D: Directory>(
        self,
        turn: &mut Turn<'_, S, D>,
        message: &CountedMessage,
        is_test: bool,
    ) -> Result<(), SendError> {
        let core = turn.core;
        let settings = &core.settings.send_guard;
        let Self { subject, seen, trust } = self;
        let mut charged = Vec::with_capacity(seen.len());
        let mut would_be_refused = None;
        for (Judged { key, rule, cause }, loaded) in seen {
            let charge = Charge { message, rule: &rule, trust, is_enforced: settings.enforces(), is_test };
            let refused = match turn.commit(loaded, &charge).await {
                Ok((Charged { before, after }, _)) => {
                    charged.push(key);
                    if cause == GuardCause::ClientBudget && before != after {
                        subject.tell_budget(core, after);
                    }
                    would_be_refused = would_be_refused.or((!before.admits(trust)).then_some(cause));
                    continue;
                }
                Err(Refused::ByRule(NotCharged(standing))) => subject.refused(core, cause, Refusal::of(standing)),
                Err(Refused::Unavailable) if !settings.enforces() => continue,
                Err(Refused::Unavailable) => {
                    // The outcome is unknown, and so the message may be charged.
                    charged.push(key);
                    SendError::TemporarilyUnavailable
                }
            };
            for key in charged {
                let _ = turn.undo(key, None, &TakeBackCharge { message, is_test }).await;
            }
            return Err(refused);
        }
        if let Some(cause) = would_be_refused {
            subject.tell_would_be_refused(core, cause);
        }
        Ok(())
    }
}

/// Why a send may not be made.
pub(crate) enum NotAdmitted {
    /// The quotas of the address refuse it.
    Address(NotOpened),
    /// The guard refuses it, or its records can't be loaded.
    Guard(SendError),
}

/// One destination: its record, and how it is judged.
struct Judged {
    key: RecordKey,
    rule: Rule,
    cause: GuardCause,
}

/// The client and the address of a send.
struct Subject {
    client: ClientId,
    address: RecordKey,
    channel: Channel,
}

impl Subject {
    /// Refuses a send, or only tells the observer where the guard observes.
    fn refuse<S: Store, D: Directory>(
        &self,
        core: &Core<S, D>,
        cause: GuardCause,
        refusal: Refusal,
    ) -> Result<(), SendError> {
        if core.settings.send_guard.enforces() {
            return Err(self.refused(core, cause, refusal));
        }
        self.tell_would_be_refused(core, cause);
        Ok(())
    }

    /// Tells the observer of a refusal, and returns the error.
    fn refused<S: Store, D: Directory>(&self, core: &Core<S, D>, cause: GuardCause, refusal: Refusal) -> SendError {
        let Self { ref client, address, channel } = *self;
        if refusal == Refusal::Challenge && core.settings.send_guard.has_challenge {
            core.observer.event(&Event::SendChallenged { client, address, cause });
            return SendError::ChallengeRequired;
        }
        core.observer.event(&Event::SendRefused { client, address, cause });
        match refusal {
            Refusal::Country => SendError::CountryNotAllowed,
            Refusal::Challenge | Refusal::Quota => SendError::InsufficientQuota(channel),
        }
    }

    fn tell_would_be_refused<S: Store, D: Directory>(&self, core: &Core<S, D>, cause: GuardCause) {
        let Self { ref client, address, .. } = *self;
        core.observer.event(&Event::SendWouldBeRefused { client, address, cause });
    }

    fn tell_budget<S: Store, D: Directory>(&self, core: &Core<S, D>, standing: Standing) {
        let client = &self.client;
        match standing {
            Standing::Free => {}
            Standing::NeedsTrust => core.observer.event(&Event::ClientBudgetHalfUsed { client }),
            Standing::UsedUp => core.observer.event(&Event::ClientBudgetUsed { client }),
        }
    }
}

/// What would help a send that is refused.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// A challenge, where the host has one.
    Challenge,
    /// Nothing that the client can do now.
    Quota,
    /// A number of another country.
    Country,
}

impl Refusal {
    fn of(standing: Standing) -> Self {
        if standing == Standing::UsedUp { Self::Quota } else { Self::Challenge }
    }
}

/// Returns the destinations of an address that earn their messages. Each has a record of its own.
fn earning<S: Store, D: Directory>(core: &Core<S, D>, address: &Address, key: RecordKey) -> Vec<Judged> {
    let (settings, keyring) = (&core.settings.send_guard, &core.keyring);
    match address {
        Address::Phone(number) => {
            // The numbers whose country is not known are one country.
            let code = number.calling_code().unwrap_or_default();
            let shard = shard(settings, key);
            vec![
                Judged {
                    key: keyring.destination_key("block", [number.block().as_bytes()]),
                    rule: Rule::earned(&settings.block),
                    cause: GuardCause::Block,
                },
                Judged {
                    key: keyring.destination_key("country", [code.as_bytes(), &shard]),
                    rule: Rule::earned_in_a_shard(&settings.country, settings.shards),
                    cause: GuardCause::Country,
                },
            ]
        }
        Address::Email(email) => {
            let judged = |threshold| Judged {
                key: keyring.destination_key("email_domain", [email.domain().as_bytes()]),
                rule: Rule::earned(threshold),
                cause: GuardCause::EmailDomain,
            };
            settings.email_domain.as_ref().map(judged).into_iter().collect()
        }
    }
}

/// Returns the shard of an address: a MAC of the address, modulo the number of shards. The key of the record of the
/// address is such a MAC.
fn shard(settings: &SendGuard, key: RecordKey) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = *key.as_bytes();
    let number = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    (number % u64::from(settings.shards.get())).to_be_bytes()
}
