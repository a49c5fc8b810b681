#![doc = include_str!("../README.md")]

mod address;
#[cfg(feature = "cluster")]
mod cluster;
mod connection;
mod durability;
mod endpoint;
mod error;
mod options;
mod sentinel;
mod server;
mod store;
mod url;

pub use durability::{DurabilityRisk, DurabilityRiskKind};
pub use error::RedisStoreError;
pub use options::RedisOptions;
pub use redis;
pub use store::RedisStore;
