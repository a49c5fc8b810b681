//! The ports of one exchange: each call becomes a question.

use core::fmt;
use std::sync::Arc;

use crate::address::Address;
use crate::directory::{AuthSource, Client, ClientRegistry, CustomClaims, SignUp, User, UserClaims, UserStore};
use crate::erased::ErasedError;
use crate::exchange::mailbox::{Mailbox, Unanswered};
use crate::exchange::question::{ClaimsQuestion, Delivered, Question, ScopeQuestion, SigningQuestion, SwapQuestion};
use crate::id::{AuthSourceId, ClientId, RecordKey, Subject, Tag};
use crate::jwt::signer::Signer;
use crate::scope::Scope;
use crate::server::Delivery;
use crate::store::{Record, Store, Swap};

/// The store and the directory of one exchange. Each call is a [`Step`](crate::exchange::Step) of the exchange.
#[derive(Clone)]
pub struct Asking(Arc<Mailbox<Question>>);

impl Asking {
    pub(crate) fn new(mailbox: Arc<Mailbox<Question>>) -> Self {
        Self(mailbox)
    }

    pub(crate) async fn deliver(&self, delivery: Delivery) -> Result<Delivered, Unanswered> {
        self.0.ask(|answer| Question::Deliver(Box::new(delivery), answer)).await
    }
}

impl Store for Asking {
    type Error = ErasedError;

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, ErasedError> {
        Ok(self.0.ask(|answer| Question::Load(*key, answer)).await?)
    }

    async fn swap(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Result<Swap, ErasedError> {
        let swap = SwapQuestion { key: *key, expected, next: Box::new(next.clone()) };
        Ok(self.0.ask(|answer| Question::Swap(swap, answer)).await?)
    }
}

impl ClientRegistry for Asking {
    type Error = ErasedError;

    async fn client(&self, id: &ClientId) -> Result<Option<Arc<Client>>, ErasedError> {
        Ok(self.0.ask(|answer| Question::Client(id.clone(), answer)).await?)
    }

    async fn auth_source(&self, id: &AuthSourceId) -> Result<Option<Arc<AuthSource>>, ErasedError> {
        Ok(self.0.ask(|answer| Question::AuthSource(id.clone(), answer)).await?)
    }
}

impl UserStore for Asking {
    type Error = ErasedError;

    async fn user_by_address(&self, address: &Address) -> Result<Option<User>, ErasedError> {
        Ok(self.0.ask(|answer| Question::UserByAddress(address.clone(), answer)).await?)
    }

    async fn user_by_subject(&self, subject: &Subject) -> Result<Option<User>, ErasedError> {
        Ok(self.0.ask(|answer| Question::UserBySubject(subject.clone(), answer)).await?)
    }

    async fn user_claims(
        &self,
        subject: &Subject,
        client: &ClientId,
        scope: &Scope,
    ) -> Result<UserClaims, ErasedError> {
        let question = claims_question(subject, client, scope);
        Ok(self.0.ask(|answer| Question::UserClaims(question, answer)).await?)
    }

    async fn sign_up(&self, address: &Address) -> Result<SignUp, ErasedError> {
        match self.0.ask(|answer| Question::SignUp(address.clone(), answer)).await {
            Err(Unanswered::Refused) => Ok(SignUp::Refused),
            answered => Ok(answered?),
        }
    }

    async fn granted_scope(
        &self,
        user: &User,
        client: &ClientId,
        requested: Scope,
    ) -> Result<Option<Scope>, ErasedError> {
        let question = ScopeQuestion { user: user.clone(), client: client.clone(), requested: requested.clone() };
        match self.0.ask(|answer| Question::GrantedScope(question, answer)).await {
            Err(Unanswered::Refused) => Ok(Some(requested)),
            answered => Ok(answered?),
        }
    }

    async fn access_token_claims(
        &self,
        subject: &Subject,
        client: &ClientId,
        scope: &Scope,
    ) -> Result<CustomClaims, ErasedError> {
        let question = claims_question(subject, client, scope);
        match self.0.ask(|answer| Question::AccessTokenClaims(question, answer)).await {
            Err(Unanswered::Refused) => Ok(CustomClaims::new()),
            answered => Ok(answered?),
        }
    }
}

/// Signs for a key that is outside the server, which can change there.
impl Signer for Asking {
    type Error = ErasedError;

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ErasedError> {
        let question = SigningQuestion { message: message.to_vec() };
        Ok(self.0.ask(|answer| Question::Sign(question, answer)).await?)
    }
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asking").finish_non_exhaustive()
    }
}

fn claims_question(subject: &Subject, client: &ClientId, scope: &Scope) -> ClaimsQuestion {
    ClaimsQuestion { subject: subject.clone(), client: client.clone(), scope: scope.clone() }
}
