//! Logins in one process, the use of their tokens, their end, and one example of each error:
//! `cargo run --example login`
//!
//! Prints each request and answer, and ends with an error at the first answer that is not the expected one.

mod demo;
mod logins;
mod samples;
mod sessions;

use std::error::Error;

use demo::Demo;

fn main() -> Result<(), Box<dyn Error>> {
    let demo = Demo::new()?;

    let on_phone = logins::over_sms(&demo)?;
    logins::refused_sends(&demo)?;
    let on_laptop = logins::over_email(&demo)?;
    logins::somebody_new(&demo)?;
    logins::somebody_locked(&demo)?;

    sessions::access(&demo, &on_phone)?;
    let refreshed = sessions::refresh(&demo, &on_phone)?;
    sessions::replay(&demo, &on_phone, &refreshed)?;
    sessions::sign_out(&demo, &on_laptop)?;
    sessions::discovery(&demo)?;

    println!("\nEverything was answered as expected.");
    Ok(())
}
