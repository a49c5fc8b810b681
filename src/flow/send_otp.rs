//! The send endpoint: a challenge is created, and its code handed to the host for delivery.

use core::time::Duration;

use crate::address::Address;
use crate::authenticator::{Authenticator, NewChallenge, Throttled};
use crate::code::{self, CodeSource};
use crate::directory::Directory;
use crate::error::{DeliveryFailure, SendError};
use crate::flow::commit::{Attempt, Refused};
use crate::flow::draw::Draw;
use crate::flow::{ClientRefused, Core, SourceRefused};
use crate::grant::Usage;
use crate::id::{ChallengeId, Nonce};
use crate::observer::Event;
use crate::reply::{Reply, SendResponse};
use crate::request::SendRequest;
use crate::sealed::OtpTokenContent;
use crate::secret::Code;
use crate::store::Store;
use crate::time::secs_rounded_up;

impl<S: Store, D: Directory> Core<S, D> {
    /// Opens a challenge. For a login neither the answer nor the calls depend on whether the address has a user.
    pub(crate) async fn send_otp(&self, request: SendRequest<'_>) -> Result<Delivery, SendError> {
        let mut draw = Draw::new();
        let SendRequest { credentials, usage, address, auth_source } = request;
        let channel = address.channel();

        let client = self.authenticate(&credentials).await?;
        if !client.may_send() {
            return Err(SendError::UnauthorizedClient);
        }
        let source = match &auth_source {
            Some(id) => Some(self.auth_source(&client, id, channel).await?),
            None => None,
        };
        let discloses = self.settings.discloses_used_addresses;
        if discloses && matches!(usage, Usage::Signup | Usage::UpdateUserinfo) {
            let user = self.asked(self.directory.user_by_address(&address).await)?;
            if user.is_some() {
                return Err(SendError::AddressIsUsed(channel));
            }
        }

        let policy = source.as_ref().map_or(&self.settings.code, |source| source.code());
        let key = self.keyring.authenticator_key(&address, &self.settings.rules.addresses);
        let source_id = source.as_ref().map(|source| source.id());
        let binding = self.keyring.binding(client.id(), source_id, &address, usage);
        let new = NewChallenge {
            id: ChallengeId::from_bytes(self.random(&mut draw)?),
            nonce: Nonce::from_bytes(self.random(&mut draw)?),
            code_key: self.keyring.active().id,
            binding,
            code_validity: policy.validity(),
            token_validity: policy.token_validity(),
        };
        let held = self.load_authenticator(key, &mut draw).await?;
        let limits = &self.settings.limits;
        let open =
            |state: Option<Authenticator>, attempt: Attempt| state.unwrap_or_default().open(&new, limits, attempt.now);
        let is_ours = |state: &Authenticator| state.has_opened(&new.id);
        let opened = match self.update(held, open, is_ours, &mut draw).await {
            Ok((opened, _)) => opened,
            Err(Refused::Unavailable) => return Err(SendError::TemporarilyUnavailable),
            Err(Refused::ByRule(Throttled { retry_after })) => {
                self.observer.event(&Event::Throttled { client: client.id(), address: key, retry_after });
                return Err(SendError::RateLimited { channel, retry_after });
            }
        };

        // The key of a shared code can be missing only if it was dropped from the keyring before the code expired.
        let source = CodeSource { record: &key, binding: &binding, nonce: &opened.nonce };
        let code = code::derive(&self.keyring, &opened.code_key, source, policy);
        let code = code.ok_or(SendError::TemporarilyUnavailable)?;
        let content = OtpTokenContent { challenge: opened.id, expires_at: opened.expires_at, binding };
        let now = self.clock.now();
        let validity = now.until(opened.code_expires_at);
        let response = SendResponse {
            otp_token: content.seal(&self.keyring),
            expires_in: now.until(opened.expires_at).as_secs(),
            code_length: policy.length(),
            resend_after: secs_rounded_up(opened.resend_after),
        };
        self.observer.event(&Event::Sent { client: client.id(), address: key, usage });
        Ok(Delivery { address, code, usage, validity, response })
    }
}

/// A code to be delivered by the host, and the reply that awaits the outcome.
///
/// The challenge is stored, and the send is counted against the address, whatever comes of the delivery. A host that
/// queues messages may reply [`accepted`](Delivery::accepted) at once. Dropping a delivery leaves the client without
/// its otp_token.
#[must_use]
pub struct Delivery {
    address: Address,
    code: Code,
    usage: Usage,
    validity: Duration,
    response: SendResponse,
}

impl Delivery {
    /// Where to send it.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// What to send.
    pub fn code(&self) -> &Code {
        &self.code
    }

    /// What it is for; worth saying in the message, so that a user is not tricked into passing it on.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// How long the code is still valid. A resend delivers the same code for what is left of its time.
    pub fn validity(&self) -> Duration {
        self.validity
    }

    /// The reply when the message was sent or queued.
    pub fn accepted(self) -> Reply {
        self.response.into()
    }

    /// The reply when it was not.
    pub fn failed(self, failure: DeliveryFailure) -> Reply {
        Reply::delivery_failed(self.address.channel(), failure)
    }
}

impl core::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Delivery").field("usage", &self.usage).field("validity", &self.validity).finish_non_exhaustive()
    }
}

impl From<ClientRefused> for SendError {
    fn from(refused: ClientRefused) -> Self {
        match refused {
            ClientRefused::Invalid { basic } => Self::InvalidClient { basic },
            ClientRefused::Unavailable => Self::TemporarilyUnavailable,
        }
    }
}

impl From<SourceRefused> for SendError {
    fn from(refused: SourceRefused) -> Self {
        match refused {
            SourceRefused::NotAssociated => Self::InvalidAuthSource,
            SourceRefused::Unavailable => Self::TemporarilyUnavailable,
        }
    }
}
