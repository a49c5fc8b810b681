//! The send guard: the members of `[guard]`, and the budget of a client.

use std::num::{NonZeroU16, NonZeroU32};

use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST};
use axum::http::{HeaderMap, HeaderName};
use otp_grant::guard::{Countries, GuardMode, MessageBudget, SendGuard, Threshold, Verdict};
use serde::Deserialize;

use super::{At, Config, ConfigError};

/// The send guard. What the file does not give has the crate's default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Guard {
    #[serde(default)]
    pub(crate) mode: GuardModeName,
    /// The calling codes, and area codes inside `+1`, that messages are sent to.
    pub(crate) countries: Option<Vec<String>>,
    /// Of these countries, the codes that messages are not sent to.
    #[serde(default)]
    pub(crate) except: Vec<String>,
    #[serde(default)]
    pub(crate) block: Counts,
    #[serde(default)]
    pub(crate) country: Counts,
    pub(crate) email_domain: Option<DomainCounts>,
    pub(crate) shards: Option<NonZeroU16>,
    pub(crate) has_challenge: Option<bool>,
    /// The header with the verdict of the proxy in front.
    pub(crate) verdict_header: Option<String>,
}

/// Whether the send guard counts and refuses, as the file says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GuardModeName {
    #[default]
    Off,
    Observe,
    Enforce,
}

impl From<GuardModeName> for GuardMode {
    fn from(name: GuardModeName) -> Self {
        match name {
            GuardModeName::Off => Self::Off,
            GuardModeName::Observe => Self::Observe,
            GuardModeName::Enforce => Self::Enforce,
        }
    }
}

/// What a destination must earn. Counts that the file does not give have the crate's default.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Counts {
    per_day: Option<NonZeroU32>,
    per_hour: Option<NonZeroU32>,
    verified_percent: Option<u32>,
}

impl Counts {
    fn threshold(self, default: Threshold) -> Threshold {
        let per_day = self.per_day.unwrap_or(default.per_day);
        let mut threshold = Threshold::new(per_day, self.per_hour.unwrap_or(default.per_hour));
        threshold.verified_percent = self.verified_percent.unwrap_or(default.verified_percent);
        threshold
    }
}

/// What an e-mail domain must earn. There is no default.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DomainCounts {
    per_day: NonZeroU32,
    per_hour: NonZeroU32,
    verified_percent: Option<u32>,
}

impl DomainCounts {
    fn threshold(self) -> Threshold {
        let mut threshold = Threshold::new(self.per_day, self.per_hour);
        threshold.verified_percent = self.verified_percent.unwrap_or(threshold.verified_percent);
        threshold
    }
}

/// How many messages a client can send.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budget {
    per_hour: NonZeroU32,
    per_day: NonZeroU32,
}

impl From<Budget> for MessageBudget {
    fn from(budget: Budget) -> Self {
        Self::new(budget.per_hour, budget.per_day)
    }
}

impl Guard {
    /// Sets what the file gives.
    pub(super) fn set(&self, guard: &mut SendGuard) -> Result<(), ConfigError> {
        guard.mode = self.mode.into();
        guard.countries = self.countries()?;
        for (place, counts, threshold) in
            [("guard.block", self.block, &mut guard.block), ("guard.country", self.country, &mut guard.country)]
        {
            *threshold = counts.threshold(*threshold);
            check(place, threshold)?;
        }
        guard.email_domain = self.email_domain.map(DomainCounts::threshold);
        if let Some(threshold) = &guard.email_domain {
            check("guard.email_domain", threshold)?;
        }
        if let Some(shards) = self.shards {
            if shards.get() > MOST_SHARDS {
                return Err(ConfigError::new("guard.shards", "there are 1024 at most"));
            }
            guard.shards = shards;
        }
        if let Some(has_challenge) = self.has_challenge {
            guard.has_challenge = has_challenge;
        }
        VerdictHeader::of(self).map(drop)
    }

    fn countries(&self) -> Result<Option<Countries>, ConfigError> {
        match self.countries.as_deref() {
            None if self.except.is_empty() => Ok(None),
            None => Err(ConfigError::new("guard.except", "it takes codes from guard.countries, which the file lacks")),
            Some([]) => Err(ConfigError::new("guard.countries", "no number is in an empty list")),
            Some(codes) => {
                let countries = Countries::only(codes.iter().map(String::as_str)).at("guard.countries")?;
                countries.except(self.except.iter().map(String::as_str)).at("guard.except").map(Some)
            }
        }
    }
}

/// The core refuses the same thresholds, without their place.
fn check(place: &str, threshold: &Threshold) -> Result<(), ConfigError> {
    if threshold.per_hour > threshold.per_day || threshold.verified_percent > MOST_PERCENT {
        let what = "per_hour is at most per_day, and verified_percent at most 1000";
        return Err(ConfigError::new(place, what));
    }
    Ok(())
}

/// The header in which the proxy in front says what it knows about a request.
#[derive(Debug)]
pub(crate) struct VerdictHeader(Option<HeaderName>);

impl VerdictHeader {
    /// The header that the file names.
    pub(crate) fn of(guard: &Guard) -> Result<Self, ConfigError> {
        let Some(name) = &guard.verdict_header else { return Ok(Self(None)) };
        let name = HeaderName::try_from(name).map_err(|_| {
            ConfigError::new("guard.verdict_header", "the name of a header is expected, such as X-Send-Verdict")
        })?;
        if OF_HTTP.contains(&name) {
            return Err(ConfigError::new("guard.verdict_header", "clients send this header for something else"));
        }
        Ok(Self(Some(name)))
    }

    /// Reads the verdict on a request.
    ///
    /// A request without the header has no verdict. A repeated header, or one with another text, counts as "challenge":
    /// it must not be worth less than a refusal of the proxy, beside which a client has put a header of its own.
    pub(crate) fn read(&self, headers: &HeaderMap) -> Verdict {
        let Self(Some(name)) = self else { return Verdict::None };
        let mut values = headers.get_all(name).into_iter();
        let verdict = match (values.next().map(|value| value.as_bytes().trim_ascii()), values.next()) {
            (None, _) | (Some(b"none"), None) => return Verdict::None,
            (Some(b"allow"), None) => return Verdict::Allow,
            (Some(b"refuse"), None) => return Verdict::Refuse,
            (Some(b"challenge"), None) => return Verdict::Challenge,
            (Some(_), None) => "an unknown verdict counts as challenge",
            (Some(_), Some(_)) => {
                "two headers with a verdict count as challenge; the proxy must replace those of clients"
            }
        };
        tracing::warn!(header = name.as_str(), "{verdict}");
        Verdict::Challenge
    }
}

/// Adds the warnings about the guard.
pub(super) fn add_warnings(config: &Config) {
    let guard = &config.guard;
    let has_budget = config.clients.values().any(|client| client.message_budget.is_some());
    if guard.mode == GuardModeName::Off && (guard.countries.is_some() || has_budget) {
        let what = "the guard is off, and so guard.countries and the message_budget of clients change nothing";
        config.warnings.add("guard.mode", what);
    }
    if guard.mode == GuardModeName::Off && guard.verdict_header.is_some() {
        config.warnings.add("guard.verdict_header", "the guard is off, and so no verdict is read");
    }
    if guard.verdict_header.is_some() && !config.listen.ip().is_loopback() {
        let what = "any client that reaches this address can send the header; only the proxy may reach it";
        config.warnings.add("guard.verdict_header", what);
    }
    if guard.mode == GuardModeName::Enforce && guard.has_challenge != Some(false) && guard.verdict_header.is_none() {
        let what = "nothing tells the host that a client has passed a challenge; set guard.verdict_header, or set this to \
                    false";
        config.warnings.add("guard.has_challenge", what);
    }
    let knows_countries = config.addresses.region.is_some() || config.addresses.country_code.is_some();
    if guard.mode != GuardModeName::Off && guard.countries.is_some() && !knows_countries {
        let what = "numbers without + have no known country, and are refused; set addresses.region";
        config.warnings.add("guard.countries", what);
    }
}

const OF_HTTP: [HeaderName; 5] = [AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST];
const MOST_SHARDS: u16 = 1024;
const MOST_PERCENT: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_header_with_a_known_text_is_a_verdict() {
        let guard = Guard { verdict_header: Some("X-Send-Verdict".to_owned()), ..Guard::default() };
        let header = VerdictHeader::of(&guard).unwrap();
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("x-send-verdict", value.parse().unwrap());
            }
            header.read(&headers)
        };
        for (values, verdict) in [
            (&[][..], Verdict::None),
            (&["none"], Verdict::None),
            (&["allow"], Verdict::Allow),
            (&[" allow "], Verdict::Allow),
            (&["challenge"], Verdict::Challenge),
            (&["refuse"], Verdict::Refuse),
            // A client can't lift the proxy's refusal, and can't add a permission.
            (&["allow", "refuse"], Verdict::Challenge),
            (&["refuse", "allow"], Verdict::Challenge),
            (&["allow", "allow"], Verdict::Challenge),
            (&["allow, refuse"], Verdict::Challenge),
            (&["Allow"], Verdict::Challenge),
            (&[""], Verdict::Challenge),
        ] {
            assert_eq!(read(values), verdict, "{values:?}");
        }
        let mut headers = HeaderMap::new();
        headers.append("x-send-verdict", "allow".parse().unwrap());
        assert_eq!(VerdictHeader::of(&Guard::default()).unwrap().read(&headers), Verdict::None, "no header is trusted");
    }
}
