//! An observer that writes events through the crate `tracing`.

use crate::observer::{Event, Observer};

/// Writes each event as one structured `tracing` event of the target `otp_grant`.
///
/// | level | events |
/// |---|---|
/// | `INFO` | sends, logins, verifications, sign-ups, refreshes and sign-outs |
/// | `WARN` | what was refused or not delivered |
/// | `ERROR` | a stolen refresh token, and failures in the host |
///
/// Addresses appear as the keys of their records. Nothing that is written can be replayed.
///
/// ```
/// # use otp_grant::*;
/// # use otp_grant::observer::TracingObserver;
/// # use otp_grant::server::ServerBuilder;
/// # fn example(builder: ServerBuilder) -> ServerBuilder {
/// builder.observer(TracingObserver)
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a host writes its name, and there is nothing to set")]
pub struct TracingObserver;

impl Observer for TracingObserver {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Sent { client, address, usage } => {
                tracing::info!(target: TARGET, client = client.as_str(), ?address, usage = usage.as_str(), "code sent");
            }
            Event::Throttled { client, address, retry_after } => {
                let retry_after = retry_after.as_secs();
                tracing::warn!(target: TARGET, client = client.as_str(), ?address, retry_after, "send throttled");
            }
            Event::WrongCode { client, address, attempts_remaining } => {
                tracing::warn!(target: TARGET, client = client.as_str(), ?address, attempts_remaining, "wrong code");
            }
            Event::Exhausted { client, address } => {
                tracing::warn!(target: TARGET, client = client.as_str(), ?address, "challenge spent or used up");
            }
            Event::DeliveryFailed { address, failure } => {
                tracing::warn!(target: TARGET, ?address, ?failure, "code not delivered");
            }
            Event::LockedOut { client, address, retry_after } => {
                let retry_after = retry_after.as_secs();
                tracing::warn!(target: TARGET, client = client.as_str(), ?address, retry_after, "no guess is left");
            }
            Event::SendWouldBeRefused { client, address, cause } => {
                tracing::warn!(target: TARGET, client = client.as_str(), ?address, ?cause, "send would be refused");
            }
            Event::SendChallenged { client, address, cause } => {
                tracing::warn!(target: TARGET, client = client.as_str(), ?address, ?cause, "challenge required");
            }
            Event::SendRefused { client, address, cause } => {
                tracing::warn!(target: TARGET, client = client.as_str(), ?address, ?cause, "send refused");
            }
            Event::ClientBudgetHalfUsed { client } => {
                tracing::warn!(target: TARGET, client = client.as_str(), "message budget of a client half used");
            }
            Event::ClientBudgetUsed { client } => {
                tracing::warn!(target: TARGET, client = client.as_str(), "message budget of a client used up");
            }
            Event::ClientRefused { client } => {
                let client = client.map(|client| client.as_str());
                tracing::warn!(target: TARGET, client, "client authentication failed");
            }
            Event::LoggedIn { client, address, subject, session } => {
                let (client, subject) = (client.as_str(), subject.as_str());
                tracing::info!(target: TARGET, client, ?address, subject, ?session, "logged in");
            }
            Event::LoginRepeated { client, subject, session } => {
                let (client, subject) = (client.as_str(), subject.as_str());
                tracing::info!(target: TARGET, client, subject, ?session, "login answered again");
            }
            Event::SignedUp { client, address, subject } => {
                let (client, subject) = (client.as_str(), subject.as_str());
                tracing::info!(target: TARGET, client, ?address, subject, "signed up");
            }
            Event::TestIdentityUsed { client, address } => {
                tracing::warn!(target: TARGET, client = client.as_str(), ?address, "test identity used");
            }
            Event::DeviceRemembered { client, address } => {
                tracing::info!(target: TARGET, client = client.as_str(), ?address, "device remembered");
            }
            Event::Unlocked { address } => {
                tracing::warn!(target: TARGET, ?address, "address unlocked");
            }
            Event::DevicesForgotten { address } => {
                tracing::warn!(target: TARGET, ?address, "devices forgotten");
            }
            Event::Verified { client, address, usage } => {
                let usage = usage.as_str();
                tracing::info!(target: TARGET, client = client.as_str(), ?address, usage, "address verified");
            }
            Event::Refreshed { client, subject, session } => {
                let (client, subject) = (client.as_str(), subject.as_str());
                tracing::info!(target: TARGET, client, subject, ?session, "refreshed");
            }
            Event::ReuseDetected { client, subject, session, has_ended } => {
                let (client, subject) = (client.as_str(), subject.as_str());
                tracing::error!(target: TARGET, client, subject, ?session, has_ended, "refresh token reused");
            }
            Event::ProofReplayed { client } => {
                tracing::warn!(target: TARGET, client = client.as_str(), "DPoP proof used again");
            }
            Event::KeyNotProven { client, subject, session } => {
                let (client, subject) = (client.as_str(), subject.as_str());
                tracing::warn!(target: TARGET, client, subject, ?session, "refresh token without its key");
            }
            Event::SessionRevoked { client, subject, session } => {
                let (client, subject) = (client.map(|client| client.as_str()), subject.as_str());
                tracing::info!(target: TARGET, client, subject, ?session, "session revoked");
            }
            Event::AccessTokenRevoked { client, subject, session } => {
                let (client, subject) = (client.as_str(), subject.as_str());
                tracing::info!(target: TARGET, client, subject, ?session, "access token revoked");
            }
            Event::StoreFailed { error } => tracing::error!(target: TARGET, error, "store failed"),
            Event::DirectoryFailed { error } => tracing::error!(target: TARGET, error, "directory failed"),
            Event::Faulted { error } => tracing::error!(target: TARGET, error, "fault"),
        }
    }
}

const TARGET: &str = "otp_grant";
