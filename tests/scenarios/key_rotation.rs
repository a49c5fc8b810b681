//! Signing keys and secrets are replaced while servers run. The simulation goes second by second. Its clients cache the
//! key set, and its two processes never change at the same instant.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use otp_grant::jwt::{Algorithm, Audience, KeyError, PublicKeySet, SigningKeys, jws};
use otp_grant::secret::InvalidMasterKey;
use otp_grant::settings::danger;
use otp_grant::time::Clock;
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::{Value, json};

const RSA: &str = include_str!("../keys/rsa2048_pkcs8.pem");
/// The same key, which signs with PS256. Text before a key is ignored.
const RSA_PSS: &str = concat!("PS256\n", include_str!("../keys/rsa2048_pkcs8.pem"));
const RSA_PKCS1: &str = include_str!("../keys/rsa2048_pkcs1.pem");
const P256: &str = include_str!("../keys/es256_pkcs8.pem");
const ED25519: &str = include_str!("../keys/ed25519_pkcs8.pem");

// ---- Signing keys ----

/// From this second on, this process signs with the first of these keys, and publishes the other keys.
struct Change(u64, usize, &'static [&'static str]);

fn signing_keys(pems: &[&str]) -> SigningKeys {
    let key = |pem: &&str| {
        let key = SigningKey::from_pem(pem).unwrap();
        if *pem == RSA_PSS { key.with_algorithm(Algorithm::PS256).unwrap() } else { key }
    };
    let mut keys = pems.iter().map(key);
    let active = SigningKeys::new(keys.next().unwrap());
    keys.fold(active, |keys, next| keys.publishing(next.public_key().clone()).unwrap())
}

/// The three steps of one rotation. The processes begin each step at different instants. The next step begins after the
/// wait of the last one: the `max-age` of the key set, then the validity of ID tokens.
fn rotation(begin: u64, steps: [&'static [&'static str]; 3]) -> Vec<Change> {
    let [announced, switched, retired] = steps;
    let switch = begin + 37 + MAX_AGE;
    let retire = switch + 53 + ID_TOKEN;
    vec![
        Change(begin, 0, announced),
        Change(begin + 37, 1, announced),
        Change(switch, 1, switched),
        Change(switch + 53, 0, switched),
        Change(retire, 0, retired),
        Change(retire + 11, 1, retired),
    ]
}

/// A token that was issued, and the key sets that verify it.
struct Issued {
    token: String,
    expires_at: u64,
    is_access_token: bool,
    verified_with: BTreeSet<usize>,
}

/// Runs two processes. For each process and each second of `max-age`, a client caches the key set from that second on.
/// Returns the first second in which a client or a process refuses a token that has not expired.
async fn first_refusal(end: u64, first: &'static [&'static str], plan: &[Change]) -> Option<u64> {
    let host = Host::with_key(Settings::default(), signing_keys(first));
    let mut processes = [
        host.beside(Settings::default(), signing_keys(first), keyring()),
        host.beside(Settings::default(), signing_keys(first), keyring()),
    ];
    let mut refresh_tokens = [host.log_in(json!({})).await, host.log_in(json!({})).await];
    let begin = host.clock.now().as_unix_secs();
    let max_age = host.server.get_jwks().header("Cache-Control").unwrap().rsplit_once('=').unwrap().1.parse::<u64>();
    let max_age = max_age.unwrap() as usize;

    // Every key set that was ever published, and the index of each client's copy.
    let mut published: Vec<(Vec<u8>, PublicKeySet)> = Vec::new();
    let fetch = |process: &Host, published: &mut Vec<(Vec<u8>, PublicKeySet)>| {
        let body = process.server.get_jwks().into_body();
        published.iter().position(|(known, _)| *known == body).unwrap_or_else(|| {
            published.push((body.clone(), PublicKeySet::from_json(&body).unwrap()));
            published.len() - 1
        })
    };
    let mut current = [0, 1].map(|process: usize| fetch(&processes[process], &mut published));
    let mut caches = [vec![current[0]; max_age], vec![current[1]; max_age]];
    let mut alive: Vec<Issued> = Vec::new();

    for second in 0..end {
        let mut changed = false;
        for Change(_, process, keys) in plan.iter().filter(|Change(at, ..)| *at == second) {
            processes[*process] = host.beside(Settings::default(), signing_keys(keys), keyring());
            changed = true;
        }
        for process in [0, 1] {
            if changed {
                current[process] = fetch(&processes[process], &mut published);
            }
            // These clients fetch the key set again: their copies are now too old.
            caches[process][second as usize % max_age] = current[process];
        }
        // Each process issues at intervals, and always just before and after a change.
        let is_near = |Change(at, ..): &Change| at.abs_diff(second) <= 1;
        if second % 20 == 0 || plan.iter().any(is_near) {
            for (process, said) in processes.iter().zip(&mut refresh_tokens) {
                let (status, refreshed) = process.refresh(text(said, "refresh_token")).await;
                assert_eq!(status, 200, "{refreshed}");
                *said = refreshed;
                for (name, is_access_token) in [("access_token", true), ("id_token", false)] {
                    let token = text(said, name).to_owned();
                    let expires_at = payload(&token)["exp"].as_u64().unwrap();
                    alive.push(Issued { token, expires_at, is_access_token, verified_with: BTreeSet::new() });
                }
            }
        }
        alive.retain(|issued| issued.expires_at > begin + second);

        let in_use: BTreeSet<usize> = caches.iter().flatten().chain(&current).copied().collect();
        for issued in &mut alive {
            for set in &in_use {
                // A key set that has verified a token once need not verify it again.
                if issued.verified_with.insert(*set) && jws::verify(&issued.token, &published[*set].1).is_err() {
                    return Some(second);
                }
            }
        }
        // The newest tokens and those that expire next, at both processes.
        let access: Vec<&Issued> = alive.iter().filter(|issued| issued.is_access_token).collect();
        for issued in access.first().into_iter().chain(access.last()) {
            for process in &processes {
                let token = issued.token.as_str();
                let accepted = match second % 3 {
                    0 => process.userinfo(token).await.status() == 200,
                    1 => process.server.call_check_access_token(token, Audience::EveryClient).await.is_ok(),
                    _ => process.is_active(token).await,
                };
                if !accepted {
                    return Some(second);
                }
            }
        }
        host.advance(secs(1));
    }
    None
}

#[tokio::test]
async fn no_valid_token_is_refused_while_keys_rotate_through_all_algorithms() {
    let mut plan = rotation(60, [&[RSA, P256], &[P256, RSA], &[P256]]);
    let second = plan.last().unwrap().0 + 40;
    plan.extend(rotation(second, [&[P256, ED25519], &[ED25519, P256], &[ED25519]]));
    let third = plan.last().unwrap().0 + 40;
    plan.extend(rotation(third, [&[ED25519, RSA_PSS], &[RSA_PSS, ED25519], &[RSA_PSS]]));
    let end = plan.last().unwrap().0 + 400;
    assert!(end > 3600);
    assert_eq!(first_refusal(end, &[RSA], &plan).await, None);
}

#[tokio::test]
async fn keys_that_are_switched_without_being_announced_break_tokens() {
    let plan = [Change(100, 0, &[ED25519, P256]), Change(100, 1, &[ED25519, P256])];
    assert_eq!(first_refusal(200, &[P256], &plan).await, Some(100));
}

#[tokio::test]
async fn keys_that_are_switched_before_every_cache_has_them_break_tokens() {
    let plan = |switch| {
        [
            Change(60, 0, &[P256, ED25519]),
            Change(97, 1, &[P256, ED25519]),
            Change(switch, 0, &[ED25519, P256]),
            Change(switch, 1, &[ED25519, P256]),
        ]
    };
    // The last client with the old key set fetched it a second before the later process announced the new key.
    assert_eq!(first_refusal(450, &[P256], &plan(97 + MAX_AGE - 2)).await, Some(97 + MAX_AGE - 2));
    assert_eq!(first_refusal(450, &[P256], &plan(97 + MAX_AGE)).await, None);
}

#[tokio::test]
async fn a_key_that_only_one_process_announced_breaks_tokens_between_them() {
    let plan = [Change(60, 0, &[P256, ED25519]), Change(60 + MAX_AGE, 0, &[ED25519, P256])];
    assert_eq!(first_refusal(400, &[P256], &plan).await, Some(60 + MAX_AGE));
}

#[tokio::test]
async fn keys_that_are_retired_too_early_break_tokens() {
    let mut plan = rotation(60, [&[P256, ED25519], &[ED25519, P256], &[ED25519]]);
    let retire = plan[4].0;
    // When the access tokens of the old key have expired, its ID tokens are still good.
    for (at, refused) in [(retire - ID_TOKEN + 300, true), (retire - 2, true), (retire, false)] {
        plan[4].0 = at;
        plan[5].0 = at;
        assert_eq!(first_refusal(retire + 20, &[P256], &plan).await, refused.then_some(at), "{at}");
    }
}

#[test]
fn two_keys_of_one_name_are_refused() {
    let named = |algorithm| SigningKey::generate(algorithm).unwrap().with_key_id("2026-01").unwrap();
    let (old, new) = (named(Algorithm::ES256), named(Algorithm::EdDSA));
    let both = [old.public_key().clone(), new.public_key().clone()];
    assert_eq!(SigningKeys::new(old).publishing(both[1].clone()).err(), Some(KeyError::DuplicateKeyId));
    assert_eq!(PublicKeySet::new(both).err(), Some(KeyError::DuplicateKeyId));

    let key = SigningKey::from_pem(RSA).unwrap();
    let public = key.public_key().clone();
    assert_eq!(SigningKeys::new(key).publishing(public).err(), Some(KeyError::DuplicateKeyId));
    let other = SigningKey::from_pem(P256).unwrap().public_key().clone();
    let keys = signing_keys(&[ED25519]).publishing(other.clone()).unwrap();
    assert_eq!(keys.publishing(other).err(), Some(KeyError::DuplicateKeyId));
}

/// The lines of base64 in a PEM file.
fn base64(pem: &str) -> Vec<&str> {
    pem.lines().filter(|line| !line.starts_with("-----")).collect()
}

#[test]
fn signing_keys_are_read_from_base64_strings() {
    let algorithms = [Algorithm::RS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
    for (pem, algorithm) in [RSA, RSA_PKCS1, P256, ED25519].into_iter().zip(algorithms) {
        let expected = SigningKey::from_pem(pem).unwrap();
        let lines = base64(pem);
        let line = lines.concat();
        for text in
            [line.clone(), lines.join("\n"), lines.join("\r\n"), format!("\n  {line}\t\r\n"), line.clone() + "\n"]
        {
            let key = SigningKey::from_base64(&text).unwrap();
            assert_eq!((key.key_id(), key.algorithm()), (expected.key_id(), algorithm));
            assert_eq!(key.public_key(), expected.public_key());
        }
        let url_safe = line.replace('+', "-").replace('/', "_");
        let cut = &line[..line.len() - 4];
        for bad in ["", "garbage", "Z2FyYmFnZQ==", "é", pem, cut, &format!("{line}AAAA"), &format!("{line}\"")] {
            assert_eq!(SigningKey::from_base64(bad).err(), Some(KeyError::Malformed), "{bad}");
        }
        if url_safe != line {
            assert_eq!(SigningKey::from_base64(&url_safe).err(), Some(KeyError::Malformed));
        }
    }
    assert!(base64(RSA).concat().contains(['+', '/']), "no key tells the alphabets apart");
}

// ---- Secrets ----

fn master(byte: u8) -> MasterKey {
    MasterKey::from_bytes(&[byte; 32]).unwrap()
}

/// A keyring that seals with one secret and accepts others. Its index secret is that of the sample host.
fn sealing(active: u8, accepted: &[u8]) -> Keyring {
    accepted.iter().fold(Keyring::new(&master(1), &master(active)), |keyring, old| keyring.accepting(&master(*old)))
}

const OLD: u8 = 2;
const NEW: u8 = 3;

/// A process that seals with the new secret and accepts the old one, and a process that does the opposite.
fn switched(host: &Host) -> Host {
    host.beside(Settings::default(), SigningKey::from_pem(P256).unwrap(), sealing(NEW, &[OLD]))
}

fn prepared(host: &Host) -> Host {
    host.beside(Settings::default(), SigningKey::from_pem(P256).unwrap(), sealing(OLD, &[NEW]))
}

fn dropped(host: &Host) -> Host {
    host.beside(Settings::default(), SigningKey::from_pem(P256).unwrap(), sealing(NEW, &[]))
}

async fn redeem(host: &Host, sent: &Sent) -> (u16, Value) {
    host.token(&sms_grant(PHONE, sent)).await
}

#[tokio::test]
async fn a_code_in_flight_survives_the_switch_in_both_directions() {
    let host = Host::new();
    for (from, to) in [(&prepared(&host), &switched(&host)), (&switched(&host), &prepared(&host))] {
        let sent = from.send(&sms_send(PHONE)).await;
        let (status, said) = redeem(to, &Sent { code: wrong(&sent.code), ..sent.clone() }).await;
        assert_eq!((status, &said["attempts_remaining"]), (400, &json!(4)));
        assert_eq!(redeem(to, &sent).await.0, 200);
        host.advance(secs(60));

        // A resend at the other process delivers the same code, under a token of its own secret.
        let sent = from.send(&sms_send(PHONE)).await;
        host.advance(secs(30));
        let again = to.send(&sms_send(PHONE)).await;
        assert_eq!(again.code, sent.code);
        assert_ne!(again.otp_token, sent.otp_token);
        assert_eq!(redeem(from, &again).await.0, 200);
        host.advance(secs(60));
    }
}

#[tokio::test]
async fn a_token_of_the_old_secret_is_accepted_until_it_expires() {
    let host = Host::new();
    let new = switched(&host);
    let milli = Duration::from_millis(1);
    let sent = host.send(&sms_send(PHONE)).await;
    host.advance(secs(300) - milli);
    // The code has expired and costs a guess, but the process knows its token.
    assert_eq!(redeem(&new, &sent).await.1["attempts_remaining"], 4);
    host.advance(milli);
    let (calls, (_, said)) = new.store_calls(redeem(&new, &sent)).await;
    assert_eq!((calls, &said["error_description"]), (0, &json!("Unknown or expired otp_token")));

    const DAY: u64 = 24 * 60 * 60;
    for (wait, expected) in [(secs(14 * DAY) - milli, (200, 2)), (secs(14 * DAY), (400, 1)), (secs(30 * DAY), (400, 0))]
    {
        let said = host.log_in(json!({})).await;
        host.advance(wait);
        let (calls, (status, _)) = new.store_calls(new.refresh(text(&said, "refresh_token"))).await;
        assert_eq!((status, calls), expected);
    }
}

#[tokio::test]
async fn a_retry_across_the_switch_gets_the_same_successor_from_every_host() {
    let host = Host::new();
    let (old, new) = (prepared(&host), switched(&host));
    let dropped = dropped(&host);
    // Either host can advance the session. The session determines which secret seals the successor.
    for (one, other) in [(&old, &new), (&new, &old)] {
        let first = one.log_in(json!({})).await;
        let (_, second) = one.refresh(text(&first, "refresh_token")).await;
        host.advance(secs(9));
        let (status, again) = other.refresh(text(&first, "refresh_token")).await;
        assert_eq!((status, &again["refresh_token"]), (200, &second["refresh_token"]));
        let (status, third) = other.refresh(text(&second, "refresh_token")).await;
        assert_eq!(status, 200, "{third}");
        host.advance(secs(31));
    }
    // A host that has dropped the old secret seals the same successor as the switched host.
    let first = new.log_in(json!({})).await;
    let (_, second) = dropped.refresh(text(&first, "refresh_token")).await;
    let (_, again) = new.refresh(text(&first, "refresh_token")).await;
    assert_eq!(second["refresh_token"], again["refresh_token"]);
}

#[tokio::test]
async fn a_stable_refresh_token_of_the_old_secret_works_on_beside_its_new_form() {
    let host = Host::new();
    let new = switched(&host);
    let stable = [("client_id", "STABLE_CLIENT_ID"), ("client_secret", "STABLE_CLIENT_ID_SECRET")];
    let owner = json!({ "client_id": "STABLE_CLIENT_ID", "client_secret": "STABLE_CLIENT_ID_SECRET" });
    let first = host.log_in_by(&but(&sms_send(PHONE), owner), json!({})).await;
    let (_, second) = new.refresh_with(text(&first, "refresh_token"), &stable).await;
    for _ in 0..3 {
        host.advance(secs(3600));
        for said in [&first, &second] {
            let (status, again) = new.refresh_with(text(said, "refresh_token"), &stable).await;
            assert_eq!((status, &again["refresh_token"]), (200, &second["refresh_token"]));
        }
    }
    // A client that took the new token goes on when the old secret is gone.
    assert_eq!(dropped(&host).refresh_with(text(&first, "refresh_token"), &stable).await.0, 400);
    assert_eq!(dropped(&host).refresh_with(text(&second, "refresh_token"), &stable).await.0, 200);
}

#[tokio::test]
async fn what_a_dropped_secret_sealed_is_garbage() {
    let host = Host::new();
    let first = host.log_in(json!({})).await;
    host.advance(secs(30));
    let sent = host.send(&sms_send(PHONE)).await;
    let new = dropped(&host);
    let (calls, (status, said)) = new.store_calls(redeem(&new, &sent)).await;
    assert_eq!((calls, (status, said)), (0, error(400, "invalid_grant", "Unknown or expired otp_token")));
    let token = text(&first, "refresh_token");
    let (calls, refused) = new.store_calls(new.refresh(token)).await;
    assert_eq!((calls, refused), (0, error(400, "invalid_grant", "Unknown or expired refresh_token")));
    let (calls, reply) = new.store_calls(new.introspect(token, &[])).await;
    assert_eq!(calls, 0);
    assert_reply(&reply, 200, r#"{"active":false}"#, &[]);
    let (calls, reply) = new.store_calls(new.revoke(token, &[])).await;
    assert_eq!((calls, reply.status()), (0, 200));
    // The sessions of the dropped secret live on: access tokens are signed, not sealed.
    assert_eq!(new.userinfo(text(&first, "access_token")).await.status(), 200);
}

/// Takes two processes through these pairs of states, an hour each, and presents every token to both. Returns the first
/// pair in which a process refused a token.
async fn first_refused_state(states: &[[(u8, &[u8]); 2]]) -> Option<usize> {
    let hour = secs(3600);
    let sessions = session_validity(hour / 2, hour * 24);
    let settings = || danger::without_send_quotas(settings(|s| s.session_validity = sessions));
    let host = Host::with(settings());
    let mut refresh_token = text(&host.log_in(json!({})).await, "refresh_token").to_owned();
    for (index, pair) in states.iter().enumerate() {
        let key = || SigningKey::from_pem(P256).unwrap();
        let processes = pair.map(|(active, accepted)| host.beside(settings(), key(), sealing(active, accepted)));
        for turn in 0..12 {
            let (here, there) = (&processes[turn % 2], &processes[(turn + 1) % 2]);
            let Ok(sent) = here.try_send(&sms_send(PHONE)).await else { return Some(index) };
            host.advance(secs(20));
            let Ok(again) = there.try_send(&sms_send(PHONE)).await else { return Some(index) };
            // One code under two tokens. It is spent under one of them, at the process that did not make that token.
            let (process, sent) = if turn % 4 < 2 { (there, sent) } else { (here, Sent { code: sent.code, ..again }) };
            let redeemed = redeem(process, &sent).await.0;
            let (status, said) = here.refresh(&refresh_token).await;
            let retried = there.refresh(&refresh_token).await.0;
            if [redeemed, status, retried] != [200; 3] {
                return Some(index);
            }
            refresh_token = text(&said, "refresh_token").to_owned();
            host.advance(hour / 12);
        }
    }
    None
}

#[tokio::test]
async fn two_processes_replace_the_secret_in_mixed_states() {
    const BEFORE: (u8, &[u8]) = (OLD, &[]);
    const READY: (u8, &[u8]) = (OLD, &[NEW]);
    const SWITCHED: (u8, &[u8]) = (NEW, &[OLD]);
    const AFTER: (u8, &[u8]) = (NEW, &[]);
    let whole = [
        [BEFORE, BEFORE],
        [READY, BEFORE],
        [READY, READY],
        [READY, SWITCHED],
        [SWITCHED, SWITCHED],
        [AFTER, SWITCHED],
        [AFTER, AFTER],
    ];
    assert_eq!(first_refused_state(&whole).await, None);
    // A process that does not accept the new secret yet refuses tokens that the other process seals with it.
    assert_eq!(first_refused_state(&[[BEFORE, BEFORE], [SWITCHED, BEFORE]]).await, Some(1));
    // A process that no longer accepts the old secret refuses tokens that were sealed before.
    assert_eq!(first_refused_state(&[[BEFORE, BEFORE], [AFTER, AFTER]]).await, Some(1));
}

#[tokio::test]
async fn secrets_are_read_from_base64_strings() {
    let bytes: Vec<u8> = (0..40_u8).map(|n| n.wrapping_mul(37) ^ 0xfb).collect();
    let text_of = BASE64_STANDARD.encode(&bytes);
    assert!(text_of.contains(['+', '/']) && text_of.ends_with('='), "{text_of}");
    let host = Host::new();
    let key = || SigningKey::from_pem(P256).unwrap();
    let of_bytes = MasterKey::from_bytes(&bytes).unwrap();
    let by_bytes = host.beside(Settings::default(), key(), Keyring::new(&of_bytes, &of_bytes));
    let said = by_bytes.log_in(json!({})).await;
    for text_of in [text_of.clone(), format!("{text_of}\n"), format!(" {text_of}\r\n")] {
        let secret = MasterKey::from_base64(&text_of).unwrap();
        let by_text = host.beside(Settings::default(), key(), Keyring::new(&secret, &secret));
        assert!(by_text.is_active(text(&said, "refresh_token")).await, "it is another secret");
    }
    let short = BASE64_STANDARD.encode([7; 31]);
    let url_safe = text_of.replace('+', "-").replace('/', "_");
    let unpadded = text_of.trim_end_matches('=');
    for bad in ["", " ", "garbage", &short, &url_safe, unpadded, &format!("{text_of}A"), &format!("\"{text_of}\"")] {
        assert_eq!(MasterKey::from_base64(bad).err(), Some(InvalidMasterKey), "{bad:?}");
    }
    assert!(MasterKey::from_bytes(&[7; 31]).is_err() && MasterKey::from_bytes(&[7; 32]).is_ok());
    assert!(MasterKey::from_base64(&BASE64_STANDARD.encode([7; 32])).is_ok());
}

#[test]
fn a_longer_secret_is_read_as_openssl_prints_it() {
    // `openssl rand -base64 64` breaks its lines after 64 characters.
    let text_of = BASE64_STANDARD.encode([7; 64]);
    let printed = format!("{}\n{}\n", &text_of[..64], &text_of[64..]);
    assert!(MasterKey::from_base64(&printed).is_ok());
}

/// The defaults, in seconds.
const MAX_AGE: u64 = 300;
const ID_TOKEN: u64 = 1800;
