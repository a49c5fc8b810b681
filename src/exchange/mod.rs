//! The server as a pure state machine, which asks its host one question at a time.
//!
//! An [`AuthorizationServer`] calls its store and its directory, and needs an async runtime if they need one. An
//! [`Engine`] has no store and no directory, and needs no runtime. It calls the clock, the source of random bytes, the
//! observer and the signer itself, and these must answer at once. [`Engine::begin`] begins an *exchange*: one request
//! under way. The exchange stops when it needs something from the host, and returns a *question*, such as to load a
//! record. Each answer runs it up to the next question, until the [`Reply`] is there. A host without a runtime, or in
//! another language, can therefore serve the same requests with a loop of its own:
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::Arc;
//!
//! use otp_grant::exchange::{Engine, Step};
//! use otp_grant::store::Swap;
//! use otp_grant::{Client, Reply, Request};
//!
//! # use otp_grant::{id::RecordKey, store::Record};
//! fn handle(engine: &Engine, records: &mut HashMap<RecordKey, Record>, request: &Request<'_>) -> Option<Reply> {
//!     let mut step = engine.begin(request)?;
//!     loop {
//!         step = match step {
//!             Step::Load(ask) => {
//!                 let found = records.get(ask.question()).cloned();
//!                 ask.answer(found)
//!             }
//!             Step::Swap(ask) => {
//!                 let swap = ask.question();
//!                 let is_expected = records.get(&swap.key).map(|record| record.tag) == swap.expected;
//!                 if is_expected {
//!                     records.insert(swap.key, (*swap.next).clone());
//!                 }
//!                 ask.answer(if is_expected { Swap::Stored } else { Swap::Conflict })
//!             }
//!             Step::Client(ask) => {
//!                 let client = (ask.question().as_str() == "app").then(|| Client::public(ask.question().clone()));
//!                 ask.answer(client.map(Arc::new))
//!             }
//!             Step::Done(reply) => return Some(reply),
//!             other => other.refuse(),
//!         };
//!     }
//! }
//! ```
//!
//! `examples/steps.rs` is a whole host of this kind.
//!
//! # What holds
//!
//! - An exchange runs the flows of [`AuthorizationServer`]. The promises of the server hold here as well. [`Store`] and
//!   [`Directory`] say what each answer must be.
//! - A question owns its exchange, and an answer takes the question. So each question is answered at most once, and
//!   each answer reaches its own exchange. No question outlives its exchange. The work of [`Engine::perform`] can ask
//!   several things at once: the host still gets one question at a time, in order, and none is lost.
//! - Exchanges share only what belongs to their engine: the keys, the settings, the clock, the source of random bytes
//!   and the observer. Any number of them can go on at the same time on any number of threads, and each can be moved
//!   between threads at every step.
//! - To drop a step is to drop the request, at any step, as if the client had hung up. What was stored stays stored,
//!   and a code is usable or spent. A guess or a send can stay counted, and a session without tokens can remain until
//!   it expires.
//! - An exchange waits for nothing but an answer. If a part of the host waits for something else, such as a
//!   [`Signer`](crate::jwt::Signer) that does I/O, the exchange ends as after a failure of the store, with a 503, and
//!   the [`Observer`](crate::observer::Observer) is told. With [`SigningKey::external`](crate::SigningKey::external),
//!   each signature is a question.

mod asking;
mod drive;
mod mailbox;
mod outcome;
mod question;
mod step;

use core::fmt;
use core::future::Future;
use std::sync::Arc;

use crate::address::AddressPolicy;
use crate::directory::Directory;
pub use crate::exchange::asking::Asking;
pub use crate::exchange::drive::{NoExternalKey, NoSigner, drive};
use crate::exchange::mailbox::Mailbox;
pub use crate::exchange::outcome::Outcome;
use crate::exchange::question::Delivered;
pub use crate::exchange::question::{ClaimsQuestion, ScopeQuestion, SigningQuestion, SwapQuestion};
use crate::exchange::step::Exchange;
pub use crate::exchange::step::{Ask, Deliver, HandedOut, Step};
use crate::flow::core::{Core, Parts};
use crate::id::Issuer;
use crate::jwt::jwk::PublicKeySet;
use crate::jwt::signer::AnySigner;
use crate::jwt::verifier::{AccessTokenClaims, AccessTokenError, Audience};
use crate::server::routes::Routes;
use crate::server::{AuthorizationServer, ConfigError, Delivery, Route, ServerBuilder};
use crate::store::Store;
use crate::wire::reply::Reply;
use crate::wire::request::{OwnedRequest, Request};

/// An authorization server without its store and its directory. It is cheap to clone.
///
/// See the [module](self) for how a host drives it.
#[derive(Clone)]
pub struct Engine {
    parts: Arc<Parts>,
    routes: Arc<Routes>,
}

impl Engine {
    /// Makes an engine of what [`AuthorizationServer::builder`] has set up.
    ///
    /// # Errors
    /// [`ConfigError`] when settings are out of range or contradict one another.
    pub fn new(builder: ServerBuilder) -> Result<Self, ConfigError> {
        let (parts, routes) = builder.parts()?;
        Ok(Self { parts: Arc::new(parts), routes: Arc::new(routes) })
    }

    /// Returns the engine of a server, for a host that does both: it shares the keys and the settings.
    pub fn of<S: Store, D: Directory>(server: &AuthorizationServer<S, D>) -> Self {
        let (parts, routes) = server.shared();
        Self { parts: Arc::clone(parts), routes: Arc::clone(routes) }
    }

    /// Begins to answer a request to any endpoint, as [`AuthorizationServer::handle`] does. Returns `None` when the
    /// path is not the path of an endpoint.
    ///
    /// The exchange has a copy of the request, which is wiped when the exchange ends.
    pub fn begin(&self, request: &Request<'_>) -> Option<Step> {
        self.routes.find(request.path())?;
        let request = OwnedRequest::of(request);
        Some(self.perform(move |server| async move {
            let deliver = |delivery| deliver(&server, delivery);
            server.handle(request.borrow(), deliver).await.unwrap_or_else(Reply::not_found)
        }))
    }

    /// Begins any other work of a server: what a closure does with a server whose store and directory ask.
    ///
    /// The work can call any method of the server, and can call several. Where it waits for something else than the
    /// server, the exchange ends with [`Outcome::unavailable`].
    ///
    /// ```
    /// use otp_grant::exchange::{Engine, Step};
    /// use otp_grant::jwt::{AccessTokenClaims, Audience};
    /// use otp_grant::server::AccessTokenCheckError;
    ///
    /// fn check(engine: &Engine, token: String) -> Step<Result<AccessTokenClaims, AccessTokenCheckError>> {
    ///     engine.perform(|server| async move { server.check_access_token(&token, Audience::EveryClient).await })
    /// }
    /// ```
    pub fn perform<T, F>(&self, work: impl FnOnce(AuthorizationServer<Asking, Asking>) -> F) -> Step<T>
    where
        T: Outcome,
        F: Future<Output = T> + Send + 'static,
    {
        let mailbox = Arc::new(Mailbox::default());
        let asking = Asking::new(Arc::clone(&mailbox));
        let external_signer: Option<Arc<dyn AnySigner>> = match self.parts.signing_keys.active().is_external() {
            true => Some(Arc::new(asking.clone())),
            false => None,
        };
        let parts = Arc::clone(&self.parts);
        let core = Core { parts, store: asking.clone(), directory: asking, external_signer };
        let server = AuthorizationServer::new(core, Arc::clone(&self.routes));
        Exchange::new(Box::pin(work(server)), mailbox, Arc::clone(&self.parts)).go_on()
    }

    /// Checks an access token offline, as [`AuthorizationServer::verify_access_token`] does.
    ///
    /// # Errors
    /// [`AccessTokenError`] when the token was not issued by this server, is not meant for this audience, or has
    /// expired.
    pub fn verify_access_token(
        &self,
        token: &str,
        audience: Audience<'_>,
    ) -> Result<AccessTokenClaims, AccessTokenError> {
        self.parts.verifier.verify(token, audience, self.parts.clock.now())
    }

    /// Returns the public keys that verify the tokens of this server.
    pub fn key_set(&self) -> &PublicKeySet {
        self.parts.verifier.keys()
    }

    /// Returns the endpoints that [`begin`](Self::begin) answers, with their paths and URLs.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }

    /// Returns the issuer.
    pub fn issuer(&self) -> &Issuer {
        &self.parts.issuer
    }

    /// Returns the policy by which addresses are read. The host must keep the addresses of its users in the same form.
    pub fn addresses(&self) -> &AddressPolicy {
        &self.parts.settings.addresses
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("issuer", self.issuer()).finish_non_exhaustive()
    }
}

/// Asks to have a code delivered, and answers for what became of it.
async fn deliver(server: &AuthorizationServer<Asking, Asking>, delivery: Delivery) -> Reply {
    match server.store().deliver(delivery).await {
        Ok(Delivered::Replied(reply)) => reply,
        Ok(Delivered::Failed(delivery, failure)) => server.delivery_failed(*delivery, failure).await,
        Err(_) => Reply::unavailable(),
    }
}
