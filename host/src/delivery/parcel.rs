//! What is delivered: one code for one address.

use std::time::Duration;

use otp_grant::server::OtpMessage;
use otp_grant::{Channel, ClientId, Usage};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::time::Instant;
use zeroize::Zeroizing;

/// A code under way to its address. It stays in memory, and is wiped when dropped.
pub(super) struct Parcel {
    id: String,
    channel: Channel,
    address: Zeroizing<String>,
    code: Zeroizing<String>,
    usage: Usage,
    client: ClientId,
    expires: Instant,
}

impl Parcel {
    /// Copies what a message needs. There is none if the operating system has no random bytes.
    pub(super) fn of(message: &OtpMessage) -> Option<Self> {
        let mut random = [0; 16];
        SystemRandom::new().fill(&mut random).ok()?;
        Some(Self {
            id: hex(&random),
            channel: message.address().channel(),
            address: Zeroizing::new(message.address().as_str().to_owned()),
            code: Zeroizing::new(message.code().expose_secret().to_owned()),
            usage: message.usage(),
            client: message.client().clone(),
            expires: Instant::now() + message.validity(),
        })
    }

    /// A message that is not sent: it shows whether a template works.
    pub(super) fn trial(channel: Channel, address: &str, code: &str, validity: Duration) -> Option<Self> {
        Some(Self {
            id: "00112233445566778899aabbccddeeff".to_owned(),
            channel,
            address: Zeroizing::new(address.to_owned()),
            code: Zeroizing::new(code.to_owned()),
            usage: Usage::Login,
            client: ClientId::new("trial").ok()?,
            expires: Instant::now() + validity,
        })
    }

    /// Random, and the same in every attempt. It reveals nothing to a reader.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn channel(&self) -> &'static str {
        name_of(self.channel)
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn code(&self) -> &str {
        &self.code
    }

    pub(super) fn usage(&self) -> Usage {
        self.usage
    }

    pub(super) fn client(&self) -> &ClientId {
        &self.client
    }

    /// When the code expires. After that, no message is sent.
    pub(super) fn expires(&self) -> Instant {
        self.expires
    }

    /// How long the code is still good.
    pub(super) fn validity(&self) -> Duration {
        self.expires.saturating_duration_since(Instant::now())
    }

    /// The validity in whole minutes. No more is promised than there is, but for a few seconds. Only the last minute is
    /// promised whole: "0 minutes" would say that the code is good for nothing.
    pub(super) fn minutes(&self) -> u64 {
        ((self.seconds() + 5) / 60).max(1)
    }

    /// The validity in whole seconds, rounded up: the code was made a moment ago.
    pub(super) fn seconds(&self) -> u64 {
        let validity = self.validity();
        validity.as_secs() + u64::from(validity.subsec_nanos() > 0)
    }
}

/// The name of a channel.
pub(super) fn name_of(channel: Channel) -> &'static str {
    match channel {
        Channel::Sms => "sms",
        Channel::Email => "email",
    }
}

/// The bytes in lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
