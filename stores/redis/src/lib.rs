#![doc = include_str!("../README.md")]

mod connection;
mod error;
mod options;
mod store;

pub use error::RedisStoreError;
pub use options::RedisOptions;
pub use redis;
pub use store::RedisStore;
