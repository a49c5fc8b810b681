//! One telephone has one budget, and so has one mailbox, whatever the spelling of the address.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use otp_grant::directory::{ClientRegistry, SignUp, UserClaims, UserStore};
use otp_grant::entropy::EntropyUnavailable;
use otp_grant::settings::EMAIL_GRANT_TYPE;
use otp_grant::{
    Address, AddressPolicy, AuthSource, AuthSourceId, AuthorizationServer, Client, ClientId, Issuer, MemoryDirectory,
    MemoryStore, Scope, SigningKey, Subject, User, UserStatus,
};
use otp_grant_tests::*;
use serde_json::{Value, json};

#[tokio::test]
async fn one_telephone_gets_one_message_at_a_time() {
    let with_code = |code| AddressPolicy::default().with_country_code(code).unwrap();
    let british_plan = AddressPolicy::default().with_numbering_plan(|number| {
        if number.starts_with('+') {
            return Some(number.to_owned());
        }
        let national = number.strip_prefix('0').filter(|rest| !rest.starts_with('0'))?;
        Some(format!("+44{national}"))
    });
    let chinese = [
        "13612345678",
        "+8613612345678",
        "+86 (0)136 1234 5678",
        "+0086 136 1234 5678",
        "8613612345678",
        "008613612345678",
        "013612345678",
    ];
    let british = [
        "07911 123456",
        "+447911123456",
        "+44 (0)7911 123456",
        "+44 0 7911 123456",
        "+0044 7911 123456",
        "0044 7911 123456",
        "447911123456",
    ];
    let american = ["(202) 555-0123", "+1 202 555 0123", "1 202 555 0123", "+1 (1) 202 555 0123", "001 202 555 0123"];
    let scenarios: [(AddressPolicy, &[&str]); 7] = [
        (AddressPolicy::default(), &chinese),
        (AddressPolicy::default(), &british),
        (AddressPolicy::default(), &american),
        (with_code("86"), &chinese),
        (with_code("44"), &british),
        (with_code("1"), &american),
        (british_plan, &british),
    ];
    for (policy, spellings) in scenarios {
        // Any of the spellings can come first.
        for first in 0..spellings.len() {
            let host = Host::with(settings(|s| s.addresses = policy.clone()));
            let mut sent = Vec::new();
            for phone in spellings[first..].iter().chain(&spellings[..first]) {
                if host.try_send(&sms_send(phone)).await.is_ok() {
                    sent.push(phone);
                }
            }
            assert_eq!(sent.len(), 1, "{policy:?} {sent:?}");
        }
    }
}

fn email_send(email: &str) -> Value {
    json!({ "client_id": "TENANT_SPA_CLIENT_ID", "auth_source_id": "MOCK_EMAIL_OTP_AUTH_SOURCE_ID", "email": email })
}

fn email_grant(email: &str, sent: &Sent) -> Value {
    but(&email_send(email), json!({ "grant_type": EMAIL_GRANT_TYPE, "otp_token": sent.otp_token, "otp": sent.code }))
}

#[tokio::test]
async fn one_mailbox_gets_one_message_at_a_time_whatever_the_sub_address() {
    let host = Host::new();
    let mut sent = 0;
    for number in 0..200 {
        sent += usize::from(host.try_send(&email_send(&format!("victim+{number}@example.com"))).await.is_ok());
    }
    assert_eq!(sent, 1);
    // Another mailbox has its own budget, and the first one gets the next message later.
    host.send(&email_send("victim2@example.com")).await;
    host.send(&email_send("vic.tim@example.com")).await;
    host.advance(secs(30));
    host.send(&email_send("victim@example.com")).await;
}

#[tokio::test]
async fn a_sub_address_shares_the_budget_and_nothing_else() {
    let host = Host::new();
    let one = host.send(&email_send("user+one@example.com")).await;
    host.advance(secs(30));
    let two = host.send(&email_send("user+two@example.com")).await;
    // Each code belongs to the address that it was sent to.
    let crossed = host.token(&email_grant("user+two@example.com", &one)).await;
    assert_eq!(crossed, error(400, "invalid_request", "Mismatched OTP token and OTP sending parameters"));
    let signup = json!({ "auto_signup": true });
    for (address, sent) in [("user+one@example.com", &one), ("user+two@example.com", &two)] {
        let (status, tokens) = host.token(&but(&email_grant(address, sent), signup.clone())).await;
        assert_eq!(status, 200, "{address} {tokens}");
    }
}

#[tokio::test]
async fn what_the_host_calls_one_budget_is_one() {
    let dots = |address: &Address| {
        let budget = AddressPolicy::default().budget_of(address);
        budget.split_once('@').map(|(local, domain)| format!("{}@{domain}", local.replace('.', ""))).unwrap_or(budget)
    };
    let host = Host::with(settings(|s| s.addresses = AddressPolicy::default().with_budgets(dots)));
    host.send(&email_send("first.last@example.com")).await;
    for same in ["firstlast@example.com", "f.i.r.s.t.last+x@example.com"] {
        assert_eq!(host.refused_send(&email_send(same)).await.1["error"], "email_rate_limit_exceeded");
    }
    // The delivery goes to the address as it was given.
    host.advance(secs(30));
    let body = email_send("first.last+x@example.com").to_string();
    let delivery = host.server.post_send(json_request(&body, None)).await.unwrap();
    assert_eq!(delivery.message().unwrap().address().as_str(), "first.last+x@example.com");
    drop(delivery.accepted());
}

/// A directory that finds a user by the budget of an address.
struct ByBudget(MemoryDirectory);

impl ByBudget {
    fn address(address: &Address) -> Address {
        let policy = AddressPolicy::default();
        match address {
            Address::Email(_) => Address::Email(policy.email(&policy.budget_of(address)).unwrap()),
            Address::Phone(_) => address.clone(),
        }
    }
}

impl ClientRegistry for ByBudget {
    type Error = EntropyUnavailable;

    async fn client(&self, id: &ClientId) -> Result<Option<Arc<Client>>, EntropyUnavailable> {
        self.0.client(id).await
    }

    async fn auth_source(&self, id: &AuthSourceId) -> Result<Option<Arc<AuthSource>>, EntropyUnavailable> {
        self.0.auth_source(id).await
    }
}

impl UserStore for ByBudget {
    type Error = EntropyUnavailable;

    async fn user_by_address(&self, address: &Address) -> Result<Option<User>, EntropyUnavailable> {
        self.0.user_by_address(&Self::address(address)).await
    }

    async fn user_by_subject(&self, subject: &Subject) -> Result<Option<User>, EntropyUnavailable> {
        self.0.user_by_subject(subject).await
    }

    async fn user_claims(
        &self,
        subject: &Subject,
        client: &ClientId,
        scope: &Scope,
    ) -> Result<UserClaims, EntropyUnavailable> {
        self.0.user_claims(subject, client, scope).await
    }

    async fn sign_up(&self, address: &Address) -> Result<SignUp, EntropyUnavailable> {
        self.0.sign_up(&Self::address(address)).await
    }
}

#[tokio::test]
async fn a_user_who_is_found_by_many_addresses_is_guessed_at_25_times_a_day() {
    let victim = Address::Email(AddressPolicy::default().email("victim@example.com").unwrap());
    let user = User::new(Subject::new("VICTIM").unwrap(), UserStatus::Active);
    let (counters, clock) = (Counters::default(), ManualClock::new());
    let key = SigningKey::from_pem(include_str!("../keys/es256_pkcs8.pem")).unwrap();
    let server = AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring(), key)
        .clock(clock.clone())
        .entropy(SeededEntropy::default())
        .observer(counters.clone())
        .build(MemoryStore::with_clock(clock.clone()), ByBudget(sample_directory().with_user(user, [victim])))
        .unwrap();
    // As many messages as one address gets in a day, each to another sub-address.
    for number in 0..50 {
        let email = format!("victim+{number}@example.com");
        let body = email_send(&email).to_string();
        if let Ok(delivery) = server.post_send(json_request(&body, None)).await {
            let code = delivery.message().unwrap().code().expose_secret().to_owned();
            let reply = read(&delivery.accepted()).1;
            let sent = Sent { otp_token: text(&reply, "otp_token").to_owned(), code, reply };
            for _ in 0..5 {
                let guess = but(&email_grant(&email, &sent), json!({ "otp": wrong(&sent.code) })).to_string();
                assert_eq!(server.post_token(json_request(&guess, None)).await.status(), 400);
            }
        }
        clock.advance(secs(61));
    }
    assert_eq!(counters.wrong_codes.load(SeqCst), 25);
}

#[tokio::test]
async fn an_address_that_a_mail_library_reads_otherwise_is_sent_nothing() {
    let host = Host::new();
    for email in [
        "=?utf-8?q?mallory=40evil.example=3e=00?=x@corp.example",
        "=?ISO-8859-1?B?bWFsbG9yeUBldmlsLmV4YW1wbGU+?=@corp.example",
        "x=?uTf-8*EN?Q?mallory=40evil.example?=@corp.example",
        "mallory%evil.example@corp.example",
        "evil.example!mallory@corp.example",
        "-oQ/tmp@corp.example",
    ] {
        assert_eq!(
            host.refused_send(&email_send(email)).await,
            (400, json!({ "error": "malformed_email" })),
            "{email}"
        );
    }
}
