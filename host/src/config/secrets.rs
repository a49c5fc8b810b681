//! Whether secrets stand in the file itself. The file must then be readable for its owner alone.

use super::delivery::{Delivery, Http};
use super::{Config, Source};

/// Tells whether a secret stands in the file.
///
/// URLs and texts of JSON are secret if they seem to have a secret in them: a user, a name such as `api_key`, or a part
/// that looks random.
pub(super) fn stand_in_the_file(config: &Config) -> bool {
    let master = config.keys.iter().flat_map(|keys| [&keys.index, &keys.sealing].into_iter().chain(&keys.accepted));
    let signing = config.signing.iter().map(|signing| &signing.active);
    let clients = config.clients.values().filter_map(|client| client.secret.as_ref());
    let fixed_codes = config.test_identities.iter().map(|identity| &identity.code);
    let delivery = of_delivery(&config.delivery);
    let mut databases = std::iter::once(&config.store).chain(&config.users.table);
    let (mut urls, mut texts) =
        (delivery_urls(&config.delivery), providers(&config.delivery).filter_map(|http| http.json.as_ref()));
    master.chain(signing).chain(clients).chain(fixed_codes).chain(delivery).any(|source| here(source).is_some())
        || databases.any(|source| here(source).is_some_and(|url| url.contains('@')))
        || urls.any(|source| here(source).is_some_and(url_shows_a_secret))
        || texts.any(|source| here(source).is_some_and(json_shows_a_secret))
}

/// The text of a value that stands in the file.
fn here(source: &Source) -> Option<&str> {
    match source {
        Source::Here(text) => Some(text.expose()),
        Source::Env(_) | Source::File(_) => None,
    }
}

fn of_delivery(delivery: &Delivery) -> impl Iterator<Item = &Source> {
    let smtp = delivery.routes().filter_map(|route| route.smtp.as_ref()).filter_map(|smtp| smtp.password.as_ref());
    let webhooks = webhooks(delivery).flat_map(|webhook| webhook.token.iter().chain(&webhook.sign));
    webhooks.chain(smtp).chain(providers(delivery).flat_map(of_http))
}

fn of_http(http: &Http) -> impl Iterator<Item = &Source> {
    let basic = http.basic.iter().map(|basic| &basic.password);
    let access_key = http.access_key.iter().map(|key| &key.secret);
    let tables = [Some(&http.query), Some(&http.headers), http.form.as_ref()].into_iter().flatten();
    let named = tables.flatten().filter(|(name, _)| names_a_secret(name)).map(|(_, source)| source);
    basic.chain(access_key).chain(&http.bearer).chain(named)
}

fn delivery_urls(delivery: &Delivery) -> impl Iterator<Item = &Source> {
    webhooks(delivery).map(|webhook| &webhook.url).chain(providers(delivery).map(|http| &http.url))
}

fn webhooks(delivery: &Delivery) -> impl Iterator<Item = &super::Webhook> {
    delivery.webhook.iter().chain(delivery.routes().filter_map(|route| route.webhook.as_ref()))
}

fn providers(delivery: &Delivery) -> impl Iterator<Item = &Http> {
    delivery.routes().filter_map(|route| route.http.as_ref())
}

fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["auth", "key", "token", "secret", "password"].iter().any(|word| name.contains(word))
}

fn url_shows_a_secret(url: &str) -> bool {
    let url = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (authority, rest) = url.split_at(url.find(['/', '?']).unwrap_or(url.len()));
    let shows = |part: &str| match part.split_once('=') {
        Some((name, value)) => names_a_secret(name) && is_fixed(value) || looks_random(value),
        None => looks_random(part),
    };
    authority.contains('@') || rest.split(['/', '?', '&']).any(shows)
}

/// Looks for a member with a telling name, and a text as its value.
fn json_shows_a_secret(text: &str) -> bool {
    let strings: Vec<&str> = text.split('"').collect();
    strings.windows(3).any(|parts| match parts {
        [name, between, value] => names_a_secret(name) && between.trim() == ":" && is_fixed(value),
        _ => false,
    })
}

/// A placeholder gets its value when a message is sent.
fn is_fixed(value: &str) -> bool {
    !value.is_empty() && !value.starts_with('{')
}

fn looks_random(part: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    part.len() >= SHORTEST_RANDOM
        && part.bytes().all(is_word)
        && part.bytes().any(|byte| byte.is_ascii_digit())
        && part.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// 16 characters of base64 are 96 bits.
const SHORTEST_RANDOM: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_a_url_or_in_json_is_seen() {
        for (url, expected) in [
            ("https://messages.example.com/otp", false),
            ("https://messages.example.com/v1/messages/{id}?template=4711&to={digits}", false),
            ("https://messages.example.com/otp?token={code}", false),
            ("https://user:hunter2@messages.example.com/otp", true),
            ("https://hooks.example.com/services/T00/B00/hF93kd02Jsk4lPq8", true),
            ("https://messages.example.com/otp?api_key=hunter2", true),
            ("https://messages.example.com/?AccessToken=1&to={digits}", true),
        ] {
            assert_eq!(url_shows_a_secret(url), expected, "{url}");
        }
        for (json, expected) in [
            (r#"{"to": ["{address}"], "text": "{text}", "valid_for": {seconds}}"#, false),
            (r#"{"token": "{code}", "keyword": 1}"#, false),
            (r#"{"to": "{address}", "api_key" : "hunter2"}"#, true),
            (r#"{"auth":{"password":"hunter2"}}"#, true),
        ] {
            assert_eq!(json_shows_a_secret(json), expected, "{json}");
        }
    }

    #[test]
    fn a_file_with_a_secret_is_told_from_one_without() {
        let has = |text: &str| {
            let text = format!("issuer = \"https://login.example.com\"\n{text}\n");
            stand_in_the_file(&Config::parse("host.toml", &text).unwrap())
        };
        for text in [
            "delivery.webhook = { url = \"https://a.example/otp\", sign = [\"whsec_\"] }",
            "delivery.webhook = { url = \"https://a.example/otp?key=1\" }",
            "delivery.sms.webhook = { url = \"https://a:b@a.example/otp\" }",
            "delivery.sms.http = { url = \"https://a.example/otp\", json = '{\"key\":\"1\"}' }",
            "delivery.sms.http = { url = \"https://a.example/otp?key=1\" }",
            "users.table = \"postgres://otp:hunter2@127.0.0.1/otp\"",
        ] {
            assert!(has(text), "{text}");
        }
        for text in [
            "delivery.webhook = { url = \"https://a.example/otp\", sign = [{ env = \"A\" }], token = { file = \"b\" } }",
            "delivery.sms.http = { url = { env = \"A\" }, json = { file = \"b\" } }",
        ] {
            assert!(!has(text), "{text}");
        }
    }
}
