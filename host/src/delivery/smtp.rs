//! Delivery of e-mail to a mail server.

use std::net::IpAddr;
use std::str::FromStr as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lettre::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart};
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::transport::smtp::{Error, SMTP_PORT, SUBMISSION_PORT, SUBMISSIONS_PORT};
use otp_grant::DeliveryFailure;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use zeroize::Zeroizing;

use super::attempt::Attempt;
use super::parcel::Parcel;
use super::text::{Texts, issuer_host};
use crate::config::{At as _, Config, ConfigError, Smtp, Tls};

/// A mail server, and the connections to it that are idle.
pub(super) struct MailServer {
    host: String,
    port: u16,
    tls: Tls,
    tls_parameters: Option<TlsParameters>,
    hello: ClientId,
    credentials: Option<Credentials>,
    from: Mailbox,
    texts: Texts,
    timeout: Duration,
    /// One permit per message that is under way.
    connections: Semaphore,
    idle: Idle,
}

impl MailServer {
    pub(super) fn new(entry: &Smtp, texts: Texts, place: &str, config: &Config) -> Result<Self, ConfigError> {
        let at = |member: &str| format!("{place}.{member}");
        let is_loopback = matches!(entry.host.as_str(), "localhost" | "127.0.0.1" | "::1");
        if entry.host.is_empty() || !entry.host.bytes().all(is_of_host_names) {
            return Err(ConfigError::new(at("host"), "the name or the address of a mail server"));
        }
        if entry.tls == Tls::None && !is_loopback {
            return Err(ConfigError::new(
                at("tls"),
                "codes go over TLS; none is for 127.0.0.1, ::1 and localhost alone",
            ));
        }
        if entry.timeout.0.is_zero() {
            return Err(ConfigError::new(at("timeout"), "no server answers in no time"));
        }
        let hello = match &entry.hello {
            Some(name) if name.is_empty() || !name.bytes().all(is_of_host_names) => {
                return Err(ConfigError::new(at("hello"), "a host name"));
            }
            Some(name) => ClientId::Domain(name.clone()),
            // The name of this machine is nobody's business.
            None => client_id(issuer_host(config)?),
        };
        let credentials = match (&entry.user, &entry.password) {
            (None, None) => None,
            (Some(user), Some(password)) => {
                let password = password.read(&at("password"), config)?;
                Some(Credentials::new(user.clone(), password.expose().to_owned()))
            }
            _ => return Err(ConfigError::new(at("user"), "a user has a password, and a password a user")),
        };
        let address = Address::from_str(&entry.from)
            .map_err(|_| ConfigError::new(at("from"), "an address, such as no-reply@example.com"))?;
        if entry.from_name.as_ref().is_some_and(|name| name.chars().any(char::is_control)) {
            return Err(ConfigError::new(at("from_name"), "a name in one line"));
        }
        let from = Mailbox::new(entry.from_name.clone(), address);
        let (tls_parameters, usual_port) = match entry.tls {
            Tls::None => (None, SMTP_PORT),
            Tls::Starttls => (Some(tls_parameters(entry, &at("ca"), config)?), SUBMISSION_PORT),
            Tls::Implicit => (Some(tls_parameters(entry, &at("ca"), config)?), SUBMISSIONS_PORT),
        };
        Ok(Self {
            host: entry.host.clone(),
            port: entry.port.unwrap_or(usual_port),
            tls: entry.tls,
            tls_parameters,
            hello,
            credentials,
            from,
            texts,
            timeout: entry.timeout.0,
            connections: Semaphore::new(entry.connections.get().min(Semaphore::MAX_PERMITS)),
            idle: Idle::default(),
        })
    }

    /// Sends a message once.
    pub(super) async fn attempt(&self, parcel: &Parcel) -> Attempt {
        let Ok(Ok(_permit)) = timeout_at(parcel.expires(), self.connections.acquire()).await else {
            return Attempt::Again(None);
        };
        let Ok(to) = Address::from_str(parcel.address()) else {
            tracing::warn!("an address that can't be written in a mail");
            return Attempt::Refused(DeliveryFailure::AddressRefused);
        };
        let envelope = async {
            if let Some(mut connection) = self.idle.take() {
                match self.address(&mut connection, &to).await {
                    // The server has closed it since.
                    Err(Failed::Lost(_)) => {}
                    addressed => return addressed.map(|()| connection),
                }
            }
            let mut connection = self.connect().await?;
            self.address(&mut connection, &to).await.map(|()| connection)
        };
        let mut connection = match timeout(self.timeout, envelope).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(failed)) => return failed.into_attempt(),
            Err(_) => return Failed::Lost("timeout").into_attempt(),
        };
        // The text says how long the code is good, so it is written at the last moment.
        let (Some(mail), false) = (self.mail(parcel, to), parcel.validity().is_zero()) else {
            return Attempt::Again(None);
        };
        match timeout(self.timeout, connection.message(&mail)).await {
            Ok(Ok(_)) => {
                self.idle.put(connection);
                Attempt::Accepted
            }
            Ok(Err(error)) if error.status().is_some() => failed("the message", &error).into_attempt(),
            // What was lost may be the answer alone.
            Ok(Err(_)) | Err(_) => Attempt::Unknown,
        }
    }

    /// Connects, encrypts and authenticates. Nothing about the message is sent.
    async fn connect(&self) -> Result<AsyncSmtpConnection, Failed> {
        let server = (self.host.as_str(), self.port);
        let at_once = self.tls_parameters.clone().filter(|_| self.tls == Tls::Implicit);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(self.timeout), &self.hello, at_once, None)
                .await
                .map_err(|error| failed("the connection", &error))?;
        if let (Tls::Starttls, Some(parameters)) = (self.tls, &self.tls_parameters) {
            if !connection.can_starttls() {
                tracing::error!("the mail server offers no STARTTLS");
                return Err(Failed::Refused(DeliveryFailure::Undeliverable));
            }
            let upgraded = connection.starttls(parameters.clone(), &self.hello).await;
            upgraded.map_err(|error| failed("STARTTLS", &error))?;
        }
        if let Some(credentials) = &self.credentials {
            let authenticated = connection.auth(DEFAULT_MECHANISMS, credentials).await;
            authenticated.map_err(|error| failed("authentication", &error))?;
        }
        Ok(connection)
    }

    /// Says from whom and to whom, and that the message follows.
    async fn address(&self, connection: &mut AsyncSmtpConnection, to: &Address) -> Result<(), Failed> {
        let mut parameters = Vec::new();
        let is_ascii = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
        if !is_ascii(to) || !is_ascii(&self.from.email) {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                tracing::warn!("the mail server does not take this address: it offers no SMTPUTF8");
                return Err(Failed::Refused(DeliveryFailure::AddressRefused));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        let from = Mail::new(Some(self.from.email.clone()), parameters);
        connection.command(from).await.map_err(|error| failed("MAIL", &error))?;
        let recipient = Rcpt::new(to.clone(), Vec::new());
        connection.command(recipient).await.map_err(|error| match failed("RCPT", &error) {
            Failed::Refused(_) if is_of_address(&error) => Failed::Refused(DeliveryFailure::AddressRefused),
            failed => failed,
        })?;
        connection.command(Data).await.map_err(|error| failed("DATA", &error))?;
        Ok(())
    }

    /// The message as it is sent.
    fn mail(&self, parcel: &Parcel, to: Address) -> Option<Vec<u8>> {
        let text = self.texts.email(parcel)?;
        let mail = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(text.subject().expose_secret())
            .date_now()
            // The same in every attempt, and without the name of this machine.
            .message_id(Some(format!("<{}@{}>", parcel.id(), self.from.email.domain())));
        let mail = text.headers().into_iter().fold(mail, |mail, (name, value)| {
            match HeaderName::new_from_ascii(name.to_owned()) {
                Ok(name) => mail.raw_header(HeaderValue::new(name, value.to_owned())),
                Err(_) => mail,
            }
        });
        let [plain, html] = [text.text(), text.html()].map(|part| part.expose_secret().to_owned());
        let mail = mail.multipart(MultiPart::alternative_plain_html(plain, html));
        mail.map(|mail| mail.formatted()).ok()
    }
}

fn tls_parameters(entry: &Smtp, place: &str, config: &Config) -> Result<TlsParameters, ConfigError> {
    let builder = TlsParameters::builder(entry.host.clone());
    let builder = match &entry.ca {
        None => builder,
        Some(path) => {
            let path = config.folder.join(path);
            let said =
                |what: &dyn std::fmt::Display| ConfigError::new(place, format_args!("{}: {what}", path.display()));
            let pem = std::fs::read(&path).map_err(|error| said(&error))?;
            let authority = Certificate::from_pem(&pem).map_err(|_| said(&"not certificates in PEM"))?;
            if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
                return Err(said(&"there is no certificate"));
            }
            builder.certificate_store(CertificateStore::None).add_root_certificate(authority)
        }
    };
    builder.build_rustls().at(place)
}

/// Why a message was not sent. The server certainly does not have it.
enum Failed {
    Refused(DeliveryFailure),
    /// The server said so, and may take the message later.
    Deferred,
    /// There was no answer.
    Lost(&'static str),
}

impl Failed {
    fn into_attempt(self) -> Attempt {
        match self {
            Self::Refused(failure) => Attempt::Refused(failure),
            Self::Deferred => Attempt::Again(None),
            Self::Lost(at) => {
                tracing::warn!(at, "the mail server can't be reached");
                Attempt::Again(None)
            }
        }
    }
}

/// Logs an answer of the server: its code alone, since its text can repeat the address.
fn failed(at: &'static str, error: &Error) -> Failed {
    match error.status() {
        Some(code) => {
            tracing::warn!(at, %code, "the mail server refused a message");
            if error.is_permanent() { Failed::Refused(DeliveryFailure::Undeliverable) } else { Failed::Deferred }
        }
        None if error.is_client() => {
            tracing::error!(at, "the mail server lacks what the configuration asks for");
            Failed::Refused(DeliveryFailure::Undeliverable)
        }
        None => Failed::Lost(at),
    }
}

/// Tells whether an answer to RCPT is about the mailbox, not about this host.
fn is_of_address(error: &Error) -> bool {
    let code = error.status().map(|code| code.to_string()).unwrap_or_default();
    // The source of the error is what the server said.
    let said = std::error::Error::source(error).map(|said| Zeroizing::new(said.to_string()));
    says_address(&code, said.as_deref().map_or("", String::as_str))
}

/// The enhanced status (RFC 3463) decides, if there is one: 5.1 is about the address, except for two that are about the
/// sender's, and 5.2 is about the mailbox. 550 alone can also mean that this host may not relay (5.7.1).
fn says_address(code: &str, said: &str) -> bool {
    let word = said.split_ascii_whitespace().next().unwrap_or_default();
    let parts: Vec<&str> = word.split('.').collect();
    let is_number = |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    match parts.as_slice() {
        [class, subject, detail] if parts.iter().all(is_number) => match (*class, *subject) {
            ("5", "1") => !matches!(*detail, "7" | "8"),
            ("5", "2") => true,
            _ => false,
        },
        _ => matches!(code, "550" | "551" | "553"),
    }
}

/// How a host of this name greets: an address is written in brackets (RFC 5321 section 4.1.3).
fn client_id(host: String) -> ClientId {
    match host.trim_matches(['[', ']']).parse() {
        Ok(IpAddr::V4(address)) => ClientId::Ipv4(address),
        Ok(IpAddr::V6(address)) => ClientId::Ipv6(address),
        Err(_) => ClientId::Domain(host),
    }
}

fn is_of_host_names(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':' | b'_')
}

/// Connections that have sent a message, and can send another one.
#[derive(Default)]
struct Idle(Mutex<Vec<(AsyncSmtpConnection, Instant)>>);

impl Idle {
    fn put(&self, connection: AsyncSmtpConnection) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((connection, Instant::now()));
    }

    /// The one that was used last. Those that were idle for too long are closed.
    fn take(&self) -> Option<AsyncSmtpConnection> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, since)| since.elapsed() < KEPT_IDLE);
        idle.pop().map(|(connection, _)| connection)
    }
}

impl std::fmt::Debug for MailServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MailServer").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

const KEPT_IDLE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_of_the_address_if_its_enhanced_status_says_so() {
        for (code, said, expected) in [
            ("550", "5.1.1 <ada@example.com>: no such user", true),
            ("550", "5.2.1 mailbox disabled", true),
            ("554", "5.1.10 no", true),
            ("550", "5.1.8 the sender's domain does not exist", false),
            ("550", "5.7.1 relaying denied", false),
            ("550", "5.7.26 this mail is not authenticated", false),
            ("553", "5.5.4 no", false),
            ("550", "5.1.1\nsecond line", true),
            ("550", "no such user", true),
            ("551", "", true),
            ("553", "5.1 no", true),
            ("550", "127.0.0.1 is not welcome", true),
            ("554", "no", false),
            ("552", "5 no", false),
        ] {
            assert_eq!(says_address(code, said), expected, "{code} {said}");
        }
    }

    #[test]
    fn an_address_as_a_name_is_in_brackets() {
        for (host, expected) in [("login.example.com", "login.example.com"), ("127.0.0.1", "[127.0.0.1]")] {
            assert_eq!(client_id(host.to_owned()).to_string(), expected);
        }
        assert_eq!(client_id("[::1]".to_owned()).to_string(), "[IPv6:::1]");
    }
}
