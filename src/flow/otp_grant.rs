//! The OTP grant: a code is redeemed for tokens.

use crate::config::Settings;
use crate::directory::Directory;
use crate::error::TokenError;
use crate::flow::draw::Draw;
use crate::flow::tokens::Issue;
use crate::flow::{ClientRefused, Core, Guess, GuessRefused, SourceRefused};
use crate::grant::{Grant, Usage};
use crate::id::{Mark, SessionId};
use crate::observer::Event;
use crate::reply::TokenResponse;
use crate::request::OtpGrantRequest;
use crate::sealed::OtpTokenContent;
use crate::session::{Login, Session};
use crate::store::Store;
use crate::user::{User, UserStatus};

impl<S: Store, D: Directory> Core<S, D> {
    /// Checks in the order of the contract, and commits last.
    pub(crate) async fn otp_grant(&self, request: OtpGrantRequest<'_>) -> Result<TokenResponse, TokenError> {
        let mut draw = Draw::new();
        let address = &request.address;
        let channel = address.channel();

        // What can be told without the record of the address. Nothing here costs a guess.
        let client = self.authenticate(&request.credentials).await?;
        if !client.may_use(Grant::otp(channel)) {
            return Err(TokenError::UnauthorizedClient);
        }
        let source = self.auth_source(&client, &request.auth_source, channel).await?;
        let token = OtpTokenContent::unseal(&request.otp_token, &self.keyring, self.clock.now())
            .map_err(|_| TokenError::UnknownOtpToken)?;
        let sent_for = self.keyring.binding(client.id(), Some(source.id()), address, Usage::Login);
        if token.binding != sent_for {
            return Err(TokenError::MismatchedOtpToken);
        }
        let asked = request.scope.get().map_err(|_| TokenError::InvalidScope)?;
        let scope = client.grant_scope(asked).map_err(|_| TokenError::InvalidScope)?;

        // The guess is charged, and only then is the code compared.
        let key = self.keyring.authenticator_key(address, &self.settings.rules.addresses);
        let guess = Guess { key, token: &token, presented: &request.otp, policy: source.code() };
        let (proven, held) = self.prove(client.id(), guess, &mut draw).await?;

        // The address is proved: from here on the answer may tell of its user.
        let user = match self.asked(self.directory.user_by_address(address).await)? {
            Some(user) => user,
            None if request.auto_signup => self.asked(self.directory.sign_up(address).await)?,
            None => return Err(TokenError::UserNotFound),
        };
        if user.status != UserStatus::Active {
            return Err(TokenError::UserNotActive);
        }

        // Everything is made ready; the swap that spends the challenge comes last and releases it.
        let now = self.clock.now();
        let session_id = SessionId::from_bytes(self.random(&mut draw)?);
        let User { subject, tokens_valid_after, .. } = user;
        let login = Login { client: client.id().clone(), subject, scope: scope.clone(), channel, tokens_valid_after };
        let Settings { session_validity, token_validity, .. } = &self.settings;
        let session = Session::open(login, session_validity, token_validity.access_token, now);
        if session.began_before(tokens_valid_after) {
            return Err(TokenError::UserNotActive);
        }
        self.insert(self.keyring.session_key(&session_id), &session, &mut draw).await?;
        let prepared = self.prepare(Issue { session: &session, session_id, scope, number: 0, now }, &mut draw).await?;
        let client_mark = self.keyring.client_mark(client.id());
        let refresh_token = self.refresh_token(&client, client_mark, session_id, session.first_refresh_token());
        let redeemed = self.spend(held, &token, &proven, Mark::of_session(&session_id), &mut draw).await?;

        self.observer.event(&Event::LoggedIn { client: client.id(), address: key, session: session_id });
        Ok(prepared.release(redeemed, refresh_token))
    }
}

impl From<ClientRefused> for TokenError {
    fn from(refused: ClientRefused) -> Self {
        match refused {
            ClientRefused::Invalid { basic } => Self::InvalidClient { basic },
            ClientRefused::Unavailable => Self::TemporarilyUnavailable,
        }
    }
}

impl From<SourceRefused> for TokenError {
    fn from(refused: SourceRefused) -> Self {
        match refused {
            SourceRefused::NotAssociated => Self::InvalidAuthSource,
            SourceRefused::Unavailable => Self::TemporarilyUnavailable,
        }
    }
}

impl From<GuessRefused> for TokenError {
    fn from(refused: GuessRefused) -> Self {
        match refused {
            GuessRefused::Gone => Self::UnknownOtpToken,
            GuessRefused::Wrong { attempts_remaining } => Self::UnknownOtp { attempts_remaining },
            GuessRefused::Unavailable => Self::TemporarilyUnavailable,
        }
    }
}
