//! The demo: a built-in configuration. Its keys live as long as the process unless the command line gives them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use otp_grant::jwt::{Algorithm, PublicKey, SigningKeys};
use otp_grant::time::{Clock as _, SystemClock};
use otp_grant::{Keyring, MasterKey, SigningKey};

use crate::args::{Alg, Args, GuardArg, Switch};
use crate::config::{At, Config, ConfigError, End, GuardModeName, Source, TestIdentityEntry, read_signing_key};
use crate::start::Keys;

/// The configuration and the keys of the demo, as the command line says.
pub(crate) async fn demo(args: &Args) -> Result<(Config, Keys), ConfigError> {
    let mut config = Config::parse("demo.toml", include_str!("demo.toml"))?;
    config.danger.without_send_quotas = args.send_quota == Some(Switch::Off);
    config.guard.mode = match args.guard {
        None => GuardModeName::Off,
        Some(GuardArg::Observe) => GuardModeName::Observe,
        Some(GuardArg::Enforce) => GuardModeName::Enforce,
    };
    config.test_identities.push(test_identity());
    add_keyed_client(&mut config, args)?;
    let master = match &args.secret {
        Some(secret) => MasterKey::from_base64(secret),
        None => MasterKey::generate(),
    };
    let master = master.at("--secret")?;
    let signing = SigningKeys::new(signing_key(args, &config).await?);
    // Keys that are made now agree with the keys of no other process.
    let are_new = args.secret.is_none();
    Ok((config, Keys { keyring: Keyring::new(&master, &master), signing, are_new }))
}

/// The number of the demo's test user. It ends a month after the start.
fn test_identity() -> TestIdentityEntry {
    TestIdentityEntry {
        phone_number: Some("+8613600000001".to_owned()),
        email: None,
        code: Source::here("246810"),
        clients: vec!["TENANT_CLIENT_ID".to_owned()],
        ends: End(SystemClock.now().after(TEST_IDENTITY_VALIDITY)),
    }
}

/// Gives `KEYED_CLIENT_ID` its key. A demo that knows no key does not have this client.
fn add_keyed_client(config: &mut Config, args: &Args) -> Result<(), ConfigError> {
    let Some(file) = &args.keyed_client_jwk else {
        config.clients.remove(KEYED_CLIENT);
        return Ok(());
    };
    let jwk = std::fs::read_to_string(file).at("--keyed-client-jwk")?;
    PublicKey::from_jwk(jwk.as_bytes()).at("--keyed-client-jwk")?;
    if let Some(client) = config.clients.get_mut(KEYED_CLIENT) {
        client.keys.push(Source::here(jwk));
    }
    Ok(())
}

/// The issuer of a demo that listens at an address: the URL at which this machine reaches its endpoints.
///
/// `http` is for loopback addresses only. A demo that other machines reach needs `--issuer`.
pub(crate) fn issuer(address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V6(Ipv6Addr::LOCALHOST) => format!("http://[::1]:{}", address.port()),
        _ => format!("http://127.0.0.1:{}", address.port()),
    }
}

/// The warning of a demo whose processes share a store and not their keys.
pub(crate) fn warn_of_unshared_keys(args: &Args) {
    if args.demo && (args.secret.is_none() || args.key.is_none() || args.issuer.is_none()) {
        tracing::warn!(
            "other processes on this store need the same --secret, --key and --issuer, and so does the next start"
        );
    }
}

/// The key of `--key`, or one of `--alg`.
async fn signing_key(args: &Args, config: &Config) -> Result<SigningKey, ConfigError> {
    let algorithm = match (&args.key, args.alg) {
        (Some(file), _) => return read_signing_key(config, &Source::File(file.clone()), "--key").await,
        (None, None | Some(Alg::Rs256)) => Algorithm::RS256,
        (None, Some(Alg::Ps256)) => Algorithm::PS256,
        (None, Some(Alg::Es256)) => Algorithm::ES256,
        (None, Some(Alg::EdDsa)) => Algorithm::EdDSA,
        (None, Some(Alg::Ed25519)) => Algorithm::Ed25519,
    };
    otp_grant_aws_lc::generate(algorithm).await.at("--alg")
}

const KEYED_CLIENT: &str = "KEYED_CLIENT_ID";
const TEST_IDENTITY_VALIDITY: Duration = Duration::from_secs(30 * 24 * 60 * 60);
