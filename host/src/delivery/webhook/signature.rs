//! Signatures of Standard Webhooks 1.0.0: HMAC-SHA-256 over the identifier, the time and the body.
//!
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::hmac;
use zeroize::Zeroizing;

use crate::config::{Config, ConfigError, Secret, Source};

/// The secrets that sign: one, or two while one replaces the other.
#[derive(Debug)]
pub(super) struct Secrets(Vec<hmac::Key>);

impl Secrets {
    /// Reads the secrets of an entry. Without any, requests are not signed.
    pub(super) fn read(entries: &[Source], place: &str, config: &Config) -> Result<Option<Self>, ConfigError> {
        let read = |(index, source): (usize, &Source)| {
            let place = format!("{place}[{index}]");
            key(&source.read(&place, config)?).ok_or_else(|| ConfigError::new(place, EXPECTED))
        };
        let keys = entries.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok((!keys.is_empty()).then_some(Self(keys)))
    }

    /// The value of `webhook-signature`: a signature for each secret. The receiver needs one that it knows.
    pub(super) fn sign(&self, id: &str, seconds: u64, body: &str) -> String {
        let time = seconds.to_string();
        let signature = |key: &hmac::Key| {
            let mut context = hmac::Context::with_key(key);
            for part in [id, ".", &time, ".", body] {
                context.update(part.as_bytes());
            }
            format!("v1,{}", BASE64.encode(context.sign()))
        };
        self.0.iter().map(signature).collect::<Vec<_>>().join(" ")
    }
}

fn key(secret: &Secret) -> Option<hmac::Key> {
    let bytes = Zeroizing::new(BASE64.decode(secret.expose().strip_prefix("whsec_")?).ok()?);
    (24..=64).contains(&bytes.len()).then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

const EXPECTED: &str =
    "`whsec_` and the base64 of 24 to 64 random bytes: echo whsec_$(openssl rand -base64 32) makes one";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(secret: &str) -> Option<Secrets> {
        key(&Secret::new(secret.to_owned())).map(|key| Secrets(vec![key]))
    }

    #[test]
    fn the_example_of_the_libraries_is_signed_as_published() {
        let secrets = read("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = secrets.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_as_long_as_the_specification_says() {
        for (length, expected) in [(23, false), (24, true), (64, true), (65, false)] {
            let text = format!("whsec_{}", BASE64.encode(vec![1; length]));
            assert_eq!(read(&text).is_some(), expected, "{length}");
            assert!(read(text.trim_start_matches("whsec_")).is_none());
        }
        assert!(read("whsec_not base64").is_none() && read("").is_none());
    }
}
