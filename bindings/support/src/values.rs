//! Kinds of values in configurations and documents: durations, secrets, channels and codes.

use std::fmt;
use std::time::Duration;

use otp_grant::Channel;
use otp_grant::otp::CodePolicy;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use zeroize::Zeroizing;

use crate::error::{At, Misplaced};

/// A duration: a number and one of `ms`, `s`, `m`, `h`, `d`, or a number of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl Span {
    fn parse(text: &str) -> Option<Self> {
        let unit_at = text.find(|character: char| !character.is_ascii_digit())?;
        let (number, unit) = text.split_at(unit_at);
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            "d" => 24 * 60 * 60 * 1000,
            _ => return None,
        };
        Some(Self(Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(millis)?)))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpanVisitor)
    }
}

struct SpanVisitor;

impl Visitor<'_> for SpanVisitor {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(DURATION)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
        Span::parse(text).ok_or_else(|| E::custom(format_args!("wrong value, expected {DURATION}")))
    }

    fn visit_u64<E: Error>(self, secs: u64) -> Result<Span, E> {
        // The later arithmetic is in milliseconds.
        match secs.checked_mul(1000) {
            Some(millis) => Ok(Span(Duration::from_millis(millis))),
            None => Err(E::custom("the duration is too long")),
        }
    }

    fn visit_f64<E: Error>(self, secs: f64) -> Result<Span, E> {
        let duration = Duration::try_from_secs_f64(secs).ok().filter(|span| u64::try_from(span.as_millis()).is_ok());
        duration.map(Span).ok_or_else(|| E::custom(format_args!("wrong value, expected {DURATION}")))
    }
}

const DURATION: &str = "a duration as \"30s\", \"5m\", \"24h\" or \"14d\", or a number of seconds";

/// A text that is not shown. It is wiped when dropped.
#[derive(Clone)]
pub(crate) struct Secret(Zeroizing<String>);

impl Secret {
    /// Reveals the text.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    pub(crate) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// A channel, as documents name it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChannelName {
    Sms,
    Email,
}

impl ChannelName {
    pub(crate) fn parse(name: &str) -> Option<Channel> {
        match name {
            SMS => Some(Channel::Sms),
            EMAIL => Some(Channel::Email),
            _ => None,
        }
    }

    pub(crate) fn of(channel: Channel) -> &'static str {
        match channel {
            Channel::Sms => SMS,
            Channel::Email => EMAIL,
        }
    }
}

impl From<ChannelName> for Channel {
    fn from(name: ChannelName) -> Self {
        match name {
            ChannelName::Sms => Self::Sms,
            ChannelName::Email => Self::Email,
        }
    }
}

const SMS: &str = "sms";
const EMAIL: &str = "email";

/// The shape and validity of codes.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Code {
    length: Option<u8>,
    validity: Option<Span>,
    token_validity: Option<Span>,
    alphabet: Option<String>,
}

impl Code {
    /// The policy. Members that are not given are those of `default`.
    pub(crate) fn policy<E: Misplaced>(&self, default: &CodePolicy, place: &str) -> Result<CodePolicy, E> {
        let length = self.length.unwrap_or(default.length());
        let validity = self.validity.map_or(default.validity(), |span| span.0);
        let mut policy = CodePolicy::new(length, validity).at(place)?;
        if let Some(alphabet) = &self.alphabet {
            policy = policy.with_alphabet(alphabet).at(format!("{place}.alphabet"))?;
        }
        if let Some(validity) = self.token_validity {
            policy = policy.with_token_validity(validity.0).at(format!("{place}.token_validity"))?;
        }
        Ok(policy)
    }
}
