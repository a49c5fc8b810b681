//! The server of a simulated host, over the face of the run.

use std::sync::Arc;

use otp_grant::exchange::Engine;
use otp_grant::server::ServerBuilder;
use otp_grant::{AuthorizationServer, SigningKey};
use otp_grant_tests::steps::SteppedStore;
use otp_grant_tests::{Asked, Driven, Face, Faces};

use crate::host::SteppedDirectory;
use crate::signer::{Remembering, Shared, external_key, signing_key};

/// The server of a host. Its signer waits, for which an exchange has no answer: there, the key is external.
pub enum Server {
    Ports(AuthorizationServer<Arc<SteppedStore>, SteppedDirectory>),
    Exchange { engine: Engine, store: Arc<SteppedStore>, directory: SteppedDirectory, signer: Shared<true> },
}

impl Server {
    pub fn new(
        key_can_change: bool,
        signer: &Arc<Remembering>,
        store: &Arc<SteppedStore>,
        directory: SteppedDirectory,
        builder: impl FnOnce(SigningKey) -> ServerBuilder,
    ) -> Self {
        let store = store.clone();
        match Face::of_this_run() {
            Face::AsyncPorts => {
                Self::Ports(builder(signing_key(signer, key_can_change)).build(store, directory).unwrap())
            }
            Face::Exchange => {
                let engine = Engine::new(builder(external_key())).unwrap();
                Self::Exchange { engine, store, directory, signer: Shared(signer.clone()) }
            }
        }
    }

    pub fn engine(&self) -> Engine {
        match self {
            Self::Ports(server) => Engine::of(server),
            Self::Exchange { engine, .. } => engine.clone(),
        }
    }
}

impl Faces for Server {
    type Store = Arc<SteppedStore>;
    type Directory = SteppedDirectory;
    type Signer = Shared<true>;

    fn face(&self) -> Asked<'_, Self::Store, Self::Directory, Self::Signer> {
        match self {
            Self::Ports(server) => Asked::Server(server),
            Self::Exchange { engine, store, directory, signer } => {
                Asked::Exchange(Driven { engine: engine.clone(), store, directory, signer })
            }
        }
    }
}
