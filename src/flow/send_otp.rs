//! The send endpoint: it creates a challenge, and hands the code to the host for delivery.

use crate::address::Channel;
use crate::directory::Directory;
use crate::flow::caller;
use crate::flow::commit::{Refused, Turn};
use crate::flow::core::Core;
use crate::flow::delivery::{Delivery, OtpMessage, SentChallenge};
use crate::flow::device_token;
use crate::flow::dpop::Examined;
use crate::flow::guard::{self, NotAdmitted, Screened};
use crate::grant::Usage;
use crate::guard::Trust;
use crate::id::{ChallengeId, ClientId, KeyThumbprint, Nonce, RecordKey};
use crate::observer::Event;
use crate::otp::challenge::NewChallenge;
use crate::otp::code_derivation::{self, CodeSource};
use crate::otp::resend::{AllowResend, NotOpened, OpenChallenge, TakeBackSend};
use crate::secret::sealed::OtpTokenContent;
use crate::store::Store;
use crate::time::secs_rounded_up;
use crate::wire::error::{DeliveryFailure, SendError};
use crate::wire::members::{InvalidRequest, Member, Problem};
use crate::wire::reply::{Reply, SendResponse};
use crate::wire::request::SendRequest;

/// Opens a challenge. For a login, neither the answer nor the calls depend on whether the address belongs to a user.
pub(crate) async fn send_otp<S: Store, D: Directory>(
    core: &Core<S, D>,
    request: SendRequest<'_>,
) -> Result<Delivery, SendError> {
    let mut turn = Turn::new(core);
    let SendRequest { credentials, usage, address, auth_source, code_challenge, dpop, device_token, verdict } = request;
    let channel = address.channel();

    let proof = Examined::at_endpoint(core, dpop.as_ref(), core.proof_targets.send.as_ref());
    let client = caller::authenticate(core, &credentials).await?;
    let proven_key = proof.of_client(core, client.configuration())?;
    let client = caller::admit(core, client).await?;
    if !client.may_send() {
        return Err(SendError::UnauthorizedClient);
    }
    if client.requires_code_challenge() && code_challenge.is_none() {
        return Err(InvalidRequest::member(Member::CodeChallenge, Problem::Missing).into());
    }
    let source = match &auth_source {
        Some(id) => Some(caller::auth_source(core, &client, id, channel).await?),
        None => None,
    };
    let key = core.keyring.authenticator_key(&address, &core.settings.addresses);
    let screened = guard::screen(core, &client, &address, key, verdict)?;
    let discloses = core.settings.discloses_used_addresses;
    if discloses && matches!(usage, Usage::Signup | Usage::UpdateUserinfo) {
        let user = core.looked_up(core.directory.user_by_address(&address).await)?;
        if user.is_some() {
            return Err(SendError::AddressIsUsed(channel));
        }
    }

    let policy = source.as_ref().map_or(&core.settings.code, |source| source.code());
    let device = device_token::presented(core, device_token.as_ref(), &key, client.id());
    let source_id = source.as_ref().map(|source| source.id());
    let binding = core.keyring.binding(client.id(), source_id, &address, usage);
    let asker =
        core.keyring.asker(code_challenge.as_ref(), proven_key.of_tokens().as_ref().map(KeyThumbprint::as_bytes));
    let kept_binding = core.keyring.kept_binding(binding, asker.as_ref());
    let new = NewChallenge {
        id: ChallengeId::from_bytes(turn.random()?),
        nonce: Nonce::from_bytes(turn.random()?),
        code_key: core.keyring.active().id,
        binding: kept_binding,
        policy,
        // The secret of a code in flight can have leaked and been dropped. Such a code is not shared. A new code
        // replaces it.
        knows_key: &|id| core.keyring.find(id).is_some(),
    };
    let test = match usage {
        Usage::Login => core.test_identities.look_up(&core.keyring, client.id(), &address, core.clock.now()),
        _ => None,
    };
    let is_test = test.is_some_and(|found| found.ends_at().is_some());
    // An undo must find the send in the record. A challenge stores when it expires but not when it was sent, and so the
    // undo subtracts `token_validity` from the expiry to get the instant of the send.
    let (id, token_validity) = (new.id, policy.token_validity());
    let limits = &core.limits;
    let loaded = turn.load_authenticator(key).await?;
    let open =
        OpenChallenge { new, device, limits, is_counted: screened.as_ref().is_some_and(Screened::has_destinations) };
    let admitted = match screened {
        None => None,
        Some(screened) => {
            let usable = loaded.state().and_then(|state| state.usable(device, limits, loaded.now()));
            let trust = Trust::new(verdict, usable.is_some());
            match screened.admit(&mut turn, &loaded, &open, trust).await {
                Ok(admitted) => Some(admitted),
                Err(NotAdmitted::Address(refused)) => {
                    return Err(not_opened(core, client.id(), key, channel, refused));
                }
                Err(NotAdmitted::Guard(refused)) => return Err(refused),
            }
        }
    };
    let opened = match turn.commit(loaded, &open).await {
        Ok((opened, _)) => opened,
        Err(Refused::Unavailable) => {
            // The client does not learn this challenge, and so the send need not count.
            turn.undo(key, None, &TakeBackSend { id, token_validity }).await;
            return Err(SendError::TemporarilyUnavailable);
        }
        Err(Refused::ByRule(refused)) => return Err(not_opened(core, client.id(), key, channel, refused)),
    };

    let source = CodeSource { record: &key, binding: &kept_binding, nonce: &opened.code.nonce };
    let code = code_derivation::derive(&core.keyring, &opened.code.key, source, &opened.code.shape);
    let code = code.ok_or_else(|| core.faulted(&UnknownKey))?;
    if let Some((admitted, message)) = admitted.zip(opened.message) {
        if let Err(refused) = admitted.charge(&mut turn, &message, is_test).await {
            // Nothing is sent, and the client does not learn this challenge.
            turn.undo(key, None, &TakeBackSend { id, token_validity }).await;
            return Err(refused);
        }
    }
    let content = OtpTokenContent { challenge: opened.id, expires_at: opened.expires_at, binding, asker };
    let now = core.clock.now();
    let validity = now.until(opened.code_expires_at);
    let response = SendResponse {
        otp_token: content.seal(&core.keyring),
        expires_in: now.until(opened.expires_at).as_secs(),
        code_expires_in: validity.as_secs(),
        code_length: opened.code.shape.length.get(),
        resend_after: secs_rounded_up(opened.resend_after),
        dpop_nonce: proven_key.nonce_of_answer(core),
    };
    if is_test {
        core.observer.event(&Event::TestIdentityUsed { client: client.id(), address: key });
    } else {
        core.observer.event(&Event::Sent { client: client.id(), address: key, usage });
    }
    let sent = SentChallenge { key, id, token_validity };
    let (client, expires_at) = (client.id().clone(), opened.code_expires_at);
    let attempt = opened.attempt;
    let message = OtpMessage { address, code, usage, client, auth_source, validity, expires_at, attempt };
    Ok(Delivery { message: Some(message).filter(|_| !is_test), channel, response, sent })
}

/// Answers for a code that could not be delivered. After [`DeliveryFailure::Undeliverable`], lets the address be sent
/// to again at once.
pub(crate) async fn delivery_failed<S: Store, D: Directory>(
    core: &Core<S, D>,
    delivery: Delivery,
    failure: DeliveryFailure,
) -> Reply {
    let SentChallenge { key, id, token_validity } = delivery.sent;
    let resend_after = delivery.response.resend_after;
    core.observer.event(&Event::DeliveryFailed { address: key, failure });
    if failure != DeliveryFailure::Undeliverable {
        return delivery.failed(failure);
    }
    let allow = AllowResend { id, token_validity, limits: &core.limits };
    let retry_after = Turn::new(core).undo(key, None, &allow).await;
    let retry_after = retry_after.map_or(resend_after, secs_rounded_up);
    delivery.failed(failure).retry_after(retry_after)
}

fn not_opened<S: Store, D: Directory>(
    core: &Core<S, D>,
    client: &ClientId,
    address: RecordKey,
    channel: Channel,
    refused: NotOpened,
) -> SendError {
    let retry_after = match refused {
        NotOpened::Throttled { retry_after } => {
            core.observer.event(&Event::Throttled { client, address, retry_after });
            retry_after
        }
        NotOpened::NoGuessLeft { retry_after } => {
            core.observer.event(&Event::LockedOut { client, address, retry_after });
            retry_after
        }
    };
    SendError::RateLimited { channel, retry_after }
}

/// The code of a challenge that was just opened can't be derived. Two keyrings were mixed up.
#[derive(Debug)]
struct UnknownKey;

impl core::fmt::Display for UnknownKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a stored challenge names a secret that this keyring does not have")
    }
}

impl core::error::Error for UnknownKey {}
