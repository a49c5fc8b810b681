//! Keeps the records of otp-grant in PostgreSQL or SQLite.
