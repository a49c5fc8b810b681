//! The settings that follow from the document.

use otp_grant::grant::CustomUsage;
use otp_grant::jwt::AccessTokenProfile;
use otp_grant::otp::CodePolicy;
use otp_grant::settings::danger;
use otp_grant::{AddressPolicy, Issuer, Scope, Settings};

use super::{Addresses, Config, Window};
use crate::error::{At, ConfigError, Misplaced};

/// The issuer.
pub(crate) fn issuer(config: &Config) -> Result<Issuer, ConfigError> {
    let reason = "an issuer is an https URL without query or fragment; http is for 127.0.0.1 and localhost alone";
    Issuer::new(&config.issuer).map_err(|_| ConfigError::new("issuer", reason))
}

/// The settings.
pub(crate) fn settings(config: &Config) -> Result<Settings, ConfigError> {
    let mut settings = Settings::default();
    settings.addresses = addresses(&config.addresses)?;
    settings.endpoints = config.endpoints.endpoints();
    settings.code = config.codes.policy(&CodePolicy::default(), "codes")?;
    settings.usages = usages(config)?;
    settings.claims_supported.clone_from(&config.discovery.claims);
    if let Some(scopes) = &config.discovery.scopes {
        settings.scopes_supported = Scope::parse(scopes).at("discovery.scopes")?;
    }
    let own_grant_types = config.grant_types.iter().map(|(uri, channel)| (uri.clone(), (*channel).into()));
    settings.grant_types.extend(own_grant_types);
    settings.authentication_claims = config.access_tokens.authentication_claims;
    settings.dpop = config.dpop.0;
    settings.client_assertions = config.client_assertions;
    if let Some(audience) = &config.access_tokens.rfc9068_audience {
        settings.access_token_profile = AccessTokenProfile::Rfc9068 { audience: audience.clone() };
    }
    match config.limits.body {
        Some(0) => return Err(ConfigError::new("limits.body", "no request is as short as that")),
        Some(bytes) => settings.body_limit = bytes,
        None => {}
    }
    set_validities(config, &mut settings);
    set_quotas(config, &mut settings)?;
    config.devices.set(&mut settings.devices)?;
    config.send_guard.set(&mut settings.send_guard)?;
    weakened(config, settings)
}

/// How addresses are read.
fn addresses(config: &Addresses) -> Result<AddressPolicy, ConfigError> {
    let mut policy = AddressPolicy::default();
    if let Some(code) = &config.country_code {
        policy = policy.with_country_code(code).at("addresses.country_code")?;
    }
    if config.international_local_parts {
        policy = policy.with_international_local_parts();
    }
    Ok(policy)
}

fn usages(config: &Config) -> Result<Vec<CustomUsage>, ConfigError> {
    let usages = config.usages.iter().enumerate();
    usages.map(|(index, name)| CustomUsage::new(name).at(format!("usages[{index}]"))).collect()
}

fn set_validities(config: &Config, settings: &mut Settings) {
    let validity = &config.validity;
    let spans = [
        (validity.access_token, &mut settings.token_validity.access_token),
        (validity.id_token, &mut settings.token_validity.id_token),
        (validity.session_idle, &mut settings.session_validity.idle),
        (validity.session, &mut settings.session_validity.absolute),
        (validity.key_set, &mut settings.key_set_max_age),
        (validity.repeat_answer_within, &mut settings.repeat_answer_within),
    ];
    for (given, setting) in spans {
        if let Some(span) = given {
            *setting = span.0;
        }
    }
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
