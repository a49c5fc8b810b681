//! Delivery by a service of the host's: one POST of JSON per code, never repeated.

use std::time::Duration;

use otp_grant::server::OtpMessage;
use otp_grant::{Channel, DeliveryFailure};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::config::{At as _, Config, ConfigError};

/// A service that sends messages.
#[derive(Debug)]
pub(super) struct Webhook {
    client: Client,
    url: Url,
    authorization: Option<HeaderValue>,
    /// One permit per message that is under way.
    connections: Semaphore,
    timeout: Duration,
}

impl Webhook {
    pub(super) fn new(entry: &crate::config::Webhook, place: &str, config: &Config) -> Result<Self, ConfigError> {
        let (at_url, at_token) = (format!("{place}.url"), format!("{place}.token"));
        let url = entry.url.read(&at_url, config)?;
        // The parser's own message could show a part of the URL, and that part can be a secret.
        let url = Url::parse(url.expose()).map_err(|_| ConfigError::new(&at_url, "not a URL"))?;
        let is_loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback) {
            return Err(ConfigError::new(&at_url, "codes go over https; http is for 127.0.0.1 and localhost alone"));
        }
        if entry.timeout.0.is_zero() {
            return Err(ConfigError::new(format!("{place}.timeout"), "no service answers in no time"));
        }
        let token = entry.token.as_ref().map(|token| token.read(&at_token, config)).transpose()?;
        let authorization = token.map(|token| {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
                .map_err(|_| ConfigError::new(&at_token, "a character that no header may have"))?;
            value.set_sensitive(true);
            Ok(value)
        });
        // A redirect could carry codes to another server.
        let connections = entry.connections.get().min(Semaphore::MAX_PERMITS);
        let client = Client::builder()
            .redirect(Policy::none())
            .timeout(entry.timeout.0)
            .pool_max_idle_per_host(connections)
            .pool_idle_timeout(KEPT_IDLE);
        // A proxy of the environment would carry the codes off the machine without TLS.
        let client = if url.scheme() == "http" { client.no_proxy() } else { client };
        Ok(Self {
            client: client.build().at(place)?,
            url,
            authorization: authorization.transpose()?,
            connections: Semaphore::new(connections),
            timeout: entry.timeout.0,
        })
    }

    /// Posts a code. 2xx: the service accepted it. 422: it refused the address. 429: no quota is left. Any other
    /// status, or no answer in time: the code was not delivered.
    pub(super) async fn send(&self, message: &OtpMessage) -> Result<(), DeliveryFailure> {
        let channel = match message.address().channel() {
            Channel::Sms => "sms",
            Channel::Email => "email",
        };
        let body = json!({
            "to": message.address().as_str(),
            "channel": channel,
            "code": message.code().expose_secret(),
            "usage": message.usage().as_str(),
            "valid_for": message.validity().as_secs(),
        });
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json");
        let request = match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value.clone()),
            None => request,
        };
        let posting = async {
            let permit = self.connections.acquire().await;
            let answer = request.body(body.to_string()).send().await;
            (permit, answer)
        };
        // Waiting for other messages counts towards the time of this message.
        let Ok((_permit, answer)) = timeout(self.timeout, posting).await else { return Err(unreachable("timeout")) };
        match answer {
            Ok(response) => {
                let status = response.status();
                finish(response).await;
                said(status)
            }
            Err(error) if error.is_timeout() => Err(unreachable("timeout")),
            Err(error) if error.is_connect() => Err(unreachable("connect")),
            Err(_) => Err(unreachable("other")),
        }
    }
}

/// What a status means for the message.
fn said(status: StatusCode) -> Result<(), DeliveryFailure> {
    if status.is_success() {
        return Ok(());
    }
    tracing::warn!(status = status.as_u16(), "the webhook refused a message");
    Err(match status {
        StatusCode::UNPROCESSABLE_ENTITY => DeliveryFailure::AddressRefused,
        StatusCode::TOO_MANY_REQUESTS => DeliveryFailure::InsufficientQuota,
        _ => DeliveryFailure::Undeliverable,
    })
}

/// The error itself is not logged: it shows the URL, which can be a secret.
fn unreachable(kind: &'static str) -> DeliveryFailure {
    tracing::warn!(kind, "the webhook can't be reached");
    DeliveryFailure::Undeliverable
}

/// Reads the rest of an answer. Its connection can then be used again. A connection whose answer is slow to end is
/// given up.
async fn finish(mut response: Response) {
    let reading = async {
        let mut read = 0;
        while let Ok(Some(chunk)) = response.chunk().await {
            read += chunk.len();
            if read > MOST_READ {
                break;
            }
        }
    };
    let _ = timeout(READ_WITHIN, reading).await;
}

/// Shorter than common servers keep an idle connection (5 seconds): they do not close it while a code goes over it.
const KEPT_IDLE: Duration = Duration::from_secs(4);
const MOST_READ: usize = 64 * 1024;
const READ_WITHIN: Duration = Duration::from_millis(100);
