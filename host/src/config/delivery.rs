//! How messages are delivered: the members of `[delivery]` and `[messages]`.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::Deserialize;

use super::{Source, Span};

/// How codes are delivered. The console and the outbox get every code. A channel without a route has the webhook.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Delivery {
    #[serde(default)]
    pub(crate) console: bool,
    pub(crate) outbox: Option<PathBuf>,
    pub(crate) webhook: Option<Webhook>,
    pub(crate) sms: Option<Route>,
    pub(crate) email: Option<Route>,
    #[serde(default)]
    pub(crate) queue: Queue,
}

impl Delivery {
    /// How many connections the delivery of messages can have at once.
    pub(crate) fn connections(&self) -> usize {
        let of_route = |route: &Route| {
            let http = route.http.as_ref().map(|http| http.connections);
            let smtp = route.smtp.as_ref().map(|smtp| smtp.connections);
            let webhook = route.webhook.as_ref().map(|webhook| webhook.connections);
            [http, smtp, webhook].into_iter().flatten().map(NonZeroUsize::get).sum::<usize>()
        };
        let webhook = self.webhook.as_ref().map_or(0, |webhook| webhook.connections.get());
        webhook + self.routes().map(of_route).sum::<usize>()
    }

    pub(super) fn routes(&self) -> impl Iterator<Item = &Route> {
        self.sms.iter().chain(&self.email)
    }
}

/// How the messages of one channel are delivered: in one way.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Route {
    #[serde(default)]
    pub(crate) console: bool,
    pub(crate) webhook: Option<Webhook>,
    pub(crate) http: Option<Http>,
    pub(crate) smtp: Option<Smtp>,
}

/// The messages that were accepted and are not sent yet.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Queue {
    pub(crate) length: NonZeroUsize,
    /// How long the reply to the client waits for the first attempt.
    pub(crate) wait: Span,
}

impl Default for Queue {
    fn default() -> Self {
        Self { length: NonZeroUsize::MIN.saturating_add(999), wait: Span::of_secs::<0>() }
    }
}

/// What messages say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Messages {
    /// The name of the application. Defaults to the host name of the issuer.
    pub(crate) application: Option<String>,
    /// The host name of the page on which codes are entered. Defaults to that of the issuer.
    pub(crate) origin: Option<String>,
    /// The language of clients that have no locale of their own. Defaults to English.
    pub(crate) locale: Option<String>,
    /// The Android app that reads the SMS.
    pub(crate) app_hash: Option<String>,
    /// Whether an SMS may be charged as two.
    #[serde(default)]
    pub(crate) two_segments: bool,
}

/// The service that sends messages.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Webhook {
    pub(crate) url: Source,
    /// Sent as a bearer token.
    pub(crate) token: Option<Source>,
    /// The secrets that sign each request, one signature each. With one of them, failed requests are repeated.
    #[serde(default)]
    pub(crate) sign: Vec<Source>,
    #[serde(default = "Span::of_secs::<5>")]
    pub(crate) timeout: Span,
    /// How many messages can be under way at once. More messages wait, within the time that each can take.
    #[serde(default = "at_most::<32>")]
    pub(crate) connections: NonZeroUsize,
}

/// A mail server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Smtp {
    pub(crate) host: String,
    /// Defaults to the port of the kind of TLS.
    pub(crate) port: Option<u16>,
    #[serde(default)]
    pub(crate) tls: Tls,
    /// A PEM file of the only authorities that may vouch for the server.
    pub(crate) ca: Option<PathBuf>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Source>,
    /// The address of the sender.
    pub(crate) from: String,
    /// The name that mail programs show for the sender.
    pub(crate) from_name: Option<String>,
    /// The name that the host gives itself. Defaults to the host name of the issuer.
    pub(crate) hello: Option<String>,
    #[serde(default = "Span::of_secs::<10>")]
    pub(crate) timeout: Span,
    #[serde(default = "at_most::<4>")]
    pub(crate) connections: NonZeroUsize,
}

/// When a connection to a mail server is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tls {
    /// From its first byte.
    #[default]
    Implicit,
    /// From STARTTLS on, before anything is sent. A server without STARTTLS gets nothing.
    Starttls,
    /// Never. For this machine alone.
    None,
}

/// The HTTP interface of a provider. Texts that are written in the file are templates, and so are `url` and `json`
/// wherever they are read from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Http {
    pub(crate) url: Source,
    pub(crate) method: Option<String>,
    #[serde(default)]
    pub(crate) query: BTreeMap<String, Source>,
    pub(crate) form: Option<BTreeMap<String, Source>>,
    pub(crate) json: Option<Source>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, Source>,
    pub(crate) basic: Option<Basic>,
    pub(crate) bearer: Option<Source>,
    pub(crate) sign: Option<Scheme>,
    pub(crate) access_key: Option<AccessKey>,
    #[serde(default)]
    pub(crate) answers: Answers,
    #[serde(default = "Span::of_secs::<10>")]
    pub(crate) timeout: Span,
    #[serde(default = "at_most::<32>")]
    pub(crate) connections: NonZeroUsize,
}

/// HTTP Basic authentication.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Basic {
    pub(crate) user: Source,
    pub(crate) password: Source,
}

/// The key that signs requests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessKey {
    pub(crate) id: Source,
    pub(crate) secret: Source,
}

/// How requests are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum Scheme {
    /// ACS3-HMAC-SHA256.
    #[serde(rename = "alibaba-acs3")]
    AlibabaAcs3,
    /// TC3-HMAC-SHA256.
    #[serde(rename = "tencent-tc3")]
    TencentTc3,
}

/// What a provider's answers mean: their statuses, and the codes in their bodies.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Answers {
    /// Defaults to 200 to 299.
    pub(crate) accepted: Option<Vec<u16>>,
    pub(crate) refused: Vec<u16>,
    /// Defaults to 402.
    pub(crate) quota: Option<Vec<u16>>,
    /// Defaults to 429 and 503. After any other status from 500 on the provider may have the message.
    pub(crate) again: Option<Vec<u16>>,
    /// Where the code is in a JSON body: JSON Pointers, of which the first that leads to a value counts.
    pub(crate) code_at: Vec<String>,
    pub(crate) accepted_codes: Vec<String>,
    pub(crate) refused_codes: Vec<String>,
    pub(crate) quota_codes: Vec<String>,
    pub(crate) again_codes: Vec<String>,
}

fn at_most<const MOST: usize>() -> NonZeroUsize {
    NonZeroUsize::new(MOST).unwrap_or(NonZeroUsize::MIN)
}
