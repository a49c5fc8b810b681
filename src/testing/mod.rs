//! The parts that a service needs to test its own login: a clock that a test moves, random bytes that repeat, and an
//! outbox that shows the codes.
//!
//! They need the feature `testing`. Switch it on only for development dependencies.
//!
//! A first test of a login, on a server that is ready to use:
//!
//! ```
//! # pollster::block_on(async {
//! use otp_grant::testing;
//! use otp_grant::settings::SMS_GRANT_TYPE;
//! use serde_json::{Value, json};
//!
//! let host = testing::server();
//! let mut body = json!({
//!     "client_id": "client", "client_secret": "secret", "auth_source_id": "sms", "phone_number": "+12025550123",
//! });
//! let reply = host.post("/otp/send", &body.to_string()).await;
//! let sent: Value = serde_json::from_slice(reply.body())?;
//!
//! body["grant_type"] = SMS_GRANT_TYPE.into();
//! body["otp_token"] = sent["otp_token"].clone();
//! body["otp"] = host.outbox.latest_to("+12025550123").unwrap().code().into();
//! host.clock.advance(std::time::Duration::from_secs(59));
//! assert_eq!(host.post("/oauth2/token", &body.to_string()).await.status(), 200);
//! # Ok::<(), serde_json::Error>(())
//! # }).unwrap();
//! ```
//!
//! A service with its own store, directory or settings builds its server as usual, and adds these parts:
//!
//! ```
//! use otp_grant::testing::{ManualClock, Outbox, SeededEntropy};
//! # use otp_grant::{AuthorizationServer, Issuer, Keyring, MemoryDirectory, MemoryStore, SigningKey};
//! # use otp_grant::server::ConfigError;
//! # fn test(issuer: Issuer, keyring: Keyring, key: SigningKey, directory: MemoryDirectory) -> Result<(), ConfigError> {
//!
//! let (clock, outbox) = (ManualClock::new(), Outbox::new());
//! let server = AuthorizationServer::builder(issuer, keyring, key)
//!     .clock(clock.clone())
//!     .entropy(SeededEntropy::new(1))
//!     .build(MemoryStore::with_clock(clock.clone()), directory)?;
//! // Where the service sends messages: `outbox.deliver(delivery)`.
//! # Ok(()) }
//! ```

mod clock;
mod entropy;
mod outbox;
mod records;
mod server;

pub use clock::ManualClock;
pub use entropy::SeededEntropy;
pub use outbox::{Message, Outbox};
pub use records::sample_records;
pub use server::{TestServer, server, server_with};
