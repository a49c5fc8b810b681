//! An observer that writes events through `tracing`.

use crate::observer::{Event, Observer};

/// Writes each event as one structured `tracing` event of the target `otp_grant`.
///
/// Logins, refreshes and sign-outs are `INFO`; throttled sends and wrong codes `WARN`; a stolen refresh token, and what
/// fails in the host, `ERROR`. Addresses appear as the keys of their records; nothing that is written can be replayed.
///
/// ```
/// # use otp_grant::*;
/// # fn example(builder: ServerBuilder) -> ServerBuilder {
/// builder.observer(TracingObserver)
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
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
            Event::LoggedIn { client, address, session } => {
                tracing::info!(target: TARGET, client = client.as_str(), ?address, ?session, "logged in");
            }
            Event::Verified { client, address, usage } => {
                let usage = usage.as_str();
                tracing::info!(target: TARGET, client = client.as_str(), ?address, usage, "address verified");
            }
            Event::Refreshed { client, session } => {
                tracing::info!(target: TARGET, client = client.as_str(), ?session, "refreshed");
            }
            Event::ReuseDetected { client, session } => {
                tracing::error!(target: TARGET, client = client.as_str(), ?session, "refresh token reused");
            }
            Event::SessionRevoked { client, session } => {
                let client = client.map(|client| client.as_str());
                tracing::info!(target: TARGET, client, ?session, "session revoked");
            }
            Event::AccessTokenRevoked { client, session } => {
                tracing::info!(target: TARGET, client = client.as_str(), ?session, "access token revoked");
            }
            Event::StoreFailed { error } => tracing::error!(target: TARGET, error, "store failed"),
            Event::DirectoryFailed { error } => tracing::error!(target: TARGET, error, "directory failed"),
            Event::Faulted { error } => tracing::error!(target: TARGET, error, "fault"),
        }
    }
}

const TARGET: &str = "otp_grant";
