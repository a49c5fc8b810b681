//! Fuzzes `Authorization: Basic`, with two checks. The input as the header: it passes only with the id and the secret
//! of the client by a second decoder. A client with a secret made of the input: the server reads exactly what this
//! client encodes.
#![no_main]

use std::sync::LazyLock;

use base64::{Engine, prelude::BASE64_STANDARD};
use libfuzzer_sys::fuzz_target;
use otp_grant::{Client, ClientId, ClientSecret, Settings, SigningKey};
use otp_grant_fuzz::*;
use pollster::block_on;

fuzz_target!(|input: &[u8]| {
    let Some((choice, input)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(input) else { return };
    if choice % 2 == 0 {
        let is_known = decode(text).is_some_and(|(id, secret)| KNOWN.contains(&(id.as_str(), secret.as_str())));
        assert_eq!(passes(&HOST, text), is_known);
        return;
    }

    let (id, secret) = text.split_once('\n').unwrap_or(("id", text));
    let Ok(client_id) = ClientId::new(id) else { return };
    let client = Client::confidential(client_id, ClientSecret::digest(secret));
    let key = SigningKey::from_pem(include_str!("../../tests/keys/es256_pkcs8.pem")).unwrap();
    let host = Host::with_directory(Settings::default(), key, sample_directory().with_client(client));
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let credentials = BASE64_STANDARD.encode(format!("{}:{}", encode(id), encode(secret)));
    // An empty secret authenticates no client.
    let is_readable = credentials.len() <= LONGEST && !secret.is_empty() && !secret.contains(char::is_control);
    assert_eq!(passes(&host, &format!("Basic {credentials}")), is_readable);
});

/// Tells whether the header authenticates a client. Only such a client learns that the refresh token is unknown.
fn passes(host: &Host, authorization: &str) -> bool {
    let body = "grant_type=refresh_token&refresh_token=unknown";
    forget_calls(host);
    let (peak_memory, reply) = peak(|| block_on(host.server.post_token(form_request(body, Some(authorization)))));
    assert_bounded(peak_memory, authorization.len(), MULTIPLE);
    match assert_ours(&reply) {
        (401, said) => {
            assert_eq!(said["error"], "invalid_client");
            assert_eq!(reply.header("WWW-Authenticate"), Some("Basic"));
            false
        }
        (status, said) => {
            assert_eq!((status, &said["error"]), (400, &serde_json::json!("invalid_grant")));
            true
        }
    }
}

fn decode(header: &str) -> Option<(String, String)> {
    let credentials = header.get(..6).filter(|scheme| scheme.eq_ignore_ascii_case("basic ")).map(|_| &header[6..])?;
    let credentials = credentials.trim_start_matches(' ');
    let pair = String::from_utf8(BASE64_STANDARD.decode(credentials).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    Some((url_decode(id)?, url_decode(secret)?))
}

fn url_decode(text: &str) -> Option<String> {
    let value = format!("x={}", text.replace('&', "%26"));
    let decoded = form_urlencoded::parse(value.as_bytes()).next()?.1.into_owned();
    Some(decoded)
}

static HOST: LazyLock<Host> = LazyLock::new(Host::new);
const KNOWN: [(&str, &str); 2] =
    [("TENANT_CLIENT_ID", "TENANT_CLIENT_SECRET"), ("STABLE_CLIENT_ID", "STABLE_CLIENT_ID_SECRET")];
const LONGEST: usize = 4096;
const MULTIPLE: usize = 4;
