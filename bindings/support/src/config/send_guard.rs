//! The guard against messages that nobody reads.

use std::num::{NonZeroU16, NonZeroU32};

use otp_grant::guard::{Countries, GuardMode, SendGuard, Threshold};
use serde::Deserialize;

use crate::error::{At, ConfigError, Misplaced};

/// The settings of the send guard. Members that the document does not give have the crate's default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Guard {
    #[serde(default)]
    mode: ModeName,
    countries: Option<CountryList>,
    #[serde(default)]
    thresholds: Thresholds,
    shards: Option<NonZeroU16>,
    has_challenge: Option<bool>,
}

impl Guard {
    pub(super) fn set(&self, setting: &mut SendGuard) -> Result<(), ConfigError> {
        let Self { mode, countries, thresholds: Thresholds { block, country, email_domain }, .. } = self;
        setting.mode = (*mode).into();
        setting.countries = countries.as_ref().map(CountryList::countries).transpose()?;
        if let Some(block) = block {
            setting.block = block.threshold("block")?;
        }
        if let Some(country) = country {
            setting.country = country.threshold("country")?;
        }
        if let Some(domain) = email_domain {
            setting.email_domain = Some(domain.threshold("email_domain")?);
        }
        if let Some(shards) = self.shards {
            setting.shards = shards;
        }
        if let Some(has_challenge) = self.has_challenge {
            setting.has_challenge = has_challenge;
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ModeName {
    #[default]
    Off,
    Observe,
    Enforce,
}

impl From<ModeName> for GuardMode {
    fn from(name: ModeName) -> Self {
        match name {
            ModeName::Off => Self::Off,
            ModeName::Observe => Self::Observe,
            ModeName::Enforce => Self::Enforce,
        }
    }
}

/// The calling codes that messages are sent to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CountryList {
    allow: Vec<String>,
    #[serde(default)]
    except: Vec<String>,
}

impl CountryList {
    fn countries(&self) -> Result<Countries, ConfigError> {
        let Self { allow, except } = self;
        if allow.is_empty() {
            return Err(ConfigError::new("send_guard.countries.allow", "no number could be sent to"));
        }
        // Each code alone, so that an error names it.
        for (index, code) in allow.iter().enumerate() {
            let place = format!("send_guard.countries.allow[{index}]");
            Countries::only([code.as_str()]).at::<ConfigError>(place)?;
        }
        let mut countries = Countries::only(allow.iter().map(String::as_str)).at("send_guard.countries.allow")?;
        for (index, code) in except.iter().enumerate() {
            let place = format!("send_guard.countries.except[{index}]");
            countries = countries.except([code.as_str()]).at(place)?;
        }
        Ok(countries)
    }
}

/// What each kind of destination must earn.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Thresholds {
    block: Option<Earned>,
    country: Option<Earned>,
    email_domain: Option<Earned>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Earned {
    per_day: NonZeroU32,
    per_hour: NonZeroU32,
    verified_percent: Option<u32>,
}

impl Earned {
    fn threshold(&self, of: &str) -> Result<Threshold, ConfigError> {
        let Self { per_day, per_hour, verified_percent } = *self;
        if per_hour > per_day {
            let place = format!("send_guard.thresholds.{of}.per_hour");
            return Err(ConfigError::new(place, "at most as many as per_day"));
        }
        let mut threshold = Threshold::new(per_day, per_hour);
        threshold.verified_percent = verified_percent.unwrap_or(threshold.verified_percent);
        if threshold.verified_percent > MOST_PERCENT {
            let place = format!("send_guard.thresholds.{of}.verified_percent");
            return Err(ConfigError::new(place, format_args!("at most {MOST_PERCENT}")));
        }
        Ok(threshold)
    }
}

/// The limit of the crate.
const MOST_PERCENT: u32 = 1000;
