//! How often each request allocates: numbers that may only go down. They are those of the crate with `MemoryStore`;
//! what a host's HTTP and database allocate comes on top.

use allocation_counter::measure;
use otp_grant::id::RecordKey;
use otp_grant::jwt::Algorithm;
use otp_grant::settings::danger;
use otp_grant::store::ErasedStore;
use otp_grant::{AuthorizationServer, Issuer, MemoryDirectory, MemoryStore, Reply, Settings, SigningKey, Store};
use otp_grant_tests::*;
use pollster::block_on;
use serde_json::{Value, json};

type Server = AuthorizationServer<MemoryStore, MemoryDirectory>;

#[test]
fn a_login_allocates_at_most_25_times() {
    let counted = least(200, |server| {
        let body = sms_grant(PHONE, &send(server)).to_string();
        move |server| token(server, &body)
    });
    println!("a login: {counted} allocations");
    assert!(counted <= 25);
}

#[test]
fn a_refresh_allocates_at_most_15_times() {
    let counted = least(200, |server| {
        let login = token(server, &sms_grant(PHONE, &send(server)).to_string());
        let login: Value = serde_json::from_slice(login.body()).unwrap();
        let body = form(&[("grant_type", "refresh_token"), ("refresh_token", text(&login, "refresh_token"))], &[]);
        move |server| block_on(server.post_token(form_request(&body, None)))
    });
    println!("a refresh: {counted} allocations");
    assert!(counted <= 15);
}

#[test]
fn a_wrong_code_allocates_at_most_18_times() {
    let counted = least(400, |server| {
        let sent = send(server);
        let body = but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(&sent.code) })).to_string();
        move |server| token(server, &body)
    });
    println!("a wrong code: {counted} allocations");
    assert!(counted <= 18);
}

#[test]
fn a_garbage_otp_token_allocates_at_most_8_times() {
    let counted = least(400, |server| {
        let sent = send(server);
        let garbage = "A".repeat(sent.otp_token.len());
        let body = but(&sms_grant(PHONE, &sent), json!({ "otp_token": garbage })).to_string();
        move |server| token(server, &body)
    });
    println!("a garbage otp_token: {counted} allocations");
    assert!(counted <= 8);
}

#[test]
fn a_store_that_is_chosen_at_run_time_allocates_once_more_per_call() {
    let key = RecordKey::from_bytes([1; RecordKey::LEN]);
    let (store, erased) = (MemoryStore::new(), ErasedStore::new(MemoryStore::new()));
    let bare = || assert!(matches!(block_on(store.load(&key)), Ok(None)));
    let boxed = || assert!(matches!(block_on(erased.load(&key)), Ok(None)));
    // A thread that waits for the first time allocates for that, so the least of some runs counts.
    let least = |call: &dyn Fn()| (0..5).map(|_| measure(call).count_total).min();
    assert_eq!((least(&bare), least(&boxed)), (Some(0), Some(1)));
}

/// The allocations of a request that `prepare` makes ready. Some requests find a table of the store full and make it
/// grow, so it is done several times, and the least counts.
fn least<R: Fn(&Server) -> Reply>(status: u16, prepare: impl Fn(&Server) -> R) -> u64 {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let settings = danger::without_send_quotas(Settings::default());
    let server = AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring(), key)
        .settings(settings)
        .build(MemoryStore::new(), sample_directory())
        .unwrap();
    let counted = (0..10).map(|_| {
        let request = prepare(&server);
        let mut answered = 0;
        let counted = measure(|| answered = request(&server).status());
        assert_eq!(answered, status);
        counted.count_total
    });
    counted.min().unwrap()
}

fn send(server: &Server) -> Sent {
    let delivery = block_on(server.post_send(json_request(&sms_send(PHONE).to_string(), None))).unwrap();
    let code = delivery.message().unwrap().code().expose_secret().to_owned();
    let reply = read(&delivery.accepted()).1;
    Sent { otp_token: text(&reply, "otp_token").to_owned(), code, reply }
}

fn token(server: &Server, body: &str) -> Reply {
    block_on(server.post_token(json_request(body, None)))
}
