//! The keys, read from where the file says they are.

use otp_grant::jwt::{Algorithm, KeyError, KeyFile, PublicKey, SigningKeys};
use otp_grant::{Keyring, MasterKey, SigningKey};

use super::{At, Config, ConfigError, Secret, Source};

/// The master keys.
pub(crate) fn keyring(config: &Config) -> Result<Keyring, ConfigError> {
    let keys = config.keys.as_ref().ok_or_else(|| ConfigError::new("[keys]", "index and sealing have to be given"))?;
    let mut known: Vec<(String, Secret)> = Vec::new();
    let mut master = |source: &Source, place: String| {
        let text = source.read(&place, config)?;
        let key = MasterKey::from_base64(text.expose()).at(&place)?;
        match known.iter().find(|(_, other)| spelling(other.expose()).eq(spelling(text.expose()))) {
            Some((other, _)) if other == "keys.index" => {
                let what = "the same key as keys.index: it can't be replaced without forgetting every session";
                config.warnings.add(&place, what);
            }
            Some((other, _)) => config.warnings.add(&place, format_args!("the same key as {other}")),
            None => known.push((place, text)),
        }
        Ok(key)
    };
    let (index, sealing) = (master(&keys.index, "keys.index".into())?, master(&keys.sealing, "keys.sealing".into())?);
    keys.accepted.iter().enumerate().try_fold(Keyring::new(&index, &sealing), |keyring, (number, source)| {
        Ok(keyring.accepting(&master(source, format!("keys.accepted[{number}]"))?))
    })
}

/// The characters of a base64 text that carry data.
fn spelling(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|character| !character.is_ascii_whitespace() && *character != '=')
}

/// The signing keys.
pub(crate) async fn signing_keys(config: &Config) -> Result<SigningKeys, ConfigError> {
    let signing = config.signing.as_ref().ok_or_else(|| ConfigError::new("[signing]", "active has to be given"))?;
    let algorithm = signing.algorithm.as_deref().map(str::parse).transpose().at("signing.algorithm")?;
    let text = signing.active.read("signing.active", config)?;
    let active = signing_key(text.expose(), algorithm).await.map_err(|error| match error {
        KeyError::AlgorithmMismatch => ConfigError::new("signing.algorithm", error.to_string()),
        _ => ConfigError::new("signing.active", error.to_string()),
    })?;
    let active = match &signing.key_id {
        Some(key_id) => active.with_key_id(key_id).at("signing.key_id")?,
        None => active,
    };
    let mut keys = SigningKeys::new(active);
    for (index, source) in signing.published.iter().enumerate() {
        let place = format!("signing.published[{index}]");
        let text = source.read(&place, config)?;
        let key = match text.expose().starts_with('{') {
            true => PublicKey::from_jwk(text.expose().as_bytes()).at(&place)?,
            false => signing_key(text.expose(), None).await.at(&place)?.public_key().clone(),
        };
        keys = keys.publishing(key).at(place)?;
    }
    Ok(keys)
}

/// One signing key.
pub(crate) async fn read_signing_key(config: &Config, source: &Source, place: &str) -> Result<SigningKey, ConfigError> {
    signing_key(source.read(place, config)?.expose(), None).await.at(place)
}

/// A PEM file, or the base64 inside of one. Without an algorithm, its kind decides.
async fn signing_key(text: &str, algorithm: Option<Algorithm>) -> Result<SigningKey, KeyError> {
    let is_pem = text.contains("-----BEGIN");
    let file = if is_pem { KeyFile::from_pem(text)? } else { KeyFile::from_base64(text)? };
    match algorithm {
        Some(algorithm) => otp_grant_aws_lc::from_key_file(&file, algorithm).await,
        None => otp_grant_aws_lc::from_der(file.der()).await,
    }
}
