//! The events of the authorization server: each is counted and logged.

use otp_grant::DeliveryFailure;
use otp_grant::Usage;
use otp_grant::guard::GuardCause;
use otp_grant::observer::{Event, Observer, TracingObserver};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::{Labels, counter, counters};
use crate::server::network_limits;

/// Counts each event, charges it to the network address of its request where that has limits, and logs it.
#[derive(Debug)]
pub(crate) struct HostObserver(pub(crate) Events);

impl Observer for HostObserver {
    fn event(&self, event: &Event<'_>) {
        self.0.count(event);
        network_limits::charge(event);
        TracingObserver.event(event);
    }
}

/// The counters of events.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    sends: Sends,
    undelivered: Undelivered,
    throttles: Counter,
    lockouts: Counter,
    guard: Guard,
    client_budget_half_used: Counter,
    client_budget_used: Counter,
    client_authentication_failures: Counter,
    wrong_codes: Counter,
    spent_challenges: Counter,
    logins: Counter,
    repeated_logins: Counter,
    sign_ups: Counter,
    test_identity_uses: Counter,
    devices_remembered: Counter,
    verifications: Counter,
    refreshes: Counter,
    refresh_token_reuses: Counter,
    dpop_replays: Counter,
    keys_not_proven: Counter,
    sessions_revoked: Counter,
    access_tokens_revoked: Counter,
    store_failures: Counter,
    directory_failures: Counter,
    other_failures: Counter,
}

impl Events {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let help = "Budgets of clients of the send guard that a message has half used, or used up, in one shard";
        let [client_budget_half_used, client_budget_used] =
            counters(registry, "client_budget_warnings", help, "level", ["half_used", "used"]);
        let help = "Sessions and access tokens that were revoked";
        let [sessions_revoked, access_tokens_revoked] =
            counters(registry, "revocations", help, "kind", ["session", "access_token"]);
        let help = "Requests that failed because a part of the host failed";
        let [store_failures, directory_failures, other_failures] =
            counters(registry, "failures", help, "part", ["store", "directory", "other"]);
        let mut count = |name: &str, help: &str| counter(registry, name, help);
        Self {
            throttles: count("throttles", "Sends that were refused because the address was sent to too often"),
            lockouts: count("lockouts", "Sends that were refused because the address has no guess left"),
            client_authentication_failures: count(
                "client_authentication_failures",
                "Requests whose client did not prove its identity",
            ),
            wrong_codes: count("wrong_codes", "Wrong or expired codes that were presented"),
            spent_challenges: count("spent_challenges", "Codes for challenges that are spent or have no guess left"),
            logins: count("logins", "Logins"),
            repeated_logins: count("repeated_logins", "Logins that were answered once more"),
            sign_ups: count("sign_ups", "Users that were created"),
            test_identity_uses: count("test_identity_uses", "Sends and logins of test identities"),
            devices_remembered: count("devices_remembered", "Devices that were remembered"),
            verifications: count("verifications", "Codes that proved an address without a login"),
            refreshes: count("refreshes", "Refresh tokens that were redeemed"),
            refresh_token_reuses: count("refresh_token_reuses", "Superseded refresh tokens that were used again"),
            dpop_replays: count("dpop_replays", "DPoP proofs that were used again"),
            keys_not_proven: count("keys_not_proven", "Refresh tokens that were presented without their key"),
            sends: Sends::new(registry),
            undelivered: Undelivered::new(registry),
            guard: Guard::new(registry),
            client_budget_half_used,
            client_budget_used,
            sessions_revoked,
            access_tokens_revoked,
            store_failures,
            directory_failures,
            other_failures,
        }
    }

    fn count(&self, event: &Event<'_>) {
        let counter = match event {
            Event::Sent { usage, .. } => self.sends.of(*usage),
            Event::DeliveryFailed { failure, .. } => self.undelivered.of(*failure),
            Event::Throttled { .. } => &self.throttles,
            Event::LockedOut { .. } => &self.lockouts,
            Event::SendWouldBeRefused { cause, .. } => self.guard.would_refuse.of(*cause),
            Event::SendChallenged { cause, .. } => self.guard.challenge.of(*cause),
            Event::SendRefused { cause, .. } => self.guard.refuse.of(*cause),
            Event::ClientBudgetHalfUsed { .. } => &self.client_budget_half_used,
            Event::ClientBudgetUsed { .. } => &self.client_budget_used,
            Event::ClientRefused { .. } => &self.client_authentication_failures,
            Event::WrongCode { .. } => &self.wrong_codes,
            Event::Exhausted { .. } => &self.spent_challenges,
            Event::LoggedIn { .. } => &self.logins,
            Event::LoginRepeated { .. } => &self.repeated_logins,
            Event::SignedUp { .. } => &self.sign_ups,
            Event::TestIdentityUsed { .. } => &self.test_identity_uses,
            Event::DeviceRemembered { .. } => &self.devices_remembered,
            Event::Verified { .. } => &self.verifications,
            Event::Refreshed { .. } => &self.refreshes,
            Event::ReuseDetected { .. } => &self.refresh_token_reuses,
            Event::ProofReplayed { .. } => &self.dpop_replays,
            Event::KeyNotProven { .. } => &self.keys_not_proven,
            Event::SessionRevoked { .. } => &self.sessions_revoked,
            Event::AccessTokenRevoked { .. } => &self.access_tokens_revoked,
            Event::StoreFailed { .. } => &self.store_failures,
            Event::DirectoryFailed { .. } => &self.directory_failures,
            Event::Faulted { .. } => &self.other_failures,
            // Only `admin` unlocks and forgets, in a process of its own. The log has events of later versions.
            _ => return,
        };
        counter.inc();
    }
}

/// Sends by usage.
#[derive(Clone, Debug)]
struct Sends([Counter; 5]);

impl Sends {
    fn new(registry: &mut Registry) -> Self {
        let help = "Challenges that were opened, whose codes were handed to delivery";
        let usages = ["login", "signup", "update_userinfo", "reset_password", "other"];
        Self(counters(registry, "sends", help, "usage", usages))
    }

    fn of(&self, usage: Usage) -> &Counter {
        let Self([login, signup, update_userinfo, reset_password, other]) = self;
        match usage {
            Usage::Login => login,
            Usage::Signup => signup,
            Usage::UpdateUserinfo => update_userinfo,
            Usage::ResetPassword => reset_password,
            _ => other,
        }
    }
}

/// Codes that were not delivered, as their clients were told.
#[derive(Clone, Debug)]
struct Undelivered([Counter; 3]);

impl Undelivered {
    fn new(registry: &mut Registry) -> Self {
        let help = "Sends whose client was told that the code could not be delivered";
        let reasons = ["address_refused", "insufficient_quota", "undeliverable"];
        Self(counters(registry, "undelivered_sends", help, "reason", reasons))
    }

    fn of(&self, failure: DeliveryFailure) -> &Counter {
        let Self([address_refused, insufficient_quota, undeliverable]) = self;
        match failure {
            DeliveryFailure::AddressRefused => address_refused,
            DeliveryFailure::InsufficientQuota => insufficient_quota,
            _ => undeliverable,
        }
    }
}

/// The verdicts of the send guard.
#[derive(Clone, Debug)]
struct Guard {
    would_refuse: Causes,
    challenge: Causes,
    refuse: Causes,
}

impl Guard {
    fn new(registry: &mut Registry) -> Self {
        let family = Family::<Labels, Counter>::default();
        let help = "What the send guard decided on sends that it did not trust";
        registry.register("guard_verdicts", help, family.clone());
        let causes = |verdict| Causes::new(&family, verdict);
        Self { would_refuse: causes("would_refuse"), challenge: causes("challenge"), refuse: causes("refuse") }
    }
}

/// One verdict of the send guard, by cause.
#[derive(Clone, Debug)]
struct Causes([Counter; 7]);

impl Causes {
    fn new(family: &Family<Labels, Counter>, verdict: &'static str) -> Self {
        let causes = ["country_not_allowed", "verdict", "block", "country", "email_domain", "client_budget", "other"];
        Self(causes.map(|cause| family.get_or_create_owned(&[("verdict", verdict), ("cause", cause)])))
    }

    fn of(&self, cause: GuardCause) -> &Counter {
        let Self([country_not_allowed, verdict, block, country, email_domain, client_budget, other]) = self;
        match cause {
            GuardCause::CountryNotAllowed => country_not_allowed,
            GuardCause::Verdict => verdict,
            GuardCause::Block => block,
            GuardCause::Country => country,
            GuardCause::EmailDomain => email_domain,
            GuardCause::ClientBudget => client_budget,
            _ => other,
        }
    }
}
