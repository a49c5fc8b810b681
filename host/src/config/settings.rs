//! The settings of the authorization server that follow from the file.

use std::collections::BTreeSet;

use otp_grant::jwt::{AccessTokenProfile, TokenValidity};
use otp_grant::otp::CodePolicy;
use otp_grant::session::SessionValidity;
use otp_grant::settings::danger;
use otp_grant::{AddressPolicy, Issuer, Scope, Settings};

use super::test_identities::test_identities;
use super::{At, Code, Config, ConfigError, Span, Window, endpoints};
use crate::phone_numbers::NumberingPlan;

/// The issuer.
pub(crate) fn issuer(config: &Config) -> Result<Issuer, ConfigError> {
    let what = "an issuer is an https URL without query or fragment; http is for 127.0.0.1 and localhost alone";
    Issuer::new(&config.issuer).map_err(|_| ConfigError::new("issuer", what))
}

/// The settings.
pub(crate) fn settings(config: &Config) -> Result<Settings, ConfigError> {
    check_limits(config)?;
    let mut settings = Settings::default();
    settings.addresses = addresses(config)?;
    settings.endpoints = endpoints(config)?;
    settings.body_limit = config.limits.body;
    settings.code = config.codes.policy(&CodePolicy::default(), "codes")?;
    settings.token_validity = token_validity(config);
    settings.session_validity = session_validity(config);
    settings.scopes_supported = all_scopes(config)?;
    settings.claims_supported.clone_from(&config.discovery.claims);
    let own_grant_types = config.grant_types.iter().map(|(uri, channel)| (uri.clone(), (*channel).into()));
    settings.grant_types.extend(own_grant_types);
    settings.dpop = config.dpop.into();
    // Without such a client, no request needs to be looked at for an assertion.
    settings.client_assertions = config.clients.values().any(|client| !client.keys.is_empty());
    settings.authentication_claims = config.access_tokens.authentication_claims;
    if let Some(audience) = &config.access_tokens.rfc9068_audience {
        settings.access_token_profile = AccessTokenProfile::Rfc9068 { audience: audience.clone() };
    }
    if let Some(max_age) = config.validity.key_set {
        settings.key_set_max_age = max_age.0;
    }
    set_quotas(config, &mut settings)?;
    config.guard.set(&mut settings.send_guard)?;
    config.devices.set(&mut settings)?;
    settings.test_identities = test_identities(config, &settings.addresses)?;
    weakened(config, settings)
}

/// Refuses limits that no request can keep.
fn check_limits(config: &Config) -> Result<(), ConfigError> {
    let limits = &config.limits;
    let times = [
        ("limits.header_time", limits.header_time),
        ("limits.body_time", limits.body_time),
        ("limits.request_time", limits.request_time),
    ];
    if let Some((place, _)) = times.into_iter().find(|(_, Span(time))| time.is_zero()) {
        return Err(ConfigError::new(place, "no request can be read or answered in no time"));
    }
    if limits.body == 0 {
        return Err(ConfigError::new("limits.body", "no request is as short as that"));
    }
    Ok(())
}

fn set_quotas(config: &Config, settings: &mut Settings) -> Result<(), ConfigError> {
    let quotas = &config.quotas;
    if let Some(sends) = quotas.sends.as_deref() {
        if sends.is_empty() {
            return Err(ConfigError::new("quotas.sends", "no quota at all is danger.without_send_quotas = true"));
        }
        settings.send_quotas = sends.iter().copied().map(Window::into).collect();
    }
    if let Some(guesses) = quotas.guesses_per_code {
        settings.guesses_per_challenge = guesses;
    }
    if let Some(quota) = quotas.guesses_per_address {
        settings.guesses_per_address = quota.into();
    }
    Ok(())
}

fn weakened(config: &Config, settings: Settings) -> Result<Settings, ConfigError> {
    let settings = match (config.danger.without_send_quotas, &config.quotas.sends) {
        (false, _) => settings,
        (true, None) => danger::without_send_quotas(settings),
        (true, Some(_)) => return Err(ConfigError::new("danger.without_send_quotas", "quotas.sends gives some")),
    };
    Ok(match config.danger.disclose_used_addresses {
        true => danger::disclose_used_addresses(settings),
        false => settings,
    })
}

/// How addresses are read.
pub(super) fn addresses(config: &Config) -> Result<AddressPolicy, ConfigError> {
    let policy = AddressPolicy::default();
    let mut policy = match (numbering_plan(config)?, &config.addresses.country_code) {
        (None, None) => policy,
        (Some(plan), None) => plan.into_policy(policy),
        (None, Some(code)) => policy.with_country_code(code).at("addresses.country_code")?,
        (Some(_), Some(_)) => return Err(ConfigError::new("addresses.country_code", "the region has its own")),
    };
    if config.addresses.international_local_parts {
        policy = policy.with_international_local_parts();
    }
    Ok(policy)
}

/// The numbering plan of the region that the file names.
pub(crate) fn numbering_plan(config: &Config) -> Result<Option<NumberingPlan>, ConfigError> {
    let Some(region) = &config.addresses.region else { return Ok(None) };
    let what = "a region is two capital letters that have phone numbers, such as GB";
    NumberingPlan::of(region).map(Some).ok_or_else(|| ConfigError::new("addresses.region", what))
}

fn token_validity(config: &Config) -> TokenValidity {
    let mut validity = TokenValidity::default();
    validity.access_token = config.validity.access_token.map_or(validity.access_token, |span| span.0);
    validity.id_token = config.validity.id_token.map_or(validity.id_token, |span| span.0);
    validity
}

fn session_validity(config: &Config) -> SessionValidity {
    let mut validity = SessionValidity::default();
    validity.idle = config.validity.session_idle.map_or(validity.idle, |span| span.0);
    validity.absolute = config.validity.session.map_or(validity.absolute, |span| span.0);
    validity
}

/// Every scope that at least one client may request.
fn all_scopes(config: &Config) -> Result<Scope, ConfigError> {
    let of_clients = config.clients.values().filter_map(|client| client.scopes.as_deref());
    let mut names: BTreeSet<&str> = of_clients.flat_map(str::split_ascii_whitespace).collect();
    // First, where clients expect it.
    names.remove("openid");
    let all: Vec<&str> = std::iter::once("openid").chain(names).collect();
    Scope::parse(&all.join(" ")).at("clients.*.scopes")
}

impl Code {
    /// The policy. Members that are not given are those of `default`.
    pub(crate) fn policy(&self, default: &CodePolicy, place: &str) -> Result<CodePolicy, ConfigError> {
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
