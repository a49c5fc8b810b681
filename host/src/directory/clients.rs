//! The clients and auth sources of the file.

use otp_grant::dpop::DpopPolicy;
use otp_grant::jwt::{KeyError, PublicKey, PublicKeySet};
use otp_grant::otp::CodePolicy;
use otp_grant::session::RefreshPolicy;
use otp_grant::{AuthSource, AuthSourceId, Client, ClientId, ClientSecret, MemoryDirectory, Scope};

use crate::config::{At, ClientEntry, Config, ConfigError, DpopName, DpopPolicyName, RefreshName, Span};

/// A directory of the clients and auth sources, without users.
pub(super) fn read(config: &Config) -> Result<MemoryDirectory, ConfigError> {
    let mut directory = MemoryDirectory::new();
    for (id, entry) in &config.auth_sources {
        let place = format!("auth_sources.{id}");
        let source = AuthSource::new(AuthSourceId::new(id).at(&place)?, entry.channel.into());
        directory = directory
            .with_auth_source(source.with_code(entry.code.policy(&CodePolicy::for_login(), &format!("{place}.code"))?));
    }
    for (id, entry) in &config.clients {
        directory = directory.with_client(client(config, id, entry)?);
    }
    check_page(config)?;
    Ok(directory)
}

fn client(config: &Config, id: &str, entry: &ClientEntry) -> Result<Client, ConfigError> {
    let place = format!("clients.{id}");
    let client_id = ClientId::new(id).at(&place)?;
    let mut client = match credentials(config, entry, &place)? {
        Credentials::Secret(secret) => Client::confidential(client_id, secret),
        Credentials::Keys(keys) => Client::private_key_jwt(client_id, keys).at(format!("{place}.keys"))?,
        Credentials::None if entry.may_send => Client::public(client_id).with_sending(),
        Credentials::None => Client::public(client_id),
    };
    if let Some(method) = entry.auth_method {
        client = client.with_auth_method(method.into()).at(format!("{place}.auth_method"))?;
    }
    if entry.code_challenge_required {
        client = client.with_required_code_challenge();
    }
    client = client.with_dpop(dpop_policy(config, entry, &place)?);
    for source in &entry.auth_sources {
        if !config.auth_sources.contains_key(source) {
            let what = format!("there is no [auth_sources.{source}]");
            return Err(ConfigError::new(format!("{place}.auth_sources"), what));
        }
        client = client.with_auth_source(AuthSourceId::new(source).at(format!("{place}.auth_sources"))?);
    }
    if let Some(grants) = &entry.grants {
        client = client.with_grants(grants.iter().map(|grant| (*grant).into()));
    }
    client = client.with_refresh_policy(refresh_policy(entry, &place)?).at(format!("{place}.refresh"))?;
    if entry.may_sign_up == Some(false) {
        client = client.without_sign_up();
    }
    if entry.introspects_every_token {
        client = client.with_introspection_of_every_token();
    }
    if let Some(budget) = entry.message_budget {
        client = client.with_message_budget(budget.into());
    }
    let scope = |text: &Option<String>, name: &str| {
        text.as_deref().map_or(Ok(Scope::openid()), Scope::parse).at(format!("{place}.{name}"))
    };
    let (allowed, default) = (scope(&entry.scopes, "scopes")?, scope(&entry.default_scopes, "default_scopes")?);
    client.with_scopes(allowed, default).at(format!("{place}.default_scopes"))
}

/// What a client is known by.
enum Credentials {
    Secret(ClientSecret),
    Keys(PublicKeySet),
    None,
}

/// Reads the digest of the client's secret, or its keys. A client without both is one that the file calls public.
fn credentials(config: &Config, entry: &ClientEntry, place: &str) -> Result<Credentials, ConfigError> {
    match (&entry.secret, &entry.secret_sha256, entry.keys.as_slice(), entry.public) {
        (Some(source), None, [], false) => {
            let secret = source.read(&format!("{place}.secret"), config)?;
            if secret.expose().is_empty() {
                return Err(ConfigError::new(format!("{place}.secret"), "a secret can't be empty"));
            }
            if secret.expose().len() < SHORTEST_SECRET {
                let what = "shorter than 16 characters, so it can be guessed; `openssl rand -hex 32` makes another";
                config.warnings.add(&format!("{place}.secret"), what);
            }
            Ok(Credentials::Secret(ClientSecret::digest(secret.expose())))
        }
        (None, Some(source), [], false) => {
            let place = format!("{place}.secret_sha256");
            let text = source.read(&place, config)?;
            let digest =
                from_hex(text.expose()).ok_or_else(|| ConfigError::new(place, "64 hexadecimal digits are expected"))?;
            Ok(Credentials::Secret(ClientSecret::from_sha256(digest)))
        }
        (None, None, [], true) => Ok(Credentials::None),
        (None, None, [_, ..], false) => Ok(Credentials::Keys(keys(config, entry, place)?)),
        _ => Err(ConfigError::new(place, "a client has either secret, or secret_sha256, or keys, or public = true")),
    }
}

/// Reads the public keys of a client.
fn keys(config: &Config, entry: &ClientEntry, place: &str) -> Result<PublicKeySet, ConfigError> {
    let mut keys = Vec::new();
    for (index, source) in entry.keys.iter().enumerate() {
        let place = format!("{place}.keys[{index}]");
        let text = source.read(&place, config)?;
        match PublicKeySet::from_json(text.expose().as_bytes()) {
            Ok(set) => keys.extend(set.iter().cloned()),
            Err(KeyError::Malformed) => keys.push(PublicKey::from_jwk(text.expose().as_bytes()).at(&place)?),
            Err(error) => return Err(ConfigError::new(place, error)),
        }
    }
    PublicKeySet::new(keys).at(format!("{place}.keys"))
}

fn dpop_policy(config: &Config, entry: &ClientEntry, place: &str) -> Result<DpopPolicy, ConfigError> {
    if config.dpop == DpopName::Off && entry.dpop != DpopPolicyName::Off {
        let what = "the host reads no proofs; dpop = \"on\" at the top of the file makes it read them";
        return Err(ConfigError::new(format!("{place}.dpop"), what));
    }
    Ok(entry.dpop.into())
}

fn refresh_policy(entry: &ClientEntry, place: &str) -> Result<RefreshPolicy, ConfigError> {
    match (entry.refresh.unwrap_or(RefreshName::Rotate), entry.retry_window) {
        (RefreshName::Rotate, None) => Ok(RefreshPolicy::default()),
        (RefreshName::Rotate, Some(Span(retry_window))) => Ok(RefreshPolicy::Rotate { retry_window }),
        (RefreshName::Stable, None) => Ok(RefreshPolicy::Stable),
        (RefreshName::Stable, Some(_)) => {
            Err(ConfigError::new(format!("{place}.retry_window"), "a stable refresh token has none"))
        }
    }
}

/// The page can log in only as a client that needs no secret and may send.
fn check_page(config: &Config) -> Result<(), ConfigError> {
    let Some(id) = &config.page.client else { return Ok(()) };
    let client = config.clients.get(id).ok_or_else(|| ConfigError::new("page.client", "there is no such client"))?;
    if !client.public || !client.may_send {
        return Err(ConfigError::new("page.client", "the client of the page has to be public and may_send"));
    }
    let sources = [("page.sms", &config.page.sms), ("page.email", &config.page.email)];
    if sources.iter().all(|(_, source)| source.is_none()) {
        return Err(ConfigError::new("[page]", "sms, email or both have to name an auth source"));
    }
    for (place, source) in sources {
        if source.as_ref().is_some_and(|source| !client.auth_sources.contains(source)) {
            return Err(ConfigError::new(place, "the client of the page does not have this auth source"));
        }
    }
    Ok(())
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(digest)
}

/// Random hexadecimal digits, 64 bits.
const SHORTEST_SECRET: usize = 16;
