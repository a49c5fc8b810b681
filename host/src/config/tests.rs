//! Which files are refused, and with which error.

use std::sync::Arc;

use otp_grant::time::{Clock as _, SystemClock};

use super::settings::addresses;
use super::*;
use crate::directory::UserBase;

/// The smallest file.
const LEAST: &str = "issuer = \"https://login.example.com\"\n";

fn error_of(text: &str) -> String {
    Config::parse("host.toml", text).unwrap_err().to_string()
}

#[test]
fn the_sample_is_a_configuration() {
    let sample = include_str!("../../otp-grant.toml");
    let mut config = Config::parse("otp-grant.toml", sample).unwrap();
    settings(&config).unwrap();
    // The sample's secrets are in the environment, which a test does not change.
    config.clients.get_mut("web").unwrap().secret_sha256 = Some(Source::here("0".repeat(64)));
    crate::directory::read(&config, &UserBase::Memory(Arc::default()), &addresses(&config).unwrap()).unwrap();
    assert!(keyring(&config).unwrap_err().to_string().starts_with("keys.index: the environment variable"));
}

#[test]
fn what_the_sample_shows_as_default_can_be_given() {
    let sample = include_str!("../../otp-grant.toml");
    let is_setting = |line: &str| line.split_once(" = ").is_some_and(|(name, _)| name.bytes().all(is_name));
    let is_name = |line: &&str| line.strip_prefix("# ").is_some_and(is_setting);
    let given: Vec<String> = sample
        .lines()
        .map(|line| if is_name(&line) { line.trim_start_matches("# ").to_owned() } else { line.to_owned() })
        // The text behind a value in the sample is a remark.
        .map(|line| line.split("      ").next().unwrap_or_default().to_owned())
        // These belong to a table that is commented out, or contradict another line.
        .filter(|line| !["country_code", "token "].iter().any(|name| line.starts_with(name)))
        .collect();
    let config = Config::parse("otp-grant.toml", &given.join("\n")).unwrap();
    assert_eq!(config.validity.session, Some(Span(std::time::Duration::from_secs(30 * 24 * 60 * 60))));
    assert_eq!(config.quotas.sends.as_ref().unwrap().len(), 2);
    assert!(config.users.table.is_some());
    let shown = settings(&config).unwrap();
    let default = otp_grant::Settings::default();
    assert_eq!(shown.devices, default.devices);
    assert_eq!(
        (shown.send_guard.block, shown.send_guard.country),
        (default.send_guard.block, default.send_guard.country)
    );
    assert_eq!((shown.send_guard.mode, shown.send_guard.shards), (default.send_guard.mode, default.send_guard.shards));
    assert!(shown.send_guard.countries.is_some() && shown.send_guard.email_domain.is_some());
    assert_eq!(config.logs.client_address, Logs::default().client_address);
    let limits = |config: &Config| NetworkQuotas::of(config).unwrap().unwrap();
    let default = limits(&Config::parse("host.toml", &format!("{LEAST}network_limits.enabled = true")).unwrap());
    assert_eq!(format!("{:?}", limits(&config)), format!("{default:?}"));
    assert!(Proxy::of(&config).unwrap().trusts("::1".parse().unwrap()));
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
}

#[test]
fn an_unknown_name_is_an_error_with_its_place() {
    let error = error_of("issuer = \"https://a.example\"\n\n[limits]\nbodies = 1\n");
    assert!(error.starts_with("host.toml:4:1: unknown field `bodies`, expected one of `body`"), "{error}");
    let error = error_of("[keys]\n");
    assert!(error.contains("missing field"), "{error}");
}

#[test]
fn no_error_repeats_a_value() {
    let secret = "hunter2-hunter2";
    for text in [
        format!("{LEAST}keys = \"{secret}\""),
        format!("{LEAST}[keys]\nindex = [\"{secret}\"]\nsealing = 1"),
        format!("{LEAST}[keys]\nindex = {{ environment = \"{secret}\" }}\nsealing = 1"),
        format!("{LEAST}[keys]\nindex = {{ env = \"A\", file = \"{secret}\" }}\nsealing = \"\""),
        format!("{LEAST}[keys]\nindex = \"{secret}\nsealing = 1"),
        format!("{LEAST}[clients.a]\nsecret = \"{secret}\"\npublic = \"{secret}\""),
        format!("{LEAST}[clients.a]\nsecret = {secret}"),
        format!("{LEAST}[clients.a]\nrefresh = \"{secret}\""),
        format!("{LEAST}[auth_sources.a]\nchannel = \"{secret}\""),
        format!("{LEAST}[validity]\nsession = \"{secret}\""),
        format!("listen = \"{secret}\""),
    ] {
        let error = error_of(&text);
        assert!(!error.contains(secret) && error.starts_with("host.toml:"), "{error}");
    }
    let config = Config::parse("", &format!("{LEAST}[keys]\nindex = \"{secret}\"\nsealing = \"{secret}\"")).unwrap();
    let error = keyring(&config).unwrap_err().to_string();
    assert!(!error.contains(secret) && error.starts_with("keys.index: "), "{error}");
    assert!(!format!("{config:?}").contains(secret));
}

#[test]
fn a_contradiction_is_an_error_with_its_place() {
    let directory = |text: &str| {
        let config = Config::parse("host.toml", &format!("{LEAST}{text}")).unwrap();
        crate::directory::read(&config, &UserBase::Memory(Arc::default()), &addresses(&config).unwrap())
            .unwrap_err()
            .to_string()
    };
    let public = "[clients.a]\npublic = true\n";
    for (text, place) in [
        ("[clients.a]\n", "clients.a: "),
        ("[clients.a]\nsecret = \"x\"\npublic = true\n", "clients.a: "),
        ("[clients.a]\nsecret = \"\"\n", "clients.a.secret: "),
        ("[clients.a]\nsecret_sha256 = \"00\"\n", "clients.a.secret_sha256: "),
        ("[clients.a]\nkeys = [\"{}\"]\n", "clients.a.keys[0]: "),
        ("[clients.a]\nkeys = [\"{}\"]\nsecret = \"x\"\n", "clients.a: "),
        ("[clients.a]\nkeys = [\"{}\"]\npublic = true\n", "clients.a: "),
        ("[clients.a]\npublic = true\nauth_method = \"client_secret_post\"\n", "clients.a.auth_method: "),
        ("[clients.a]\nsecret = \"x\"\nauth_method = \"private_key_jwt\"\n", "clients.a.auth_method: "),
        ("[clients.a]\npublic = true\ndpop = \"accepted\"\n", "clients.a.dpop: "),
        ("[clients.a]\npublic = true\nauth_sources = [\"sms\"]\n", "clients.a.auth_sources: "),
        ("[clients.a]\npublic = true\nrefresh = \"stable\"\n", "clients.a.refresh: "),
        ("[clients.a]\npublic = true\ndefault_scopes = \"email\"\n", "clients.a.default_scopes: "),
        ("[auth_sources.a]\nchannel = \"sms\"\ncode = { length = 3 }\n", "auth_sources.a.code: "),
        ("[[users.list]]\nsubject = \"\"\n", "users.list[0].subject: "),
        ("[[users.list]]\nsubject = \"a\"\nphone_number = \"1\"\n", "users.list[0].phone_number: "),
        ("[page]\nclient = \"b\"\n", "page.client: "),
        (&format!("{public}[page]\nclient = \"a\"\nsms = \"b\"\n"), "page.client: "),
        (&format!("{public}may_send = true\n[page]\nclient = \"a\"\n"), "[page]: "),
        (&format!("{public}may_send = true\n[page]\nclient = \"a\"\nsms = \"b\"\n"), "page.sms: "),
    ] {
        let error = directory(text);
        assert!(error.starts_with(place), "{text} {error}");
    }
    let settings =
        |text: &str| settings(&Config::parse("host.toml", &format!("{LEAST}{text}")).unwrap()).unwrap_err().to_string();
    assert!(settings("[quotas]\nsends = []").starts_with("quotas.sends: "));
    let both = "[quotas]\nsends = [{ count = 1, per = \"1s\" }]\n[danger]\nwithout_send_quotas = true";
    assert!(settings(both).starts_with("danger.without_send_quotas: "));
    for taken in ["/", "/livez", "/readyz", "/healthz", "/page/app.js"] {
        assert!(settings(&format!("[endpoints]\nuserinfo = \"{taken}\"")).starts_with("endpoints: "));
    }
    assert!(settings("[endpoints]\notp_send = false\n[page]\nclient = \"a\"").starts_with("endpoints.otp_send: "));
    assert!(error_of(&format!("{LEAST}[limits]\nconnections = 0")).starts_with("host.toml:3:"));
    assert!(error_of(&format!("{LEAST}[endpoints]\nuserinfo = true")).contains("false if nowhere"));
    for (text, place) in [
        ("guard.countries = []", "guard.countries: "),
        ("guard.countries = [\"+86\"]", "guard.countries: "),
        ("guard.countries = [\"861\"]", "guard.countries: "),
        ("guard.except = [\"86\"]", "guard.except: "),
        ("guard = { countries = [\"1\"], except = [\"18\"] }", "guard.except: "),
        ("guard.block = { per_day = 2 }", "guard.block: "),
        ("guard.country.verified_percent = 1001", "guard.country: "),
        ("guard.email_domain = { per_day = 1, per_hour = 2 }", "guard.email_domain: "),
        ("guard.shards = 1025", "guard.shards: "),
        ("guard.verdict_header = \"X Send\"", "guard.verdict_header: "),
        ("devices = { remember = false, validity = \"1d\" }", "devices.remember: "),
        ("devices.sends = []", "devices.sends: "),
        ("devices.validity = \"0s\"", "devices.validity: "),
    ] {
        let error = settings(text);
        assert!(error.starts_with(place), "{text} {error}");
    }
    let config = Config::parse("host.toml", LEAST).unwrap();
    let metrics = crate::metrics::Metrics::new(Default::default());
    let queues = crate::delivery::Queues::new(config.delivery.queue, &metrics.deliveries);
    assert!(crate::delivery::Courier::check(&config, &queues).unwrap_err().to_string().starts_with("[delivery]: "));
}

#[test]
fn a_proxy_or_a_limit_that_cannot_be_is_an_error() {
    let error = |text: &str| {
        let config = Config::parse("host.toml", &format!("{LEAST}{text}")).unwrap();
        let read = Proxy::of(&config).map(drop).and(NetworkQuotas::of(&config).map(drop));
        read.unwrap_err().to_string()
    };
    for (text, place) in [
        ("proxy.trusted = [\"127.0.0.1\", \"hunter2\"]", "proxy.trusted[1]: "),
        ("proxy.trusted = [\"10.0.0.0/33\"]", "proxy.trusted[0]: "),
        ("proxy.trusted = [\"10.0.0.0/8\", \"0.0.0.0/0\"]", "proxy.trusted: "),
        ("proxy.trusted = [\"::/0\"]", "proxy.trusted: "),
        ("proxy.client_address = \"Forwarded\"", "proxy.client_address: "),
        ("proxy.request_id = \"X-Request-Id\"", "proxy.request_id: "),
        ("proxy = { trusted = [\"::1\"], request_id = \"X Request\" }", "proxy.request_id: "),
        ("network_limits.sends = { count = 1, per = \"999ms\" }", "network_limits.sends: "),
        ("network_limits.wrong_codes = { count = 1, per = \"25h\" }", "network_limits.wrong_codes: "),
        (
            "network_limits.failed_authentications = { count = 1000001, per = \"24h\" }",
            "network_limits.failed_authentications: ",
        ),
        ("network_limits.exempt = [\"hunter2\"]", "network_limits.exempt[0]: "),
    ] {
        let error = error(text);
        assert!(error.starts_with(place) && !error.contains("hunter2"), "{text} {error}");
    }
    // An unknown header is no way to report an address.
    let error = error_of(&format!("{LEAST}proxy.client_address = \"X-Real-Ip\""));
    assert!(error.starts_with("host.toml:2:"), "{error}");
}

#[test]
fn a_proxy_that_reports_addresses_switches_limits_on() {
    let is_on = |text: &str| {
        let config = Config::parse("host.toml", &format!("{LEAST}{text}")).unwrap();
        NetworkQuotas::of(&config).unwrap().is_some()
    };
    assert!(!is_on(""));
    assert!(!is_on("proxy.trusted = [\"::1\"]"));
    assert!(is_on("proxy = { trusted = [\"::1\"], client_address = \"Forwarded\" }"));
    assert!(is_on("network_limits.enabled = true"));
    let off = "network_limits.enabled = false
proxy = { trusted = [\"::1\"], client_address = \"Forwarded\" }";
    assert!(!is_on(off));
}

#[test]
fn a_test_identity_that_could_never_log_in_is_an_error() {
    const BEFORE: &str = "auth_sources.sms.channel = \"sms\"\nclients.a = { public = true, auth_sources = [\"sms\"] }\n\
        clients.b.public = true\n\
        auth_sources.letters = { channel = \"sms\", code = { alphabet = \"ABCDEF1234\" } }\n\
        clients.letters = { public = true, auth_sources = [\"letters\"] }\n";
    let end = |days: u64| {
        let day = SystemClock.now().after(std::time::Duration::from_secs(days * 24 * 60 * 60));
        crate::calendar::Utc(day).to_string().split(' ').next().unwrap().to_owned()
    };
    let read = |identity: &str, ends: &str| {
        let text = format!("{LEAST}{BEFORE}[[test_identities]]\n{identity}\nends = {ends}\n");
        let config = Config::parse("host.toml", &text).map_err(|error| error.to_string())?;
        settings(&config).map(|settings| settings.test_identities.len()).map_err(|error| error.to_string())
    };
    let good = "phone_number = \"+8613600000001\"\ncode = \"246810\"\nclients = [\"a\"]";
    assert_eq!(read(good, &end(0)), Ok(1));
    assert_eq!(read(good, &end(89)), Ok(1), "the day is whole, and 90 days are the most");
    assert_eq!(read(good, "2020-01-01"), Ok(1), "a warning");
    let letters = good.replace("[\"a\"]", "[\"letters\"]").replace("246810", "A1B2C3");
    assert_eq!(read(&letters, &end(1)), Ok(1), "the alphabet is that of the client's auth source");
    for (identity, ends, place) in [
        (good.to_owned(), &*end(90), "test_identities[0].ends: "),
        (good.to_owned(), "\"soon\"", "host.toml:"),
        (good.to_owned(), "2026-12-31T00:00:00Z", "host.toml:"),
        (good.replace("246810", "24681"), &end(1), "test_identities[0].code: "),
        (good.replace("246810", "2468101"), &end(1), "test_identities[0].code: "),
        (good.replace("246810", "24681A"), &end(1), "test_identities[0].code: "),
        (good.replace("246810", "24681\u{0661}"), &end(1), "test_identities[0].code: "),
        (format!("{good}\n").replace("[\"a\"]", "[\"letters\"]"), &end(1), "test_identities[0].code: "),
        (good.replace("[\"a\"]", "[]"), &end(1), "test_identities[0].clients: "),
        (good.replace("[\"a\"]", "[\"b\"]"), &end(1), "test_identities[0].clients: "),
        (good.replace("[\"a\"]", "[\"c\"]"), &end(1), "test_identities[0].clients: "),
        (good.replace("phone_number = \"+8613600000001\"", ""), &end(1), "test_identities[0]: "),
        (
            good.replace("phone_number = \"+8613600000001\"", "email = \"a@example.com\""),
            &end(1),
            "test_identities[0].clients: ",
        ),
        (good.replace("+8613600000001", "1"), &end(1), "test_identities[0].phone_number: "),
    ] {
        let error = read(&identity, ends).unwrap_err();
        assert!(error.starts_with(place), "{identity} {error}");
        assert!(!error.contains("2468") && !error.contains("1360000"), "{error}");
    }
}

#[test]
fn a_secret_is_read_from_the_file_the_environment_or_another_file() {
    let folder = std::env::temp_dir();
    let name = format!("otp-grant-host-secret-{}", std::process::id());
    std::fs::write(folder.join(&name), "from a file\n").unwrap();
    let mut config = Config::parse("host.toml", LEAST).unwrap();
    config.folder.clone_from(&folder);
    let read = |source: Source| source.read("here", &config).map(|secret| secret.expose().to_owned());
    assert_eq!(read(Source::File(name.clone().into())).unwrap(), "from a file");
    std::fs::remove_file(folder.join(&name)).unwrap();
    assert_eq!(read(Source::here(" in the file ")).unwrap(), "in the file");
    assert_eq!(read(Source::Env("PATH".to_owned())).unwrap(), std::env::var("PATH").unwrap());
    assert!(read(Source::File(name.into())).unwrap_err().to_string().starts_with("here: "));
    assert!(read(Source::Env("OTP_GRANT_NO_SUCH".to_owned())).is_err());
}
