//! How codes reach their users: over the console, a file or a webhook.

mod console;
mod webhook;

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use otp_grant::server::OtpMessage;
use otp_grant::{AuthorizationServer, Delivery, DeliveryFailure, Directory, Reply, Store};
use serde_json::json;

use crate::config::{At as _, Config, ConfigError};
use console::Console;
use webhook::Webhook;

/// Delivers codes in every way that is configured.
#[derive(Debug)]
pub(crate) struct Courier {
    console: Option<Console>,
    outbox: Option<Mutex<File>>,
    webhook: Option<Webhook>,
}

impl Courier {
    /// Opens the outbox, and prepares the webhook.
    pub(crate) fn new(config: &Config) -> Result<Self, ConfigError> {
        Self::with_outbox(config, |path| append(true).open(path).map(Some))
    }

    /// Tells whether a courier could be made, and creates no file: the user who checks a configuration need not be the
    /// one who runs the host.
    pub(crate) fn check(config: &Config) -> Result<(), ConfigError> {
        let open = |path: &Path| match append(false).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.parent().is_some_and(Path::is_dir) => {
                Ok(None)
            }
            opened => opened.map(Some),
        };
        Self::with_outbox(config, open).map(drop)
    }

    fn with_outbox(config: &Config, open: impl Fn(&Path) -> io::Result<Option<File>>) -> Result<Self, ConfigError> {
        let delivery = &config.delivery;
        if !delivery.console && delivery.outbox.is_none() && delivery.webhook.is_none() {
            return Err(ConfigError::new("[delivery]", "codes need a way: console, outbox or webhook"));
        }
        let open = |path: &Path| {
            let path = config.folder.join(path);
            open(&path)
                .map_err(|error| ConfigError::new("delivery.outbox", format_args!("{}: {error}", path.display())))
        };
        Ok(Self {
            console: delivery.console.then(Console::new).transpose().at("delivery.console")?,
            outbox: delivery.outbox.as_deref().map(open).transpose()?.flatten().map(Mutex::new),
            webhook: delivery.webhook.as_ref().map(|webhook| Webhook::new(webhook, config)).transpose()?,
        })
    }

    /// Delivers a code, and returns the reply that tells the client the result.
    ///
    /// It does not ask whether the address has a user, so it takes as long for an address with a user as for one
    /// without. After a failure the client can send to the address again at once, or the reply says when.
    pub(crate) async fn deliver<S: Store, D: Directory>(
        &self,
        server: &AuthorizationServer<S, D>,
        delivery: Delivery,
    ) -> Reply {
        let Some(message) = delivery.message() else { return delivery.accepted() };
        match self.send(message).await {
            Ok(()) => delivery.accepted(),
            Err(failure) => {
                tracing::warn!(?failure, usage = message.usage().as_str(), "not delivered");
                server.delivery_failed(delivery, failure).await
            }
        }
    }

    async fn send(&self, message: &OtpMessage) -> Result<(), DeliveryFailure> {
        if let Some(webhook) = &self.webhook {
            webhook.send(message).await?;
        }
        if let Some(outbox) = &self.outbox {
            write(outbox, message)?;
        }
        if let Some(console) = &self.console {
            console.print(message).await?;
        }
        Ok(())
    }
}

/// Only the owner of the file can read the codes.
fn append(create: bool) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.append(true).create(create).mode(0o600);
    options
}

/// Writes in one call, without a buffer: the reader of the file sees whole lines, and sees them before the reply.
fn write(outbox: &Mutex<File>, message: &OtpMessage) -> Result<(), DeliveryFailure> {
    let (to, code) = (message.address().as_str(), message.code().expose_secret());
    let usage = message.usage();
    let line = format!("{{\"to\":{},\"code\":{},\"usage\":{}}}\n", json!(to), json!(code), json!(usage.as_str()));
    let mut file = outbox.lock().unwrap_or_else(PoisonError::into_inner);
    file.write_all(line.as_bytes()).map_err(|error| {
        tracing::error!(%error, "the outbox can't be written");
        DeliveryFailure::Undeliverable
    })
}
