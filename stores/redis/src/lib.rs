#![doc = include_str!("../README.md")]

#[cfg(feature = "cluster")]
mod cluster;
mod connection;
mod error;
mod options;
mod server;
mod store;

pub use error::RedisStoreError;
pub use options::RedisOptions;
pub use redis;
pub use store::RedisStore;
