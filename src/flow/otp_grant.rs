//! The OTP grant: a code is redeemed for tokens.

use crate::address::Address;
use crate::directory::Directory;
use crate::directory::authenticated_client::AuthenticatedClient;
use crate::directory::user::{SignUp, User, UserStatus};
use crate::dpop::DpopError;
use crate::flow::caller;
use crate::flow::check_access_token::active_user;
use crate::flow::commit::Turn;
use crate::flow::core::Core;
use crate::flow::device_token;
use crate::flow::dpop::{ClientKey, Examined};
use crate::flow::guard;
use crate::flow::guess::{self, Guess, GuessRefused, Proof};
use crate::flow::narrow::granted_scope;
use crate::flow::record::Loaded;
use crate::flow::tokens::{self, Issuance};
use crate::grant::{Grant, Usage};
use crate::id::{DeviceId, KeyThumbprint, Mark, RecordKey, SessionId};
use crate::observer::Event;
use crate::otp::authenticator::Authenticator;
use crate::otp::guess_budget::{Proven, RedeemChallenge, RepeatAnswer};
use crate::otp::test_identity::TestIdentityMatch;
use crate::scope::Scope;
use crate::secret::code_challenge::challenge_of;
use crate::secret::sealed::{OtpTokenContent, Shown};
use crate::session::{Login, Session};
use crate::settings::Settings;
use crate::store::Store;
use crate::time::{CLOCK_TOLERANCE, Timestamp};
use crate::wire::error::TokenError;
use crate::wire::reply::TokenResponse;
use crate::wire::request::OtpGrantRequest;

/// Redeems a code for tokens. The checks run in the order of the contract, and the write that spends the code comes
/// last.
pub(crate) async fn otp_grant<S: Store, D: Directory>(
    core: &Core<S, D>,
    request: OtpGrantRequest<'_>,
) -> Result<TokenResponse, TokenError> {
    let mut turn = Turn::new(core);
    let address = &request.address;
    let channel = address.channel();

    // These checks need no record of the address. A request that fails here costs no guess.
    let examined = Examined::at_endpoint(core, request.dpop.as_ref(), core.proof_targets.token.as_ref());
    let client = caller::authenticate(core, &request.credentials).await?;
    let proven_key = examined.of_client(core, client.configuration())?;
    let client = caller::admit(core, client).await?;
    if !client.may_use(Grant::otp(channel)) {
        return Err(TokenError::UnauthorizedClient);
    }
    let source = caller::auth_source(core, &client, &request.auth_source, channel).await?;
    let challenge = challenge_of(request.code_verifier.as_ref()).map_err(|_| TokenError::UnknownOtpToken)?;
    // The token can have been sent before the client required challenges.
    if client.requires_code_challenge() && challenge.is_none() {
        return Err(TokenError::UnknownOtpToken);
    }
    let shown = Shown { challenge: challenge.as_ref(), key: proven_key.thumbprint().map(KeyThumbprint::as_bytes) };
    let token = OtpTokenContent::unseal(&request.otp_token, shown, &core.keyring, core.clock.now())
        .map_err(|_| TokenError::UnknownOtpToken)?;
    let sent_for = core.keyring.binding(client.id(), Some(source.id()), address, Usage::Login);
    if token.binding != sent_for {
        return Err(TokenError::MismatchedOtpToken);
    }
    let asked = request.scope.get().map_err(|_| TokenError::InvalidScope)?;
    let scope = client.grant_scope(asked).map_err(|_| TokenError::InvalidScope)?;

    // The guess is charged first, and the code is compared after that.
    let key = core.keyring.authenticator_key(address, &core.settings.addresses);
    let device = device_token::presented(core, request.device_token.as_ref(), &key, client.id());
    // Two writes of this request can have an unknown outcome. `mark` identifies the charge of the guess, and `spender`
    // the spending of the challenge. `spender` follows from the session, and needs no random bytes of its own. Where an
    // answer is repeated, an earlier request has spent the challenge. Its spender differs, and so giving back this
    // guess leaves that spending alone.
    let mark = Mark::from_bytes(turn.random()?);
    let session_id = SessionId::from_bytes(turn.random()?);
    let spender = Mark::of_session(&session_id);
    let test = core.test_identities.look_up(&core.keyring, client.id(), address, core.clock.now());
    let guess = Guess {
        key,
        token: &token,
        mark,
        presented: &request.otp,
        device,
        policy: source.code(),
        test: test.as_ref(),
        proof: proven_key.used_proof(token.needs_key()),
    };
    let (proof, loaded) = guess::prove(&mut turn, client.id(), guess).await?;

    // `log_in` takes the record out when it spends the challenge. A record that is still here saves a load when the
    // guess is given back.
    let mut loaded = Some(loaded);
    let granted = match proof {
        Proof::Spendable(proven) => {
            let (auto_signup, remember_device) = (request.auto_signup, request.remember_device);
            let login = ProvenLogin {
                client: &client,
                proven_key: &proven_key,
                address,
                key,
                test_ends_at: test.as_ref().and_then(TestIdentityMatch::ends_at),
                device,
                remember_device,
                auto_signup,
                scope,
            };
            log_in(&mut turn, login, &proven, session_id, &mut loaded).await
        }
        Proof::Repeated(session) => {
            let of_login = request.remember_device.then(|| core.keyring.device_of(&session));
            let known = loaded
                .as_ref()
                .and_then(|loaded| loaded.state()?.known_device(device, Some(of_login?), &core.limits, loaded.now()));
            let device_token = known.map(|device| device_token::remembered(core, device, &key, client.id()));
            let repeat = RepeatAnswer { id: token.challenge, session, mark };
            let repeated = repeat_login(&mut turn, &client, &proven_key, &repeat, &mut loaded).await;
            repeated.map(|answer| TokenResponse { device_token, ..answer })
        }
    };
    // The guess of a request that fails for the host's fault is given back.
    if matches!(granted, Err(TokenError::TemporarilyUnavailable)) {
        guess::release(&mut turn, loaded.take(), &guess, spender).await;
    }
    granted
}

/// Logs in the user of an address. The caller has proved the address, so from here on the answer may depend on the
/// user.
async fn log_in<S: Store, D: Directory>(
    turn: &mut Turn<'_, S, D>,
    login: ProvenLogin<'_>,
    proven: &Proven,
    session_id: SessionId,
    loaded: &mut Option<Loaded<Authenticator>>,
) -> Result<TokenResponse, TokenError> {
    let core = turn.core;
    let ProvenLogin { client, proven_key, address, key, test_ends_at, device, remember_device, auto_signup, scope } =
        login;
    let is_test = test_ends_at.is_some();
    let user = match core.looked_up(core.directory.user_by_address(address).await)? {
        Some(user) => user,
        // A client that may not sign up gets the same answer as a request without `auto_signup`.
        None if auto_signup && client.may_sign_up() && !is_test => {
            let SignUp::Accepted(user) = core.looked_up(core.directory.sign_up(address).await)? else {
                return Err(TokenError::UserNotFound);
            };
            core.observer.event(&Event::SignedUp { client: client.id(), address: key, subject: &user.subject });
            user
        }
        None => return Err(TokenError::UserNotFound),
    };
    if is_test && !user.is_test {
        return Err(TokenError::UserNotFound);
    }
    let now = core.clock.now();
    // The instant from which tokens are valid can lie in the future. The user may not log in until then. An instant
    // within the clock tolerance counts as reached, because the clock of the directory can be a little ahead.
    let may_not_yet = user.tokens_valid_after.is_some_and(|after| now.until(after) > CLOCK_TOLERANCE);
    if user.status != UserStatus::Active || may_not_yet || user.is_test != is_test {
        return Err(TokenError::UserNotActive);
    }
    let scope = granted_scope(core, &user, client, scope).await?.ok_or(TokenError::InvalidScope)?;
    let User { subject, tokens_valid_after, .. } = user;

    // The tokens are signed first. Where that fails, nothing is stored: the guess is given back, and the client can
    // repeat the request as often as it likes. The session is stored next. The swap that spends the challenge comes
    // last, and its proof releases the tokens.
    let channel = address.channel();
    let sealed_under = core.keyring.names_its_key();
    let client_id = client.id().clone();
    let login = Login {
        client: client_id,
        subject,
        scope: scope.clone(),
        channel,
        tokens_valid_after,
        sealed_under,
        proven_key: proven_key.of_login(),
        test_ends_at,
    };
    let Settings { session_validity, token_validity, repeat_answer_within, .. } = &core.settings;
    let session = Session::open(login, session_validity, token_validity.access_token, now);
    let prepared =
        tokens::prepare(turn, Issuance { session: &session, session_id, scope, number: 0, proven_key, now }).await?;
    turn.insert(core.keyring.session_key(&session_id), &session).await?;
    let client_mark = core.keyring.client_mark(client.id());
    let refresh_token = tokens::refresh_token(core, client, client_mark, session_id, session.refresh_token());
    let repeatable = (!repeat_answer_within.is_zero()).then_some(session_id);
    let new_device = remember_device.then(|| core.keyring.device_of(&session_id));
    let redeem = RedeemChallenge {
        proven,
        spender: Mark::of_session(&session_id),
        session: repeatable,
        device,
        new_device,
        limits: &core.limits,
    };
    let loaded = loaded.take().ok_or(TokenError::TemporarilyUnavailable)?;
    let mut redeemed = guess::spend(turn, loaded, &redeem).await?;
    let subject = session.subject();
    core.observer.event(&Event::LoggedIn { client: client.id(), address: key, subject, session: session_id });
    if is_test {
        core.observer.event(&Event::TestIdentityUsed { client: client.id(), address: key });
    }
    let device = redeemed.device().filter(|_| remember_device);
    if device.is_some() && device == new_device {
        core.observer.event(&Event::DeviceRemembered { client: client.id(), address: key });
    }
    guard::credit(turn, address, key, redeemed.take_settlement(), is_test).await;
    let device_token = device.map(|device| device_token::remembered(core, device, &key, client.id()));
    Ok(TokenResponse { device_token, ..prepared.release(redeemed, refresh_token) })
}

/// Repeats the answer to a right code whose first answer was lost. The tokens are of the same session, and the session
/// must still be unused.
async fn repeat_login<S: Store, D: Directory>(
    turn: &mut Turn<'_, S, D>,
    client: &AuthenticatedClient,
    proven_key: &ClientKey,
    repeat: &RepeatAnswer,
    loaded: &mut Option<Loaded<Authenticator>>,
) -> Result<TokenResponse, TokenError> {
    let core = turn.core;
    let session_id = repeat.session;
    let of_session = turn.load::<Session>(core.keyring.session_key(&session_id)).await?;
    // `seen_at` is the instant to decide at. It can be a little later than the clock reading.
    let (session, seen_at) = of_session.state().ok_or(TokenError::UnknownOtpToken)?.seen_at(of_session.now());
    if !session.is_unused() || session.is_over(seen_at) {
        return Err(TokenError::UnknownOtpToken);
    }
    // The first answer was for the key of its own proof.
    if !session.is_bound_like(proven_key.of_login().as_ref()) {
        return Err(TokenError::UnknownOtpToken);
    }
    let user = active_user(core, &session).await?.ok_or(TokenError::UserNotActive)?;
    let scope = granted_scope(core, &user, client, session.scope().clone()).await?.ok_or(TokenError::InvalidScope)?;
    let now = core.clock.now();
    let prepared =
        tokens::prepare(turn, Issuance { session: &session, session_id, scope, number: 0, proven_key, now }).await?;
    let client_mark = core.keyring.client_mark(client.id());
    let refresh_token = tokens::refresh_token(core, client, client_mark, session_id, session.refresh_token());
    let loaded = loaded.take().ok_or(TokenError::TemporarilyUnavailable)?;
    // Where the login was taken back in the meantime, the client can repeat the request and log in.
    let (repeated, _) = turn.commit(loaded, repeat).await.map_err(|_| TokenError::TemporarilyUnavailable)?;
    let (client, subject) = (client.id(), session.subject());
    core.observer.event(&Event::LoginRepeated { client, subject, session: session_id });
    Ok(prepared.release(repeated, refresh_token))
}

/// What a login needs once its code was right.
struct ProvenLogin<'a> {
    client: &'a AuthenticatedClient,
    proven_key: &'a ClientKey,
    address: &'a Address,
    key: RecordKey,
    /// When the test identity ends, if the address is one.
    test_ends_at: Option<Timestamp>,
    /// The device whose token came with the code.
    device: Option<DeviceId>,
    remember_device: bool,
    auto_signup: bool,
    scope: Scope,
}

impl From<GuessRefused> for TokenError {
    fn from(refused: GuessRefused) -> Self {
        match refused {
            GuessRefused::NoSuchChallenge => Self::UnknownOtpToken,
            GuessRefused::Wrong { attempts_remaining } => Self::UnknownOtp { attempts_remaining },
            GuessRefused::ReplayedProof => Self::InvalidDpopProof(DpopError::Replayed),
            GuessRefused::Unavailable => Self::TemporarilyUnavailable,
        }
    }
}
