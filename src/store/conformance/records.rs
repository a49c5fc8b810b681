//! The bodies of the records that the checks store. They are real states of the crate's own rules.

use core::num::{NonZeroU8, NonZeroU32};
use core::time::Duration;

use serde_json::Value;

use crate::address::Channel;
use crate::change::{Attempt, Change};
use crate::dpop::{ProofUse, name_of_proof};
use crate::entropy::{Entropy, EntropyUnavailable, SystemEntropy};
use crate::guard::Trust;
use crate::guard::charge::{Charge, Credit};
use crate::guard::destination::Destination;
use crate::guard::message::{CountedMessage, Settlement};
use crate::guard::standing::Rule;
use crate::id::{
    Binding, ChallengeId, ClientId, DeviceId, InvalidId, KeyId, KeyThumbprint, Mark, Nonce, SessionId, Subject, TokenId,
};
use crate::otp::authenticator::Authenticator;
use crate::otp::challenge::NewChallenge;
use crate::otp::device::{DevicePolicy, MOST_DEVICES};
use crate::otp::guess_budget::ReserveGuess;
use crate::otp::limits::Limits;
use crate::otp::meter::Quota;
use crate::otp::policy::{CodePolicy, InvalidCodePolicy};
use crate::otp::resend::OpenChallenge;
use crate::scope::{InvalidScope, Scope};
use crate::secret::PresentedSecret;
use crate::secret::keys_in_use::AnnounceKeys;
use crate::session::bound_key::PresentedKey;
use crate::session::policy::{RefreshPolicy, SessionValidity};
use crate::session::refresh::{RefreshSession, Standing};
use crate::session::revoke::{EndSession, RevokeToken};
use crate::session::{Login, RevocationReason, Session};
use crate::store::{Body, InvalidRecord, RecordBody};
use crate::time::Timestamp;
use crate::used_once::Use;

/// Why a body could not be made.
#[derive(Debug)]
pub(super) enum NoBody {
    Entropy(EntropyUnavailable),
    Id(InvalidId),
    Scope(InvalidScope),
    Code(InvalidCodePolicy),
    Json(serde_json::Error),
    Record(InvalidRecord),
}

impl core::fmt::Display for NoBody {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Entropy(cause) => cause.fmt(f),
            Self::Id(cause) => cause.fmt(f),
            Self::Scope(cause) => cause.fmt(f),
            Self::Code(cause) => cause.fmt(f),
            Self::Json(cause) => cause.fmt(f),
            Self::Record(cause) => cause.fmt(f),
        }
    }
}

impl core::error::Error for NoBody {}

/// Random bytes.
pub(super) fn random<const N: usize>() -> Result<[u8; N], NoBody> {
    let mut bytes = [0; N];
    SystemEntropy::default().fill(&mut bytes).map_err(NoBody::Entropy)?;
    Ok(bytes)
}

/// A session of the user with this number.
pub(super) fn session(user: usize) -> Result<RecordBody, NoBody> {
    let subject = Subject::new(&user.to_string()).map_err(NoBody::Id)?;
    let client = ClientId::new("conformance").map_err(NoBody::Id)?;
    let session = open(client, subject, Scope::openid());
    Ok(RecordBody(Body::Session(session)))
}

/// Returns the number of the user of a session.
pub(super) fn user(body: &RecordBody) -> Option<usize> {
    match &body.0 {
        Body::Session(session) => session.subject().as_str().parse().ok(),
        Body::Authenticator(_) | Body::KeysInUse(_) | Body::UsedOnce(_) | Body::Destination(_) | Body::Later(_) => None,
    }
}

/// The record of an address without a history.
pub(super) fn empty_authenticator() -> RecordBody {
    RecordBody(Body::Authenticator(Authenticator::default()))
}

/// Makes the largest session. Its names are as long as possible and have every allowed character, and its list of
/// revoked tokens is full.
pub(super) fn largest_session() -> Result<RecordBody, NoBody> {
    largest_session_of(true)
}

/// Makes a large session, whose client has proved a key or not. Without a key, the session has format 1.
fn largest_session_of(proves_a_key: bool) -> Result<RecordBody, NoBody> {
    let printable: String = (b' '..=b'~').map(char::from).cycle().take(255).collect();
    let in_scope = |byte: &u8| !matches!(byte, b' ' | b'"' | b'\\');
    let tokens: Vec<u8> = (b' '..=b'~').filter(in_scope).cycle().take(960).collect();
    let scope = tokens.chunks(15).map(String::from_utf8_lossy).enumerate();
    // A number in front keeps the tokens apart.
    let scope: Vec<String> = scope.map(|(n, token)| format!("{n:02}{token}").chars().take(15).collect()).collect();
    let scope = Scope::parse(&scope.join(" ")).map_err(NoBody::Scope)?;
    let client = ClientId::new(&printable).map_err(NoBody::Id)?;
    let subject = Subject::new(&printable).map_err(NoBody::Id)?;
    let mut session = open(client, subject, scope);
    // More refreshes than the session remembers proofs.
    for generation in 0..12_u32 {
        let proof = proves_a_key.then(|| proof(generation));
        let refresh = RefreshSession {
            key: proof.map(|proof| proof.proof.key),
            proof,
            generation,
            presented_at: START,
            stood: Standing::Current,
            issue: generation.saturating_add(1),
            policy: RefreshPolicy::Rotate { retry_window: MINUTE },
            idle: DAY * 365,
            access_token: DAY,
            sealed_under: Some(KeyId::from_bytes(random()?)),
            mark: Mark::from_bytes(random()?),
        };
        session = changed(session, &refresh, START);
    }
    // As many as the list takes before it folds, and then the fold.
    for issue in 0..REVOKED {
        let token = TokenId::of(issue, random()?);
        let revoke = RevokeToken { token: &token, mark: Mark::from_bytes(random()?) };
        session = changed(session, &revoke, START);
    }
    Ok(RecordBody(Body::Session(session)))
}

/// Makes the largest authenticator. It has as many challenges as possible, with five guesses each, and 1000 sends and
/// 1000 guesses that still count. Each of its devices has as many challenges as possible, too.
pub(super) fn largest_authenticator() -> Result<RecordBody, NoBody> {
    let limits = limits();
    let short = CodePolicy::new(6, MINUTE).map_err(NoBody::Code)?;
    let long = CodePolicy::new(10, DAY).and_then(|policy| policy.with_alphabet(LETTERS)).map_err(NoBody::Code)?;
    let mut state = Authenticator::default();
    let mut now = START;
    let mut devices = Vec::new();
    for _ in 0..MOST_DEVICES {
        let device = DeviceId::from_bytes(random()?);
        state.keep_device(device, START.after(DAY.saturating_mul(2)));
        devices.push(device);
    }
    for round in 0..SENDS + SENDS_OF_DEVICES {
        // Distances with many digits.
        now = now.after(Duration::from_millis(80_000));
        // The last hundred challenges stay, with five guesses each. The rest of the thousand guesses belong to earlier
        // challenges.
        let is_kept = round >= SENDS - KEPT;
        let device = round.checked_sub(SENDS).and_then(|number| usize::try_from(number).ok());
        let device = device.and_then(|number| devices.get(number % MOST_DEVICES)).copied();
        let new = NewChallenge {
            id: ChallengeId::from_bytes(random()?),
            nonce: Nonce::from_bytes(random()?),
            code_key: KeyId::from_bytes(random()?),
            binding: Binding::from_bytes(random()?),
            policy: if is_kept { &long } else { &short },
            knows_key: &|_| true,
        };
        let id = new.id;
        let policy = new.policy;
        state = changed(state, &OpenChallenge { new, device, limits: &limits, is_counted: true }, now);
        let guesses = if is_kept || round % 5 == 0 { 5 } else { 0 };
        let text = LETTERS.get(..usize::from(policy.length())).filter(|_| is_kept).unwrap_or("123456");
        for number in 0..guesses {
            let proof = proof(number).proof;
            let guess = ReserveGuess {
                id,
                mark: Mark::from_bytes(random()?),
                presented: &PresentedSecret::new(text),
                device,
                policy,
                limits: &limits,
                repeat_window: Duration::ZERO,
                proof: Some(&proof),
            };
            state = changed(state, &guess, now);
        }
    }
    Ok(RecordBody(Body::Authenticator(state)))
}

/// Returns the state after a change, or the same state where the change is refused.
fn changed<C: Change<State: Clone>>(state: C::State, change: &C, now: Timestamp) -> C::State {
    let attempt = Attempt { now, follows_unknown_outcome: false };
    match change.decide(Some(state.clone()), attempt) {
        Ok(decision) => decision.into_parts().0,
        Err(_) => state,
    }
}

/// Makes bodies that together have every member, each with all its values and also absent.
pub(super) fn every_kind() -> Result<Vec<RecordBody>, NoBody> {
    let mut bodies = vec![
        session(1)?,
        empty_authenticator(),
        largest_session()?,
        largest_session_of(false)?,
        largest_authenticator()?,
        spent_authenticator()?,
        session_by(Channel::Sms)?,
        session_of_test_identity()?,
        keys_in_use()?,
        used_once()?,
        destination()?,
    ];
    for reason in [RevocationReason::Reuse, RevocationReason::SignedOut, RevocationReason::Host] {
        bodies.push(revoked_session(reason)?);
    }
    for of_later_version in [with_unknown_members(&session(2)?)?, with_unknown_members(&spent_authenticator()?)?] {
        bodies.push(of_later_version);
    }
    for body in [r#"{"session.4":{"a":[1,null,{}]}}"#, r#"{"another_kind":[true,-1,0.5,18446744073709551615]}"#] {
        bodies.push(RecordBody::from_bytes(body.as_bytes()).map_err(NoBody::Record)?);
    }
    Ok(bodies)
}

/// Makes a body as a later version can write it that leaves the decisions to this version.
fn with_unknown_members(body: &RecordBody) -> Result<RecordBody, NoBody> {
    let mut body = serde_json::to_value(body).map_err(NoBody::Json)?;
    add_members(&mut body);
    serde_json::from_value(body).map_err(NoBody::Json)
}

/// Adds a member of each kind to every structure, but not beside the kind of the body.
fn add_members(body: &mut Value) {
    let inner = match body {
        Value::Object(members) => members.values_mut().collect::<Vec<_>>(),
        Value::Array(values) => values.iter_mut().collect(),
        _ => Vec::new(),
    };
    for value in inner {
        add_members(value);
        if let Some(members) = value.as_object_mut() {
            for (number, value) in UNKNOWN.iter().enumerate() {
                let value = serde_json::from_str(value).unwrap_or_default();
                members.insert(format!("unknown {number}"), value);
            }
        }
    }
}

/// The keys of an issuer whose hosts accept two secrets and seal under one of them.
fn keys_in_use() -> Result<RecordBody, NoBody> {
    let [index, sealing, other] =
        [KeyId::from_bytes(random()?), KeyId::from_bytes(random()?), KeyId::from_bytes(random()?)];
    let announce = AnnounceKeys { index, sealing, accepted: vec![sealing, other], keep_for: DAY * 30 };
    Ok(RecordBody(Body::KeysInUse(announce.in_place_of(None, START.after(DAY * 30)))))
}

/// A value that was used.
fn used_once() -> Result<RecordBody, NoBody> {
    let used = Use { until: START.after(MINUTE), mark: Mark::from_bytes(random()?) };
    Ok(RecordBody(Body::UsedOnce(used.state())))
}

/// A destination of messages: 14 days with a message in each hour, of which every other one is verified.
fn destination() -> Result<RecordBody, NoBody> {
    let rule = Rule::Earned { per_day: u32::MAX, per_hour: u32::MAX, percent: 0 };
    let mut state = Destination::default();
    for hour in 0..14 * 24 {
        let now = START.after(MINUTE * 60 * hour);
        let message = CountedMessage::new(&ChallengeId::from_bytes(random()?), now, now.after(MINUTE * 10));
        let charge = Charge { message: &message, rule: &rule, trust: Trust::None, is_enforced: true, is_test: false };
        state = changed(state, &charge, now);
        let verified = (hour % 2 == 0).then_some(message);
        state =
            changed(state, &Credit { settlement: &Settlement { verified, dropped: Vec::new() }, is_test: false }, now);
    }
    Ok(RecordBody(Body::Destination(state)))
}

/// A session that ended early.
fn revoked_session(reason: RevocationReason) -> Result<RecordBody, NoBody> {
    let mark = Mark::from_bytes(random()?);
    Ok(RecordBody(match largest_session_of(false)?.0 {
        Body::Session(session) => Body::Session(changed(session, &EndSession { reason, mark }, START)),
        body => body,
    }))
}

/// Makes the record of an address with spent and unspent challenges. Only a right code spends a challenge, and there is
/// no code here. The challenges are therefore written in their stored form.
fn spent_authenticator() -> Result<RecordBody, NoBody> {
    let mut body = serde_json::to_value(largest_authenticator()?).map_err(NoBody::Json)?;
    let challenges = body.pointer_mut("/authenticator/c").and_then(Value::as_array_mut);
    for challenge in challenges.into_iter().flatten().step_by(2).filter_map(Value::as_object_mut) {
        let mark = || random().map(|bytes| Value::from(String::from(Mark::from_bytes(bytes))));
        challenge.insert("s".to_owned(), mark()?);
        challenge.insert("x".to_owned(), vec![mark()?].into());
        let session = String::from(SessionId::from_bytes(random()?));
        challenge.insert("r".to_owned(), vec![Value::from(session), START.as_unix_millis().into()].into());
        let message = CountedMessage::new(&ChallengeId::from_bytes(random()?), START, START.after(MINUTE));
        challenge.insert("m".to_owned(), vec![serde_json::to_value(message).map_err(NoBody::Json)?].into());
        let device = || serde_json::to_value(DeviceId::from_bytes(random()?)).map_err(NoBody::Json);
        let replaced = vec![device()?, START.as_unix_millis().into()];
        challenge.insert("w".to_owned(), vec![device()?, replaced.into()].into());
    }
    serde_json::from_value(body).map_err(NoBody::Json)
}

fn session_by(channel: Channel) -> Result<RecordBody, NoBody> {
    let client = ClientId::new("conformance").map_err(NoBody::Id)?;
    let subject = Subject::new("1").map_err(NoBody::Id)?;
    Ok(RecordBody(Body::Session(open_by(channel, client, subject, Scope::openid()))))
}

/// A session that began by a test identity.
fn session_of_test_identity() -> Result<RecordBody, NoBody> {
    let mut body = serde_json::to_value(session_by(Channel::Sms)?).map_err(NoBody::Json)?;
    if let Some(session) = body.pointer_mut("/session").and_then(Value::as_object_mut) {
        session.insert("z".to_owned(), START.as_unix_millis().into());
    }
    serde_json::from_value(body).map_err(NoBody::Json)
}

fn open(client: ClientId, subject: Subject, scope: Scope) -> Session {
    open_by(Channel::Email, client, subject, scope)
}

fn open_by(channel: Channel, client: ClientId, subject: Subject, scope: Scope) -> Session {
    let login = Login {
        client,
        subject,
        scope,
        channel,
        tokens_valid_after: Some(START),
        sealed_under: None,
        proven_key: None,
        test_ends_at: None,
    };
    Session::open(login, &SessionValidity::default(), MINUTE, START)
}

/// Makes a proof of a public client, which binds the refresh tokens of a session.
fn proof(number: u32) -> PresentedKey {
    let key = KeyThumbprint::from_bytes([7; KeyThumbprint::LEN]);
    let name = name_of_proof(&key, &number.to_string());
    let proof = ProofUse::named(key, &name, START.after(Duration::from_secs(number.into())));
    PresentedKey { proof, binds_refresh_tokens: true }
}

fn limits() -> Limits {
    let quota = Quota::new(NonZeroU32::MIN.saturating_add(1999), DAY);
    let mut devices = DevicePolicy::default();
    (devices.guesses, devices.sends) = (quota, vec![quota]);
    Limits {
        sends: vec![quota],
        guesses_per_challenge: NonZeroU8::MIN.saturating_add(4),
        guesses_per_address: quota,
        devices: Some(devices),
    }
}

const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// JSON values of every kind.
const UNKNOWN: [&str; 8] = [
    "null",
    "true",
    "18446744073709551615",
    "-9223372036854775808",
    "0.1",
    r#""\u0000\u00e9\\""#,
    "[[],{}]",
    r#"{"":[0]}"#,
];
const KEPT: u32 = 100;
const SENDS: u32 = 1000;
const SENDS_OF_DEVICES: u32 = 60;
const REVOKED: u32 = 8;
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const START: Timestamp = Timestamp::from_unix_secs(1_800_000_000);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde::de::{Deserialize, Deserializer, Error, Visitor};

    use super::*;
    use crate::dpop::used_proofs::UsedProofs;
    use crate::otp::challenge::Challenge;
    use crate::otp::device::Device;
    use crate::secret::keys_in_use::KeysInUse;
    use crate::session::bound_key::ProvenKey;
    use crate::session::revoked_tokens::RevokedTokens;
    use crate::used_once::UsedOnce;

    #[test]
    fn the_largest_records_are_as_large_as_they_say() {
        let authenticator = serde_json::to_value(largest_authenticator().unwrap()).unwrap();
        let authenticator = &authenticator["authenticator"];
        let challenges = authenticator["c"].as_array().unwrap();
        assert_eq!(challenges.len(), 160);
        assert_eq!(authenticator["d"].as_array().unwrap().len(), 3);
        assert!(challenges.iter().all(|challenge| challenge["g"].as_array().unwrap().len() == 5));
        assert_eq!(authenticator["s"].as_array().unwrap().len(), 1000);
        assert!(authenticator["f"].as_array().unwrap().len() >= 1000);
        let session = serde_json::to_value(largest_session().unwrap()).unwrap();
        let session = &session["session.2"];
        assert_eq!(session["s"].as_str().unwrap().len(), 1023);
        assert_eq!(session["u"].as_str().unwrap().len(), 255);
        assert_eq!(session["k"].as_array().unwrap().len(), 2);
        assert_eq!(session["t"]["l"].as_str().unwrap().len(), 8 * 12);
        assert_eq!(session["j"]["p"]["r"].as_str().unwrap().len(), 8 * 20);
    }

    /// Returns the names that a type reads: the members of a structure, or the variants of an enumeration.
    fn names_of<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
        let mut names: &[&str] = &[];
        // The deserializer gives no value. The names are its only result.
        drop(T::deserialize(Names(&mut names)));
        names
    }

    struct Names<'n>(&'n mut &'static [&'static str]);

    impl<'de> Deserializer<'de> for Names<'_> {
        type Error = serde::de::value::Error;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            Err(Self::Error::custom("only names"))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            names: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            *self.0 = names;
            self.deserialize_any(visitor)
        }

        fn deserialize_enum<V: Visitor<'de>>(
            self,
            _: &'static str,
            names: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            *self.0 = names;
            self.deserialize_any(visitor)
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map identifier ignored_any
        }
    }

    /// If a member were missing, a store that loses it would pass.
    #[test]
    fn the_bodies_have_every_member_and_each_of_its_values() {
        let bodies: Vec<Value> = every_kind().unwrap().iter().map(|body| serde_json::to_value(body).unwrap()).collect();
        let all = |pointer: &str| -> Vec<Value> {
            let (kind, member) = pointer.split_once('/').unwrap_or((pointer, ""));
            let of_kind = bodies.iter().filter_map(|body| body.get(kind));
            match member {
                "" => of_kind.cloned().collect(),
                member => of_kind.filter_map(|body| body.get(member)).cloned().collect(),
            }
        };
        let challenges: Vec<Value> =
            all("authenticator/c").iter().flat_map(|all| all.as_array().unwrap().clone()).collect();
        for (names, found) in [
            (names_of::<RecordBody>(), bodies.clone()),
            (names_of::<Session>(), [all("session"), all("session.2"), all("session.3")].concat()),
            (names_of::<ProvenKey>(), all("session.2/j")),
            (names_of::<UsedProofs>(), all("session.2/j").iter().filter_map(|key| key.get("p")).cloned().collect()),
            (names_of::<Authenticator>(), all("authenticator")),
            (
                names_of::<Device>(),
                all("authenticator/d").iter().flat_map(|all| all.as_array().unwrap().clone()).collect(),
            ),
            (names_of::<KeysInUse>(), all("keys_in_use")),
            (names_of::<UsedOnce>(), all("used")),
            (names_of::<Destination>(), all("destination")),
            (names_of::<Challenge>(), challenges),
            (names_of::<RevokedTokens>(), all("session/t")),
        ] {
            assert!(!names.is_empty());
            for name in names {
                assert!(found.iter().any(|value| value.get(name).is_some_and(|value| !value.is_null())), "{name}");
            }
        }
        for (names, found) in
            [(names_of::<RevocationReason>(), all("session/d")), (names_of::<Channel>(), all("session/m"))]
        {
            assert!(!names.is_empty() && names.iter().all(|name| found.iter().any(|value| value == name)));
        }
    }
}
