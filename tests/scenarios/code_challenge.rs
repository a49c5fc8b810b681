//! A client sends a code challenge with its request for a code. The request that redeems the code must present the
//! verifier. A wrong, missing or superfluous verifier makes the otp_token one that this server does not know.

use std::sync::atomic::Ordering::SeqCst;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use otp_grant::secret::{CodeChallenge, PresentedSecret};
use otp_grant::server::{VerifiedAddress, VerifyError, VerifyRequest};
use otp_grant::store::Swap;
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::{Value, json};

/// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const OTHER_VERIFIER: &str = "the-verifier-of-another-login.of.43_characters~";

const ROW_6: &str = "Unknown or expired otp_token";
const ROW_7: &str = "Mismatched OTP token and OTP sending parameters";
const MISSING: &str = "code_challenge is missing";

fn challenge_of(verifier: &str) -> String {
    CodeChallenge::of_verifier(verifier).unwrap().to_string()
}

/// A send with this challenge.
fn asked(body: &Value, challenge: &str) -> Value {
    but(body, json!({ "code_challenge": challenge, "code_challenge_method": "S256" }))
}

/// A grant with this verifier.
fn shown(body: &Value, verifier: &str) -> Value {
    but(body, json!({ "code_verifier": verifier }))
}

/// A host, and the grant of a code that was asked for with [`CHALLENGE`]. The grant has no verifier yet.
async fn ready() -> (Host, Value) {
    let host = Host::new();
    let sent = host.send(&asked(&sms_send(PHONE), CHALLENGE)).await;
    let grant = sms_grant(PHONE, &sent);
    (host, grant)
}

/// Every verifier that is not the verifier of [`CHALLENGE`], and none.
fn wrong_verifiers() -> Vec<Value> {
    let wrong = [
        OTHER_VERIFIER.to_owned(),
        CHALLENGE.to_owned(),
        wrong(VERIFIER),
        format!("{VERIFIER}A"),
        // These are malformed.
        VERIFIER[..42].to_owned(),
        format!("{VERIFIER}="),
        format!("{VERIFIER} "),
        format!(" {VERIFIER}"),
        VERIFIER.replace('-', "+"),
        "é".repeat(43),
        "\u{0}".repeat(43),
        "a".repeat(129),
        "a".repeat(10_000),
    ];
    wrong.into_iter().map(Value::from).chain([Value::Null]).collect()
}

async fn refuse(host: &Host, body: &Value, code: &str, description: &str) {
    let (calls, said) = host.store_calls(host.token(body)).await;
    assert_eq!((calls, said), (0, error(400, code, description)), "{body}");
}

async fn guesses_left(host: &Host, grant: &Value) -> u64 {
    let guess = but(grant, json!({ "otp": wrong(text(grant, "otp")) }));
    host.token(&guess).await.1["attempts_remaining"].as_u64().unwrap() + 1
}

#[tokio::test]
async fn the_verifier_of_a_challenge_redeems_its_code() {
    let (host, grant) = ready().await;
    assert_eq!(challenge_of(VERIFIER), CHALLENGE);
    assert_eq!(host.token(&shown(&grant, VERIFIER)).await.0, 200);
    refuse_spent(&host, &shown(&grant, VERIFIER)).await;
    for len in [43, 128] {
        let verifier = "~".repeat(len);
        let (host, _) = ready().await;
        host.advance(secs(30));
        let sent = host.send(&asked(&sms_send(PHONE), &challenge_of(&verifier))).await;
        assert_eq!(host.token(&shown(&sms_grant(PHONE, &sent), &verifier)).await.0, 200, "{len}");
    }
}

async fn refuse_spent(host: &Host, body: &Value) {
    assert_eq!(host.token(body).await, error(400, "invalid_grant", ROW_6));
}

#[tokio::test]
async fn a_verifier_is_read_from_a_form() {
    let (host, grant) = ready().await;
    let members: Vec<(&str, &str)> =
        grant.as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
    let post = async |changes: &[(&str, &str)]| {
        read(&host.server.post_token(form_request(&form(&members, changes), None)).await).0
    };
    // The form names the client once.
    let without = [("client_id", CLIENT), ("client_secret", CLIENT_SECRET)];
    assert_eq!(post(&[without[0], without[1], ("code_verifier", OTHER_VERIFIER)]).await, 400);
    assert_eq!(post(&[without[0], without[1], ("code_verifier", VERIFIER)]).await, 200);
}

#[tokio::test]
async fn without_its_verifier_a_token_is_unknown_and_costs_neither_a_guess_nor_a_call() {
    let (host, grant) = ready().await;
    let wrong_code = but(&grant, json!({ "otp": wrong(text(&grant, "otp")) }));
    for verifier in wrong_verifiers() {
        for body in [&grant, &wrong_code] {
            refuse(&host, &but(body, json!({ "code_verifier": verifier })), "invalid_grant", ROW_6).await;
        }
    }
    assert_eq!(host.counters.wrong_codes.load(SeqCst), 0);
    assert_eq!(guesses_left(&host, &shown(&grant, VERIFIER)).await, 5);
    assert_eq!(host.token(&shown(&grant, VERIFIER)).await.0, 200);
}

/// A client whose challenge was lost on the way must not believe that its otp_token is bound (RFC 9700 section 2.1.1).
#[tokio::test]
async fn a_verifier_for_a_token_without_a_challenge_is_refused() {
    let host = Host::new();
    let sent = host.send(&sms_send(PHONE)).await;
    let grant = sms_grant(PHONE, &sent);
    for verifier in wrong_verifiers().into_iter().chain([json!(VERIFIER)]).filter(|verifier| !verifier.is_null()) {
        refuse(&host, &but(&grant, json!({ "code_verifier": verifier })), "invalid_grant", ROW_6).await;
    }
    assert_eq!(guesses_left(&host, &grant).await, 5);
    assert_eq!(host.token(&but(&grant, json!({ "code_verifier": null }))).await.0, 200);
}

/// An attacker reads the message and the reply of the send, and can do what it likes with the bytes of the otp_token.
#[tokio::test]
async fn the_version_of_a_token_cannot_be_changed() {
    let (host, grant) = ready().await;
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text(&grant, "otp_token")).unwrap();
    assert_eq!(bytes[0], 2);
    for version in (0..=255).filter(|version| *version != 2) {
        let altered = [&[version], &bytes[1..]].concat();
        let altered = but(&grant, json!({ "otp_token": BASE64_URL_SAFE_NO_PAD.encode(altered) }));
        for body in [&altered, &shown(&altered, VERIFIER), &shown(&altered, OTHER_VERIFIER)] {
            refuse(&host, body, "invalid_grant", ROW_6).await;
        }
    }
    assert_eq!(host.token(&shown(&grant, VERIFIER)).await.0, 200);
}

#[tokio::test]
async fn a_verifier_of_the_wrong_type_is_a_malformed_request() {
    let (host, grant) = ready().await;
    for (value, problem) in [
        (json!(1), "code_verifier must be a string"),
        (json!(true), "code_verifier must be a string"),
        (json!([VERIFIER]), "code_verifier must be a string"),
        (json!({}), "code_verifier must be a string"),
        (json!(""), "code_verifier must not be empty"),
    ] {
        // It is row 1: before the grant type, the client and the rest.
        let body = but(&grant, json!({ "code_verifier": value, "grant_type": "password", "client_secret": "WRONG" }));
        refuse(&host, &body, "invalid_request", problem).await;
    }
    let twice = shown(&grant, VERIFIER).to_string().replacen('{', &format!(r#"{{"code_verifier":"{VERIFIER}","#), 1);
    let said = read(&host.server.post_token(json_request(&twice, None)).await);
    assert_eq!(said, error(400, "invalid_request", "code_verifier is given twice"));
    assert_eq!(host.token(&shown(&grant, VERIFIER)).await.0, 200);
}

#[tokio::test]
async fn a_send_accepts_a_whole_challenge_of_the_one_method_and_nothing_else() {
    let host = Host::new();
    let method_missing = "code_challenge_method is missing";
    let method_invalid = "code_challenge_method is not valid";
    let invalid = "code_challenge is not valid";
    let of_31_bytes = "A".repeat(42);
    let of_33_bytes = "A".repeat(44);
    let padded = format!("{CHALLENGE}=");
    let base64 = CHALLENGE.replace('-', "+");
    // The last character has two bits that no byte uses.
    let with_bits_beyond = CHALLENGE.replace("-cM", "-cN");
    let mut cases = vec![
        (json!({ "code_challenge": CHALLENGE }), method_missing),
        (json!({ "code_challenge": "short" }), method_missing),
        (json!({ "code_challenge_method": "S256" }), MISSING),
        (json!({ "code_challenge_method": "S256", "code_challenge": null }), MISSING),
        (json!({ "code_challenge_method": "plain" }), method_invalid),
        (json!({ "code_challenge_method": 1, "code_challenge": CHALLENGE }), "code_challenge_method must be a string"),
        (
            json!({ "code_challenge_method": "", "code_challenge": CHALLENGE }),
            "code_challenge_method must not be empty",
        ),
        (json!({ "code_challenge_method": "S256", "code_challenge": [] }), "code_challenge must be a string"),
        (json!({ "code_challenge_method": "S256", "code_challenge": "" }), "code_challenge must not be empty"),
    ];
    for method in ["plain", "s256", "S256 ", "S512", "none", "é"] {
        cases.push((json!({ "code_challenge_method": method, "code_challenge": CHALLENGE }), method_invalid));
    }
    for challenge in [VERIFIER.get(..42).unwrap(), &of_31_bytes, &of_33_bytes, &padded, &base64, &with_bits_beyond, "é"]
    {
        cases.push((json!({ "code_challenge_method": "S256", "code_challenge": challenge }), invalid));
    }
    for (changes, problem) in cases {
        let body = but(&sms_send(PHONE), changes.clone());
        let (calls, said) = host.store_calls(host.refused_send(&body)).await;
        assert_eq!((calls, said), (0, error(400, "invalid_request", problem)), "{changes}");
        // It is told before the address is read and before the client is authenticated.
        let worse = but(&body, json!({ "phone_number": "1", "client_secret": "WRONG" }));
        assert_eq!(host.refused_send(&worse).await, error(400, "invalid_request", problem), "{changes}");
    }
    assert!(host.directory.calls.lock().unwrap().is_empty());
    host.send(&but(&sms_send(PHONE), json!({ "code_challenge": null, "code_challenge_method": null }))).await;
}

#[tokio::test]
async fn the_verifier_has_its_place_in_the_order_of_the_checks() {
    let (host, grant) = ready().await;
    for verifier in wrong_verifiers().into_iter().filter(|verifier| !verifier.is_null()) {
        let wrong = but(&grant, json!({ "code_verifier": verifier }));
        // Rows 2 to 5 come before it.
        let refused = host.token(&but(&wrong, json!({ "grant_type": "password" }))).await;
        assert_eq!(refused, error(400, "unsupported_grant_type", ""));
        let refused = host.token(&but(&wrong, json!({ "client_secret": "WRONG" }))).await;
        assert_eq!(refused, error(401, "invalid_client", ""));
        let no_grant = json!({ "client_id": "NO_GRANT_CLIENT_ID", "client_secret": "SECRET" });
        refuse(&host, &but(&wrong, no_grant), "unauthorized_client", "").await;
        let not_associated = "Auth source and application not associated";
        let body = but(&wrong, json!({ "auth_source_id": "LONE_AUTH_SOURCE_ID" }));
        refuse(&host, &body, "invalid_auth_source", not_associated).await;
        // Rows 7 and 11 come after it.
        refuse(&host, &but(&wrong, json!({ "phone_number": NOBODY })), "invalid_grant", ROW_6).await;
        refuse(&host, &but(&wrong, json!({ "scope": "admin" })), "invalid_grant", ROW_6).await;
    }
    let right = shown(&grant, VERIFIER);
    refuse(&host, &but(&right, json!({ "phone_number": NOBODY, "scope": "admin" })), "invalid_request", ROW_7).await;
    refuse(&host, &but(&right, json!({ "scope": "admin" })), "invalid_scope", "").await;
    assert_eq!(host.token(&right).await.0, 200);
}

#[tokio::test]
async fn a_resend_shares_the_code_of_the_same_challenge_and_of_no_other() {
    let (plain, other) = (sms_send(PHONE), challenge_of(OTHER_VERIFIER));
    let asks = [
        (None, plain.clone()),
        (Some(VERIFIER), asked(&plain, CHALLENGE)),
        (Some(OTHER_VERIFIER), asked(&plain, &other)),
    ];
    for (first_verifier, first) in &asks {
        for (second_verifier, second) in &asks {
            let host = Host::new();
            let mut codes = Vec::new();
            let mut grants = Vec::new();
            for (verifier, ask) in [(first_verifier, first), (second_verifier, second)] {
                let sent = host.send(ask).await;
                grants.push(but(&sms_grant(PHONE, &sent), json!({ "code_verifier": verifier })));
                codes.push(sent.code);
                host.advance(secs(30));
            }
            let is_same = first_verifier == second_verifier;
            assert_eq!(codes[0] == codes[1], is_same, "{first_verifier:?} {second_verifier:?}");
            // Without a shared code, both codes stay good, and each for its own otp_token alone.
            for (index, grant) in grants.iter().enumerate() {
                let crossed = but(grant, json!({ "otp": codes[1 - index] }));
                if !is_same {
                    let (status, said) = host.token(&crossed).await;
                    assert_eq!((status, &said["attempts_remaining"]), (400, &json!(4)), "{said}");
                }
            }
            assert_eq!(host.token(&grants[0]).await.0, 200);
            assert_eq!(host.token(&grants[1]).await.0, if is_same { 400 } else { 200 });
        }
    }
}

/// An attacker asks for a code right after the user, and reads no message. A shared code would let its own otp_token
/// redeem what the user is talked into reading out.
#[tokio::test]
async fn a_code_in_flight_is_shared_by_its_asker_while_others_send() {
    let host = Host::new();
    let user = asked(&sms_send(PHONE), CHALLENGE);
    let first = host.send(&user).await;
    host.advance(secs(30));
    let attackers = host.send(&sms_send(PHONE)).await;
    host.advance(secs(30));
    let again = host.send(&user).await;
    assert_eq!((first.code == again.code, first.code == attackers.code), (true, false));
    let tried = Sent { code: first.code, ..attackers };
    assert_eq!(host.token(&sms_grant(PHONE, &tried)).await.1["attempts_remaining"], 4);
    assert_eq!(host.token(&shown(&sms_grant(PHONE, &again), VERIFIER)).await.0, 200);
}

#[tokio::test]
async fn of_two_codes_in_time_only_those_of_one_asker_are_right() {
    let host = Host::new();
    let user = asked(&sms_send(PHONE), CHALLENGE);
    let first = host.send(&user).await;
    host.advance(secs(91));
    let second = host.send(&user).await;
    host.advance(secs(30));
    let of_other = host.send(&sms_send(PHONE)).await;
    assert!(first.code != second.code && second.code != of_other.code);
    let grant = |sent: &Sent, code: &str| shown(&but(&sms_grant(PHONE, sent), json!({ "otp": code })), VERIFIER);
    assert_eq!(host.token(&grant(&second, &of_other.code)).await.1["attempts_remaining"], 4);
    assert_eq!(host.token(&grant(&second, &first.code)).await.0, 200, "the earlier code, with the later otp_token");
    let (status, said) = host.token(&sms_grant(PHONE, &of_other)).await;
    assert_eq!(status, 200, "{said}");
}

/// The budget of guesses is the address's, whoever asks.
#[tokio::test]
async fn another_challenge_gives_no_guesses_more() {
    let host = Host::new();
    let mut guesses = 0;
    for round in 0..40 {
        let verifier = format!("{round:0>43}");
        let Ok(sent) = host.try_send(&asked(&sms_send(PHONE), &challenge_of(&verifier))).await else { break };
        let guess = shown(&but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(&sent.code) })), &verifier);
        while host.token(&guess).await.1["error_description"] == "Unknown or expired OTP" {
            guesses += 1;
        }
        host.advance(secs(30));
    }
    let plain = Host::new();
    let mut plain_guesses = 0;
    while let Ok(sent) = plain.try_send(&sms_send(PHONE)).await {
        let guess = but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(&sent.code) }));
        while plain.token(&guess).await.1["error_description"] == "Unknown or expired OTP" {
            plain_guesses += 1;
        }
        plain.advance(secs(30));
    }
    assert_eq!(guesses, plain_guesses);
    assert!(guesses > 5);
}

#[tokio::test]
async fn an_answer_is_repeated_for_the_verifier_alone() {
    let host = Host::with(settings(|s| s.repeat_answer_within = secs(40)));
    let sent = host.send(&asked(&sms_send(PHONE), CHALLENGE)).await;
    let grant = sms_grant(PHONE, &sent);
    let (status, first) = host.token(&shown(&grant, VERIFIER)).await;
    assert_eq!(status, 200);
    host.advance(secs(39));
    for verifier in wrong_verifiers() {
        refuse(&host, &but(&grant, json!({ "code_verifier": verifier })), "invalid_grant", ROW_6).await;
    }
    let (status, again) = host.token(&shown(&grant, VERIFIER)).await;
    assert_eq!(status, 200, "{again}");
    let session = |said: &Value| payload(text(said, "access_token"))["sid"].clone();
    assert_eq!(session(&first), session(&again));
}

#[tokio::test]
async fn a_sealing_secret_is_replaced_while_a_challenge_is_in_flight() {
    let [index, old, new] = [1, 2, 3].map(|byte| MasterKey::from_bytes(&[byte; 32]).unwrap());
    let (host, grant) = ready().await;
    let accepting = host.beside(Settings::default(), signing_key(), Keyring::new(&index, &new).accepting(&old));
    let dropped = host.beside(Settings::default(), signing_key(), Keyring::new(&index, &new));
    refuse(&dropped, &shown(&grant, VERIFIER), "invalid_grant", ROW_6).await;
    refuse(&accepting, &shown(&grant, OTHER_VERIFIER), "invalid_grant", ROW_6).await;
    host.advance(secs(30));
    // The code of the old secret is shared with the same asker, and an otp_token of the new secret redeems it.
    let again = accepting.send(&asked(&sms_send(PHONE), CHALLENGE)).await;
    assert_eq!(again.code, text(&grant, "otp"));
    assert_eq!(accepting.token(&shown(&grant, VERIFIER)).await.0, 200);
}

/// The same numbers as without a challenge (`store_calls`).
#[tokio::test]
async fn a_challenge_costs_no_call_and_no_byte_in_the_record() {
    let size = |host: &Host| -> Vec<usize> {
        let records = host.store.inner.records();
        records.iter().map(|(_, record)| serde_json::to_string(&record).unwrap().len()).collect()
    };
    let plain = Host::new();
    plain.send(&sms_send(PHONE)).await;
    let host = Host::new();
    let (calls, sent) = host.store_calls(host.send(&asked(&sms_send(PHONE), CHALLENGE))).await;
    assert_eq!((calls, size(&host)), (2, size(&plain)));
    let grant = shown(&sms_grant(PHONE, &sent), VERIFIER);
    let (calls, _) = host.store_calls(host.token(&but(&grant, json!({ "otp": wrong(&sent.code) })))).await;
    assert_eq!(calls, 2, "wrong code");
    let (calls, (status, _)) = host.store_calls(host.token(&grant)).await;
    assert_eq!((calls, status), (4, 200), "right code");
    let dump = format!("{:?}", host.store.inner.records());
    for absent in [VERIFIER, CHALLENGE] {
        assert!(!dump.contains(absent));
    }
    let told = host.counters.told.lock().unwrap().join(" ");
    assert!(!told.contains(VERIFIER) && !told.contains(CHALLENGE));
}

/// `code_challenge_methods_supported` describes an authorization endpoint (RFC 8414 section 2), and there is none.
#[tokio::test]
async fn challenges_change_nothing_for_a_client_that_sends_none() {
    let host = Host::new();
    let said = host.log_in(json!({})).await;
    let (status, _) = host.refresh_with(text(&said, "refresh_token"), &[("code_verifier", VERIFIER)]).await;
    assert_eq!(status, 200, "a refresh has no challenge");
    for path in [Issuer::new(ISSUER).unwrap().metadata_path(), Issuer::new(ISSUER).unwrap().openid_configuration_path()]
    {
        let reply = host.server.handle(Request::new("GET", &path), async |_| unreachable!()).await.unwrap();
        let metadata = read(&reply).1;
        assert_eq!(metadata["issuer"], ISSUER);
        assert!(metadata.get("code_challenge_methods_supported").is_none());
    }
}

// ---- A client that requires challenges ----

const REQUIRING: &str = "REQUIRING_CLIENT_ID";

/// A host with a public client that can require challenges.
fn host_with(requires: bool) -> Host {
    let client = Client::public(ClientId::new(REQUIRING).unwrap())
        .with_sending()
        .with_auth_source(AuthSourceId::new(SMS_SOURCE).unwrap());
    let client = if requires { client.with_required_code_challenge() } else { client };
    Host::with_directory(Settings::default(), signing_key(), sample_directory().with_client(client))
}

fn by_requiring(body: &Value) -> Value {
    but(body, json!({ "client_id": REQUIRING, "client_secret": null }))
}

#[tokio::test]
async fn a_client_that_requires_challenges_gets_no_code_without_one() {
    let host = host_with(true);
    let body = by_requiring(&sms_send(PHONE));
    let (calls, said) = host.store_calls(host.refused_send(&body)).await;
    assert_eq!((calls, said), (0, error(400, "invalid_request", MISSING)));
    // The client is authenticated first, and its auth source is looked at later.
    let with_secret = but(&body, json!({ "client_secret": "SECRET" }));
    assert_eq!(host.refused_send(&with_secret).await, error(401, "invalid_client", ""));
    let other_source = but(&body, json!({ "auth_source_id": "LONE_AUTH_SOURCE_ID" }));
    assert_eq!(host.refused_send(&other_source).await, error(400, "invalid_request", MISSING));
    for usage in ["signup", "update_userinfo", "reset_password"] {
        let body = but(&body, json!({ "usage": usage, "auth_source_id": null }));
        assert_eq!(host.refused_send(&body).await, error(400, "invalid_request", MISSING), "{usage}");
    }
    let sent = host.send(&asked(&body, CHALLENGE)).await;
    let grant = by_requiring(&sms_grant(PHONE, &sent));
    refuse(&host, &grant, "invalid_grant", ROW_6).await;
    assert_eq!(host.token(&shown(&grant, VERIFIER)).await.0, 200);
    // Other clients need none.
    host.advance(secs(30));
    host.send(&sms_send(PHONE)).await;
}

#[tokio::test]
async fn a_code_that_was_sent_before_the_client_required_challenges_is_not_redeemed() {
    for requires in [false, true] {
        let (before, after) = (host_with(false), host_with(requires));
        let sent = before.send(&by_requiring(&sms_send(PHONE))).await;
        for (key, record) in before.store.inner.records() {
            let Ok(swap) = after.store.inner.swap(&key, None, &record).await;
            assert_eq!(swap, Swap::Stored);
        }
        let grant = by_requiring(&sms_grant(PHONE, &sent));
        if requires {
            refuse(&after, &shown(&grant, VERIFIER), "invalid_grant", ROW_6).await;
            refuse(&after, &grant, "invalid_grant", ROW_6).await;
            let other_source = but(&grant, json!({ "auth_source_id": "LONE_AUTH_SOURCE_ID" }));
            let not_associated = "Auth source and application not associated";
            refuse(&after, &other_source, "invalid_auth_source", not_associated).await;
            refuse(&after, &but(&grant, json!({ "phone_number": NOBODY })), "invalid_grant", ROW_6).await;
        } else {
            assert_eq!(after.token(&grant).await.0, 200);
        }
    }
}

// ---- Usages other than login ----

async fn verify(host: &Host, sent: &Sent, code: &str, verifier: Option<&str>) -> Result<VerifiedAddress, VerifyError> {
    let client = ClientId::new(CLIENT).unwrap();
    let address = Address::Phone(AddressPolicy::default().phone_number(PHONE).unwrap());
    let (otp_token, otp) = (PresentedSecret::new(sent.otp_token.as_str()), PresentedSecret::new(code));
    let request = VerifyRequest::new(&client, Usage::Signup, address, otp_token, otp);
    let request = match verifier {
        Some(verifier) => request.with_code_verifier(PresentedSecret::new(verifier)),
        None => request,
    };
    host.server.call_verify(request).await
}

#[tokio::test]
async fn a_verification_needs_the_verifier_as_a_login_does() {
    let host = Host::new();
    let signup = but(&sms_send(PHONE), json!({ "usage": "signup", "auth_source_id": null }));
    let sent = host.send(&asked(&signup, CHALLENGE)).await;
    for verifier in wrong_verifiers() {
        let (calls, refused) = host.store_calls(verify(&host, &sent, &sent.code, verifier.as_str())).await;
        assert_eq!((calls, refused.err()), (0, Some(VerifyError::UnknownOtpToken)), "{verifier}");
    }
    let (calls, refused) = host.store_calls(verify(&host, &sent, &sent.code, Some(""))).await;
    assert_eq!((calls, refused.err()), (0, Some(VerifyError::UnknownOtpToken)));
    // Row 6 comes before row 7: the token endpoint does not redeem this code.
    refuse(&host, &sms_grant(PHONE, &sent), "invalid_grant", ROW_6).await;
    refuse(&host, &shown(&sms_grant(PHONE, &sent), VERIFIER), "invalid_request", ROW_7).await;
    let missed = verify(&host, &sent, &wrong(&sent.code), Some(VERIFIER)).await;
    assert_eq!(missed.err(), Some(VerifyError::UnknownOtp { attempts_remaining: 4 }));
    assert!(verify(&host, &sent, &sent.code, Some(VERIFIER)).await.is_ok());

    host.advance(secs(60));
    let sent = host.send(&signup).await;
    let superfluous = verify(&host, &sent, &sent.code, Some(VERIFIER)).await;
    assert_eq!(superfluous.err(), Some(VerifyError::UnknownOtpToken));
    assert!(verify(&host, &sent, &sent.code, None).await.is_ok());
}
