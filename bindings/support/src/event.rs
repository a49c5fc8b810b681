//! Events as JSON documents.

use std::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

use otp_grant::DeliveryFailure;
use otp_grant::guard::GuardCause;
use otp_grant::id::{RecordKey, SessionId};
use otp_grant::observer::{Event, Observer};
use serde_json::{Map, Value};

use crate::answer::FailedDelivery;

/// Hands events to a function of another language.
pub(crate) struct JsonObserver<F>(pub(crate) F);

impl<F: Fn(&str) + Send + Sync> Observer for JsonObserver<F> {
    fn event(&self, event: &Event<'_>) {
        if let Some(document) = document(event) {
            self.0(&document);
        }
    }
}

/// The event as an object, or `None` for an event of a later version.
fn document(event: &Event<'_>) -> Option<String> {
    let (kind, members) = match event {
        Event::Sent { client, address, usage } => {
            ("sent", vec![("client", client.as_str().into()), hashed(address), ("usage", usage.as_str().into())])
        }
        Event::DeliveryFailed { address, failure } => {
            ("delivery_failed", vec![hashed(address), ("failure", failure_name(*failure).into())])
        }
        Event::Throttled { client, address, retry_after } => {
            ("throttled", vec![("client", client.as_str().into()), hashed(address), wait(*retry_after)])
        }
        Event::LockedOut { client, address, retry_after } => {
            ("locked_out", vec![("client", client.as_str().into()), hashed(address), wait(*retry_after)])
        }
        Event::SendWouldBeRefused { client, address, cause } => {
            ("send_would_be_refused", vec![("client", client.as_str().into()), hashed(address), of_guard(*cause)])
        }
        Event::SendChallenged { client, address, cause } => {
            ("send_challenged", vec![("client", client.as_str().into()), hashed(address), of_guard(*cause)])
        }
        Event::SendRefused { client, address, cause } => {
            ("send_refused", vec![("client", client.as_str().into()), hashed(address), of_guard(*cause)])
        }
        Event::ClientBudgetHalfUsed { client } => ("client_budget_half_used", vec![("client", client.as_str().into())]),
        Event::ClientBudgetUsed { client } => ("client_budget_used", vec![("client", client.as_str().into())]),
        Event::ClientRefused { client } => {
            ("client_refused", vec![("client", client.map_or(Value::Null, |client| client.as_str().into()))])
        }
        Event::WrongCode { client, address, attempts_remaining } => {
            let remaining = ("attempts_remaining", (*attempts_remaining).into());
            ("wrong_code", vec![("client", client.as_str().into()), hashed(address), remaining])
        }
        Event::Exhausted { client, address } => {
            ("exhausted", vec![("client", client.as_str().into()), hashed(address)])
        }
        Event::LoggedIn { client, address, subject, session } => {
            let members = vec![
                ("client", client.as_str().into()),
                hashed(address),
                ("subject", subject.as_str().into()),
                named(*session),
            ];
            ("logged_in", members)
        }
        Event::LoginRepeated { client, subject, session } => {
            ("login_repeated", of_session(Some(client.as_str()), subject.as_str(), *session))
        }
        Event::SignedUp { client, address, subject } => {
            let subject = ("subject", subject.as_str().into());
            ("signed_up", vec![("client", client.as_str().into()), hashed(address), subject])
        }
        Event::Verified { client, address, usage } => {
            ("verified", vec![("client", client.as_str().into()), hashed(address), ("usage", usage.as_str().into())])
        }
        Event::Refreshed { client, subject, session } => {
            ("refreshed", of_session(Some(client.as_str()), subject.as_str(), *session))
        }
        Event::ReuseDetected { client, subject, session, has_ended } => {
            let mut members = of_session(Some(client.as_str()), subject.as_str(), *session);
            members.push(("has_ended", (*has_ended).into()));
            ("reuse_detected", members)
        }
        Event::TestIdentityUsed { client, address } => {
            ("test_identity_used", vec![("client", client.as_str().into()), hashed(address)])
        }
        Event::DeviceRemembered { client, address } => {
            ("device_remembered", vec![("client", client.as_str().into()), hashed(address)])
        }
        Event::Unlocked { address } => ("unlocked", vec![hashed(address)]),
        Event::DevicesForgotten { address } => ("devices_forgotten", vec![hashed(address)]),
        Event::ProofReplayed { client } => ("proof_replayed", vec![("client", client.as_str().into())]),
        Event::KeyNotProven { client, subject, session } => {
            ("key_not_proven", of_session(Some(client.as_str()), subject.as_str(), *session))
        }
        Event::SessionRevoked { client, subject, session } => {
            ("session_revoked", of_session(client.map(|client| client.as_str()), subject.as_str(), *session))
        }
        Event::AccessTokenRevoked { client, subject, session } => {
            ("access_token_revoked", of_session(Some(client.as_str()), subject.as_str(), *session))
        }
        Event::StoreFailed { error } => ("store_failed", vec![("error", with_sources(*error).into())]),
        Event::DirectoryFailed { error } => ("directory_failed", vec![("error", with_sources(*error).into())]),
        Event::Faulted { error } => ("faulted", vec![("error", with_sources(*error).into())]),
        _ => return None,
    };
    let members = [("kind", kind.into())].into_iter().chain(members);
    let object: Map<String, Value> = members.map(|(name, value)| (name.to_owned(), value)).collect();
    Some(Value::Object(object).to_string())
}

type Member = (&'static str, Value);

fn of_session(client: Option<&str>, subject: &str, session: SessionId) -> Vec<Member> {
    vec![("client", client.map_or(Value::Null, Value::from)), ("subject", subject.into()), named(session)]
}

fn named(session: SessionId) -> Member {
    ("session", String::from(session).into())
}

fn hashed(address: &RecordKey) -> Member {
    let hex = address.as_bytes().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    ("address", hex.into())
}

fn wait(retry_after: Duration) -> Member {
    ("retry_after_ms", u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX).into())
}

fn of_guard(cause: GuardCause) -> Member {
    let name = match cause {
        GuardCause::CountryNotAllowed => "country_not_allowed",
        GuardCause::Verdict => "verdict",
        GuardCause::Block => "block",
        GuardCause::Country => "country",
        GuardCause::EmailDomain => "email_domain",
        GuardCause::ClientBudget => "client_budget",
        // A cause of a later version.
        _ => "other",
    };
    ("cause", name.into())
}

fn failure_name(failure: DeliveryFailure) -> &'static str {
    match failure {
        DeliveryFailure::AddressRefused => FailedDelivery::AddressRefused.name(),
        DeliveryFailure::InsufficientQuota => FailedDelivery::InsufficientQuota.name(),
        _ => FailedDelivery::Undeliverable.name(),
    }
}

/// The text of an error and of the errors behind it.
fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}
