//! How codes reach their users: over the console, a file, a webhook, a provider or a mail server.

mod attempt;
mod client;
mod console;
mod http;
mod parcel;
mod queue;
mod smtp;
mod text;
mod webhook;

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use otp_grant::server::OtpMessage;
use otp_grant::{AuthorizationServer, Channel, Delivery, DeliveryFailure, Directory, Reply, Store};
use serde_json::json;

use crate::config::{self, At as _, Config, ConfigError};
use crate::metrics::{Deliveries, DeliveryOutcome};
use crate::request_time;
use console::Console;
use http::Provider;
use parcel::Parcel;
pub(crate) use queue::Queues;
use queue::{Carrier, Queue};
use smtp::MailServer;
use text::Texts;
use webhook::Webhook;

/// Delivers codes in every way that is configured.
#[derive(Debug)]
pub(crate) struct Courier {
    console: Option<Arc<Console>>,
    outbox: Option<Mutex<File>>,
    sms: Option<Route>,
    email: Option<Route>,
    deliveries: Deliveries,
}

/// How the messages of one channel are sent.
#[derive(Clone, Debug)]
enum Route {
    Console(Arc<Console>),
    /// A queue of this channel alone: a carrier that is down leaves the other channel its places.
    Queued(Carrier, Queue),
}

impl Courier {
    /// Opens the outbox, and prepares the webhook.
    pub(crate) fn new(config: &Config, queues: &Queues) -> Result<Self, ConfigError> {
        Self::with_outbox(config, queues, |path| append(true).open(path).map(Some))
    }

    /// Tells whether a courier could be made, and creates no file: the user who checks a configuration need not be the
    /// one who runs the host.
    pub(crate) fn check(config: &Config, queues: &Queues) -> Result<(), ConfigError> {
        let open = |path: &Path| match append(false).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.parent().is_some_and(is_folder) => Ok(None),
            opened => opened.map(Some),
        };
        Self::with_outbox(config, queues, open).map(drop)
    }

    fn with_outbox(
        config: &Config,
        queues: &Queues,
        open: impl Fn(&Path) -> io::Result<Option<File>>,
    ) -> Result<Self, ConfigError> {
        let delivery = &config.delivery;
        if delivery.queue.wait.0 >= config.limits.request_time.0 {
            return Err(ConfigError::new("delivery.queue.wait", "a reply has to come within limits.request_time"));
        }
        let open = |path: &Path| {
            let path = config.folder.join(path);
            open(&path)
                .map_err(|error| ConfigError::new("delivery.outbox", format_args!("{}: {error}", path.display())))
        };
        let routes = [&delivery.sms, &delivery.email];
        let prints = delivery.console || routes.into_iter().flatten().any(|route| route.console);
        let console = prints.then(Console::new).transpose().at("delivery.console")?.map(Arc::new);
        let webhook = |entry: &config::Webhook, place: &str| Webhook::new(entry, place, config).map(Arc::new);
        let shared = delivery.webhook.as_ref().map(|entry| webhook(entry, "delivery.webhook")).transpose()?;
        let is_queued = |route: &config::Route| route.http.is_some() || route.smtp.is_some();
        // A webhook writes its own messages.
        let writes = routes.into_iter().flatten().any(is_queued);
        let texts = writes.then(|| Texts::new(config)).transpose()?;
        let route = |entry: &Option<config::Route>, channel: Channel| match (entry, &shared) {
            (Some(entry), _) => Route::new(entry, channel, queues, console.as_ref(), texts.as_ref(), config).map(Some),
            (None, shared) => {
                Ok(shared.clone().map(|webhook| Route::queued(Carrier::Webhook(webhook), queues, channel, config)))
            }
        };
        let (sms, email) = (route(&delivery.sms, Channel::Sms)?, route(&delivery.email, Channel::Email)?);
        let has_copies = delivery.console || delivery.outbox.is_some();
        if !has_copies && sms.is_none() && email.is_none() {
            let what = "codes need a way: console, outbox, webhook, or a route for sms and email";
            return Err(ConfigError::new("[delivery]", what));
        }
        for (name, entry) in &config.auth_sources {
            let (route, place) = match entry.channel.into() {
                Channel::Sms => (&sms, "delivery.sms"),
                Channel::Email => (&email, "delivery.email"),
            };
            if !has_copies && route.is_none() {
                return Err(ConfigError::new(place, format_args!("the codes of the auth source {name} need a way")));
            }
        }
        Ok(Self {
            console: console.filter(|_| delivery.console),
            outbox: delivery.outbox.as_deref().map(open).transpose()?.flatten().map(Mutex::new),
            sms,
            email,
            deliveries: queues.deliveries().clone(),
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
        // A code whose client has got 503 is of no use.
        let sent = if request_time::is_over() { Err(DeliveryFailure::Undeliverable) } else { self.send(message).await };
        match sent {
            Ok(()) => delivery.accepted(),
            Err(failure) => {
                tracing::warn!(?failure, usage = message.usage().as_str(), "not delivered");
                server.delivery_failed(delivery, failure).await
            }
        }
    }

    async fn send(&self, message: &OtpMessage) -> Result<(), DeliveryFailure> {
        let channel = message.address().channel();
        let route = match channel {
            Channel::Sms => &self.sms,
            Channel::Email => &self.email,
        };
        // What can't be sent is not copied, either.
        let queued = match route {
            Some(Route::Queued(carrier, queue)) => {
                let place = queue.take_place().ok_or_else(|| {
                    tracing::error!(channel = queue.channel(), "the queue of messages is full");
                    self.deliveries.ended(channel, DeliveryOutcome::QueueFull);
                    DeliveryFailure::Undeliverable
                })?;
                Some((place, carrier.clone(), Parcel::of(message).ok_or(DeliveryFailure::Undeliverable)?))
            }
            _ => None,
        };
        match (self.hand_over(message, route.as_ref()).await, queued) {
            // The queue counts what becomes of it.
            (Ok(()), Some((place, carrier, parcel))) => place.send(carrier, parcel).await,
            (Ok(()), None) => {
                self.deliveries.ended(channel, DeliveryOutcome::Accepted);
                Ok(())
            }
            (Err(failure), _) => {
                self.deliveries.ended(channel, failure.into());
                Err(failure)
            }
        }
    }

    /// Hands a message to the ways that have no queue.
    async fn hand_over(&self, message: &OtpMessage, route: Option<&Route>) -> Result<(), DeliveryFailure> {
        match route {
            Some(Route::Queued(..)) => {}
            // One line is enough where the console gets every code.
            Some(Route::Console(console)) if self.console.is_none() => console.print(message).await?,
            Some(Route::Console(_)) => {}
            None if self.outbox.is_none() && self.console.is_none() => {
                tracing::error!("there is no way for this channel");
                return Err(DeliveryFailure::Undeliverable);
            }
            None => {}
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

impl Route {
    fn new(
        entry: &config::Route,
        channel: Channel,
        queues: &Queues,
        console: Option<&Arc<Console>>,
        texts: Option<&Texts>,
        config: &Config,
    ) -> Result<Self, ConfigError> {
        let place = match channel {
            Channel::Sms => "delivery.sms",
            Channel::Email => "delivery.email",
        };
        let at = |way: &str| format!("{place}.{way}");
        let texts = || texts.cloned().ok_or_else(|| ConfigError::new(place, "the texts are missing"));
        let queued = |carrier| Self::queued(carrier, queues, channel, config);
        match (entry, console.filter(|_| entry.console)) {
            (config::Route { webhook: None, http: None, smtp: None, .. }, Some(console)) => {
                Ok(Self::Console(Arc::clone(console)))
            }
            (config::Route { console: false, webhook: Some(webhook), http: None, smtp: None }, _) => {
                let webhook = Webhook::new(webhook, &at("webhook"), config)?;
                Ok(queued(Carrier::Webhook(Arc::new(webhook))))
            }
            (config::Route { console: false, webhook: None, http: Some(http), smtp: None }, _) => {
                let provider = Provider::new(http, texts()?, &at("http"), config)?;
                Ok(queued(Carrier::Http(Arc::new(provider))))
            }
            (config::Route { console: false, webhook: None, http: None, smtp: Some(smtp) }, _) => match channel {
                Channel::Email => {
                    let server = MailServer::new(smtp, texts()?, &at("smtp"), config)?;
                    Ok(queued(Carrier::Smtp(Arc::new(server))))
                }
                Channel::Sms => Err(ConfigError::new(at("smtp"), "a mail server sends no SMS")),
            },
            _ => Err(ConfigError::new(place, "a route has one way: console = true, webhook, http or smtp")),
        }
    }

    fn queued(carrier: Carrier, queues: &Queues, channel: Channel, config: &Config) -> Self {
        let queue = queues.of(channel, config.delivery.queue, &carrier);
        Self::Queued(carrier, queue)
    }
}

/// Tells whether a file can be in this folder. No name at all is the present folder.
fn is_folder(path: &Path) -> bool {
    path.as_os_str().is_empty() || path.is_dir()
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
