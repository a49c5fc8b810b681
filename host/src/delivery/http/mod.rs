//! Delivery by the HTTP interface of a provider, as the configuration describes it.

mod answer;
mod request;
mod sign;
mod template;

use std::time::SystemTime;

use otp_grant::DeliveryFailure;
use reqwest::{Client, Response};
use tokio::sync::Semaphore;
use tokio::time::timeout_at;

use super::attempt::Attempt;
use super::client;
use super::parcel::Parcel;
use super::text::Texts;
use crate::config::{At as _, Config, ConfigError, Http};
use answer::Meanings;
use request::RequestTemplate;

/// A provider that sends messages.
#[derive(Debug)]
pub(super) struct Provider {
    client: Client,
    request: RequestTemplate,
    meanings: Meanings,
    texts: Texts,
    /// One permit per message that is under way.
    connections: Semaphore,
}

impl Provider {
    pub(super) fn new(entry: &Http, texts: Texts, place: &str, config: &Config) -> Result<Self, ConfigError> {
        if entry.timeout.0.is_zero() {
            return Err(ConfigError::new(format!("{place}.timeout"), "no provider answers in no time"));
        }
        let connections = entry.connections.get().min(Semaphore::MAX_PERMITS);
        let request = RequestTemplate::new(entry, &texts, place, config)?;
        let client = client::client(request.is_encrypted(), connections)
            .timeout(entry.timeout.0)
            // A message that could not even be connected for is certainly not sent.
            .connect_timeout(entry.timeout.0 / 2);
        Ok(Self {
            client: client.build().at(place)?,
            request,
            meanings: Meanings::new(&entry.answers, place)?,
            texts,
            connections: Semaphore::new(connections),
        })
    }

    /// Sends a message once.
    pub(super) async fn attempt(&self, parcel: &Parcel) -> Attempt {
        let Ok(Ok(_permit)) = timeout_at(parcel.expires(), self.connections.acquire()).await else {
            return Attempt::Again(None);
        };
        if parcel.validity().is_zero() {
            return Attempt::Again(None);
        }
        let Some(request) = self.request.fill(parcel, &self.texts, SystemTime::now()) else {
            tracing::error!("a message that can't be written as a request");
            return Attempt::Refused(DeliveryFailure::Undeliverable);
        };
        match self.client.execute(request).await {
            Ok(response) => self.answered(response, parcel).await,
            Err(error) if error.is_connect() => unreachable("connect", Attempt::Again(None)),
            // The provider may have read the request.
            Err(error) if error.is_timeout() => unreachable("timeout", Attempt::Unknown),
            Err(_) => unreachable("other", Attempt::Unknown),
        }
    }

    async fn answered(&self, mut response: Response, parcel: &Parcel) -> Attempt {
        let status = response.status();
        let retry_after = client::retry_after(response.headers());
        let body = if self.meanings.need_bodies() {
            client::body(&mut response).await
        } else {
            client::drop_body(&mut response).await;
            Vec::new()
        };
        self.meanings.of(status, retry_after, &body, parcel)
    }
}

/// The error itself is not logged: it shows the URL, which can be a secret.
fn unreachable(kind: &'static str, attempt: Attempt) -> Attempt {
    tracing::warn!(kind, "the provider can't be reached");
    attempt
}
