//! Delivery by a service of the operator's: one POST of JSON per code. A signed request is repeated while the code is
//! good.

mod signature;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use otp_grant::DeliveryFailure;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Request, RequestBuilder, Response, StatusCode, Url};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::attempt::Attempt;
use super::client;
use super::parcel::Parcel;
use crate::config::{self, At as _, Config, ConfigError, read_delivery_url};
use signature::Secrets;

/// A service that sends messages.
#[derive(Debug)]
pub(super) struct Webhook {
    client: Client,
    url: Url,
    authorization: Option<HeaderValue>,
    /// What signs the requests. A service that gets signed requests knows a repeated one by its `webhook-id`. Any other
    /// service gets each code once.
    secrets: Option<Secrets>,
    /// One permit per message that is under way.
    connections: Semaphore,
    timeout: Duration,
}

impl Webhook {
    pub(super) fn new(entry: &config::Webhook, place: &str, config: &Config) -> Result<Self, ConfigError> {
        let at_url = format!("{place}.url");
        let url = read_delivery_url(&at_url, &entry.url.read(&at_url, config)?)?;
        if entry.timeout.0.is_zero() {
            return Err(ConfigError::new(format!("{place}.timeout"), "no service answers in no time"));
        }
        let secrets = Secrets::read(&entry.sign, &format!("{place}.sign"), config)?;
        let connections = entry.connections.get().min(Semaphore::MAX_PERMITS);
        Ok(Self {
            client: client::client(url.scheme() == "https", connections).build().at(place)?,
            url,
            authorization: authorization(entry, &format!("{place}.token"), config)?,
            secrets,
            connections: Semaphore::new(connections),
            timeout: entry.timeout.0,
        })
    }

    /// Posts a code once. Waiting for other messages counts towards the time of the attempt.
    pub(super) async fn attempt(&self, parcel: &Parcel) -> Attempt {
        let until = Instant::now() + self.timeout;
        let Ok(Ok(_permit)) = timeout_at(until, self.connections.acquire()).await else {
            return self.not_sent("connections");
        };
        if parcel.validity().is_zero() {
            return self.not_sent("validity");
        }
        let Some(request) = self.request(parcel) else {
            tracing::error!("a message that can't be written as a request");
            return Attempt::Refused(DeliveryFailure::Undeliverable);
        };
        match timeout_at(until, self.client.execute(request)).await {
            Ok(Ok(mut response)) => {
                let attempt = self.answered(&response);
                client::drop_body(&mut response).await;
                attempt
            }
            Ok(Err(error)) if error.is_connect() => self.not_sent("connect"),
            Ok(Err(_)) => self.may_be_sent("other"),
            Err(_) => self.may_be_sent("timeout"),
        }
    }

    fn request(&self, parcel: &Parcel) -> Option<Request> {
        let body = json!({
            "to": parcel.address(),
            "channel": parcel.channel(),
            "code": parcel.code(),
            "usage": parcel.usage().as_str(),
            "valid_for": parcel.seconds(),
        });
        let body = body.to_string();
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json");
        let request = match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value.clone()),
            None => request,
        };
        let request = match &self.secrets {
            Some(secrets) => signed(request, secrets, parcel.id(), &body)?,
            None => request,
        };
        request.body(body).build().ok()
    }

    /// What an answer means for the message.
    fn answered(&self, response: &Response) -> Attempt {
        let status = response.status();
        if status.is_success() {
            return Attempt::Accepted;
        }
        let retry_after = client::retry_after(response.headers());
        tracing::warn!(status = status.as_u16(), "the webhook refused a message");
        let refused = match status {
            StatusCode::UNPROCESSABLE_ENTITY => DeliveryFailure::AddressRefused,
            StatusCode::TOO_MANY_REQUESTS if self.secrets.is_none() || retry_after.is_none() => {
                DeliveryFailure::InsufficientQuota
            }
            _ if self.secrets.is_some() && may_pass(status) => return Attempt::Again(retry_after),
            _ => DeliveryFailure::Undeliverable,
        };
        Attempt::Refused(refused)
    }

    /// The service certainly does not have the message.
    fn not_sent(&self, kind: &'static str) -> Attempt {
        // The error itself is not logged: it shows the URL, which can be a secret.
        tracing::warn!(kind, "the webhook can't be reached");
        match self.secrets {
            Some(_) => Attempt::Again(None),
            None => Attempt::Refused(DeliveryFailure::Undeliverable),
        }
    }

    /// The service may have the message, and knows it again by its identifier.
    fn may_be_sent(&self, kind: &'static str) -> Attempt {
        tracing::warn!(kind, "the webhook can't be reached");
        if self.secrets.is_some() { Attempt::Again(None) } else { Attempt::Unknown }
    }
}

fn authorization(entry: &config::Webhook, place: &str, config: &Config) -> Result<Option<HeaderValue>, ConfigError> {
    let Some(token) = &entry.token else { return Ok(None) };
    let token = token.read(place, config)?;
    let value = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
    let mut value = value.map_err(|_| ConfigError::new(place, "a character that no header may have"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// Adds the headers of Standard Webhooks. The identifier is the same in each attempt, and the time is that of this
/// attempt.
fn signed(request: RequestBuilder, secrets: &Secrets, id: &str, body: &str) -> Option<RequestBuilder> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    let signatures = secrets.sign(id, seconds, body);
    Some(
        request
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds.to_string())
            .header("webhook-signature", signatures),
    )
}

/// Tells whether the same request can succeed later.
fn may_pass(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}
