//! Keeps the records of otp-grant in Redis.
