//! The two faces of the crate, and a server or an engine behind either.

use std::future::Future;
use std::sync::LazyLock;

use otp_grant::exchange::{Asking, Engine, NoSigner, Outcome, Step, drive};
use otp_grant::jwt::Signer;
use otp_grant::*;

/// The two faces of the crate. Each scenario and each simulation runs over the one that the environment names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// The server calls its store and its directory.
    AsyncPorts,
    /// The engine asks, and the harness calls them.
    Exchange,
}

impl Face {
    /// `FACE=exchange` is the second.
    pub fn of_this_run() -> Self {
        static FACE: LazyLock<Face> = LazyLock::new(|| match std::env::var("FACE").as_deref() {
            Ok("exchange") => Face::Exchange,
            Ok("ports") | Err(_) => Face::AsyncPorts,
            Ok(other) => panic!("FACE is `ports` or `exchange`, not {other}"),
        });
        *FACE
    }

    /// The value of `FACE`.
    pub fn name(self) -> &'static str {
        match self {
            Self::AsyncPorts => "ports",
            Self::Exchange => "exchange",
        }
    }
}

/// What a request is asked of.
pub enum Asked<'a, S, D, G> {
    Server(&'a AuthorizationServer<S, D>),
    Exchange(Driven<'a, S, D, G>),
}

/// An engine, and the ports that answer its questions.
pub struct Driven<'a, S, D, G> {
    pub engine: Engine,
    pub store: &'a S,
    pub directory: &'a D,
    pub signer: &'a G,
}

impl<S: Store, D: Directory, G: Signer> Driven<'_, S, D, G> {
    /// Drives an exchange to its end.
    pub async fn drive<F>(&self, step: Step, deliver: impl FnOnce(Delivery) -> F + Send) -> Reply
    where
        F: Future<Output = Reply> + Send,
    {
        drive(step, self.store, self.directory, self.signer, deliver).await
    }

    /// Does work that delivers nothing.
    pub async fn perform<T: Outcome, F>(&self, work: impl FnOnce(AuthorizationServer<Asking, Asking>) -> F + Send) -> T
    where
        F: Future<Output = T> + Send + 'static,
    {
        let step = self.engine.perform(work);
        let deliver = async |_: Delivery| panic!("it delivers a code");
        drive(step, self.store, self.directory, self.signer, deliver).await
    }
}

/// What has both faces.
pub trait Faces: Sync {
    type Store: Store;
    type Directory: Directory;
    type Signer: Signer;

    /// The face of this run.
    fn face(&self) -> Asked<'_, Self::Store, Self::Directory, Self::Signer>;
}

impl<S: Store, D: Directory> Faces for AuthorizationServer<S, D> {
    type Store = S;
    type Directory = D;
    type Signer = NoSigner;

    fn face(&self) -> Asked<'_, S, D, NoSigner> {
        match Face::of_this_run() {
            Face::AsyncPorts => Asked::Server(self),
            Face::Exchange => Asked::Exchange(Driven {
                engine: Engine::of(self),
                store: self.store(),
                directory: self.directory(),
                signer: &NoSigner,
            }),
        }
    }
}
