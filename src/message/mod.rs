//! The message kit: the texts of SMS and e-mails that carry a code.
//!
//! A [`MessageKit`] is built once. It turns the [`Content`] of a message and a locale into the text of an SMS, or into
//! the parts of an e-mail. It has texts in ten languages: Arabic, Chinese (simplified), English, French, German, Hindi,
//! Japanese, Portuguese (Brazil), Russian and Spanish. `docs/messages.md` shows all of them. It does no I/O: the host
//! sends the text.
//!
//! ```
//! use otp_grant::Channel;
//! use otp_grant::message::{Application, MessageKit, OriginHost};
//! use otp_grant::server::OtpMessage;
//!
//! # fn send_sms(number: &str, text: &str) {}
//! # fn send_email(address: &str, headers: [(&str, &str); 2], subject: &str, text: &str, html: &str) {}
//! fn kit() -> Result<MessageKit, Box<dyn std::error::Error>> {
//!     let application = Application::new("Example")?;
//!     Ok(MessageKit::builder(application).origin(OriginHost::new("login.example.com")?).build()?)
//! }
//!
//! fn deliver(kit: &MessageKit, message: &OtpMessage, locale: &str) {
//!     let to = message.address().as_str();
//!     match message.address().channel() {
//!         Channel::Sms => send_sms(to, kit.sms(&message.content(), locale).expose_secret()),
//!         Channel::Email => {
//!             let email = kit.email(&message.content(), locale);
//!             let [subject, text, html] = [email.subject(), email.text(), email.html()].map(|part| part.expose_secret());
//!             send_email(to, email.headers(), subject, text, html);
//!         }
//!     }
//! }
//! # let kit = kit().unwrap();
//! ```
//!
//! With the code 123456 for a login, the SMS is:
//!
//! ```
//! # use std::time::Duration;
//! # use otp_grant::Usage;
//! # use otp_grant::message::{Application, Content, MessageKit, OriginHost};
//! # let kit = MessageKit::builder(Application::new("Example")?).origin(OriginHost::new("login.example.com")?);
//! # let kit = kit.build()?;
//! let content = Content::from_text("123456", Usage::Login, Duration::from_secs(180))?;
//! assert_eq!(
//!     kit.sms(&content, "en-GB").expose_secret(),
//!     "123456 is your Example code to log in. It expires in 3 min. Don't share it with anyone.\n\
//!      @login.example.com #123456"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The last lines of an SMS
//!
//! With an [`OriginHost`], the last line binds the code to the host. A browser then offers the code only on a page of
//! this host. With an [`AppHash`], the line before it names an Android app. Its SMS Retriever reads messages of at most
//! 140 bytes (in UTF-8), and so no text of this kit is longer.
//!
//! # Length
//!
//! Providers charge for each segment: 160 characters of the 7-bit alphabet, or 70 where one character is outside this
//! alphabet. [`KitBuilder::build`] measures each text of each language with the longest code, the longest time, the
//! name of each application and the last lines. Built-in texts have shorter versions, and the kit takes the longest
//! that fits one segment. A shorter version leaves out the name of the application, and then the time. It always says
//! what the code is for, and not to give it to anyone. By default, each language has a version that fits with a host of
//! up to 20 characters. If none fits, `build` fails, or the kit accepts two segments
//! ([`KitBuilder::allow_two_segments`]) and says so ([`MessageKit::warnings`]).
//!
//! # Secrets
//!
//! Texts contain the code. They are wiped when dropped, and have a redacted `Debug` and no `Display`.

mod builder;
mod catalog;
mod html;
mod kit;
mod kit_error;
mod language;
mod names;
mod template;
#[cfg(test)]
mod tests;
mod text;
mod texts;
mod validity;

pub use crate::message::builder::KitBuilder;
pub use crate::message::kit::{Content, Email, LongText, MessageKit, Sms};
pub use crate::message::kit_error::KitError;
pub use crate::message::language::Language;
pub use crate::message::names::{AppHash, Application, InvalidText, Link, OriginHost, Purpose};
pub use crate::message::template::{EmailTemplate, InvalidTemplate, Template};
pub use crate::message::text::{MessageText, SmsEncoding, SmsLength};
