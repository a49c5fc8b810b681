//! The reference host of otp-grant.

fn main() {}
