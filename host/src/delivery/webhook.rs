//! Delivery by a service of the host's: one POST of JSON a code, never repeated.

use otp_grant::{Channel, Delivery, DeliveryFailure};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use serde_json::json;

use crate::config::{At as _, Config, ConfigError};

/// A service that sends messages.
#[derive(Debug)]
pub(super) struct Webhook {
    client: Client,
    url: Url,
    authorization: Option<HeaderValue>,
}

impl Webhook {
    pub(super) fn new(entry: &crate::config::Webhook, config: &Config) -> Result<Self, ConfigError> {
        let place = "delivery.webhook.url";
        let url = entry.url.read(place, &config.folder)?;
        // The parser's own message could show a part of the URL, and that may be a secret.
        let url = Url::parse(url.expose()).map_err(|_| ConfigError::new(place, "not a URL"))?;
        let is_loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback) {
            return Err(ConfigError::new(place, "codes go over https; http is for 127.0.0.1 and localhost alone"));
        }
        let place = "delivery.webhook.token";
        let token = entry.token.as_ref().map(|token| token.read(place, &config.folder)).transpose()?;
        let authorization = token.map(|token| {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
                .map_err(|_| ConfigError::new(place, "a character that no header may have"))?;
            value.set_sensitive(true);
            Ok(value)
        });
        // A redirect could carry codes to somebody else.
        let client = Client::builder().redirect(Policy::none()).timeout(entry.timeout.0);
        // Through the proxy of the environment they would leave the machine, and without TLS.
        let client = if url.scheme() == "http" { client.no_proxy() } else { client };
        Ok(Self { client: client.build().at("[delivery.webhook]")?, url, authorization: authorization.transpose()? })
    }

    /// Posts a code. 2xx: it was accepted. 422: the address was refused. 429: no quota is left. Anything else, and no
    /// answer in time: it was not delivered.
    pub(super) async fn send(&self, delivery: &Delivery) -> Result<(), DeliveryFailure> {
        let channel = match delivery.address().channel() {
            Channel::Sms => "sms",
            Channel::Email => "email",
        };
        let body = json!({
            "to": delivery.address().as_str(),
            "channel": channel,
            "code": delivery.code().expose_secret(),
            "usage": delivery.usage().as_str(),
            "valid_for": delivery.validity().as_secs(),
        });
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json");
        let request = match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value.clone()),
            None => request,
        };
        match request.body(body.to_string()).send().await {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => {
                tracing::warn!(status = response.status().as_u16(), "the webhook refused a message");
                Err(match response.status() {
                    StatusCode::UNPROCESSABLE_ENTITY => DeliveryFailure::AddressRefused,
                    StatusCode::TOO_MANY_REQUESTS => DeliveryFailure::InsufficientQuota,
                    _ => DeliveryFailure::Undeliverable,
                })
            }
            Err(error) => {
                // Its URL may be a secret.
                let error = error.without_url();
                let kind = if error.is_timeout() {
                    "timeout"
                } else if error.is_connect() {
                    "connect"
                } else {
                    "other"
                };
                tracing::warn!(kind, "the webhook can't be reached");
                Err(DeliveryFailure::Undeliverable)
            }
        }
    }
}
