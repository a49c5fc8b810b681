//! What an answer of a provider means for a message.

use std::time::Duration;

use otp_grant::DeliveryFailure;
use reqwest::StatusCode;
use serde_json::Value;

use crate::config::{Answers, ConfigError};
use crate::delivery::attempt::Attempt;
use crate::delivery::parcel::Parcel;

/// The meanings of statuses, and of codes in bodies.
#[derive(Debug)]
pub(super) struct Meanings(Answers);

impl Meanings {
    pub(super) fn new(answers: &Answers, place: &str) -> Result<Self, ConfigError> {
        let at = |member: &str| format!("{place}.answers.{member}");
        if answers.code_at.iter().any(|pointer| !pointer.starts_with('/')) {
            return Err(ConfigError::new(at("code_at"), "a JSON Pointer begins with /, such as /messages/0/status"));
        }
        let lists = [&answers.accepted_codes, &answers.refused_codes, &answers.quota_codes, &answers.again_codes];
        if answers.code_at.is_empty() && lists.iter().any(|codes| !codes.is_empty()) {
            return Err(ConfigError::new(at("code_at"), "codes have to be found somewhere"));
        }
        Ok(Self(answers.clone()))
    }

    /// Tells whether bodies have to be read.
    pub(super) fn need_bodies(&self) -> bool {
        !self.0.code_at.is_empty()
    }

    /// What an answer means. `body` is empty where it is not needed or could not be read.
    pub(super) fn of(
        &self,
        status: StatusCode,
        retry_after: Option<Duration>,
        body: &[u8],
        parcel: &Parcel,
    ) -> Attempt {
        let code = self.code(body);
        let said = match &code {
            Some(code) => self.of_code(code),
            None => None,
        };
        let attempt = said.unwrap_or_else(|| self.of_status(status));
        let attempt = match attempt {
            Attempt::Again(_) => Attempt::Again(retry_after),
            // A body without a code that is known to be good says nothing of the kind.
            Attempt::Accepted if said.is_none() && !self.0.accepted_codes.is_empty() => Attempt::Unknown,
            attempt => attempt,
        };
        if attempt != Attempt::Accepted {
            let code = code.as_deref().filter(|code| may_be_logged(code, parcel));
            tracing::warn!(status = status.as_u16(), code, "the provider did not accept a message");
        }
        attempt
    }

    fn of_code(&self, code: &str) -> Option<Attempt> {
        let answers = &self.0;
        let meanings = [
            (&answers.accepted_codes, Attempt::Accepted),
            (&answers.refused_codes, Attempt::Refused(DeliveryFailure::AddressRefused)),
            (&answers.quota_codes, Attempt::Refused(DeliveryFailure::InsufficientQuota)),
            (&answers.again_codes, Attempt::Again(None)),
        ];
        let known = meanings.into_iter().find(|(codes, _)| codes.iter().any(|known| known == code));
        let is_failure = !answers.accepted_codes.is_empty();
        known.map(|(_, attempt)| attempt).or(is_failure.then_some(UNDELIVERABLE))
    }

    fn of_status(&self, status: StatusCode) -> Attempt {
        let (answers, number) = (&self.0, status.as_u16());
        let is = |list: &Option<Vec<u16>>, default: bool| list.as_ref().map_or(default, |list| list.contains(&number));
        if is(&answers.accepted, status.is_success()) {
            Attempt::Accepted
        } else if answers.refused.contains(&number) {
            Attempt::Refused(DeliveryFailure::AddressRefused)
        } else if is(&answers.quota, number == 402) {
            Attempt::Refused(DeliveryFailure::InsufficientQuota)
        } else if is(&answers.again, matches!(number, 429 | 503)) {
            Attempt::Again(None)
        } else if status.is_server_error() {
            // The provider, or what is behind its proxy, may have taken the message before it failed.
            Attempt::Unknown
        } else {
            UNDELIVERABLE
        }
    }

    /// The code in a body: a text, or a number as JSON writes it.
    fn code(&self, body: &[u8]) -> Option<String> {
        let json: Value = if self.need_bodies() { serde_json::from_slice(body).ok()? } else { return None };
        self.0.code_at.iter().find_map(|pointer| match json.pointer(pointer)? {
            Value::String(code) => Some(code.clone()),
            Value::Number(code) => Some(code.to_string()),
            Value::Bool(code) => Some(code.to_string()),
            _ => None,
        })
    }
}

/// A provider's code is logged if it looks like one, and says nothing of the message.
fn may_be_logged(code: &str, parcel: &Parcel) -> bool {
    let is_plain = code.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    // A phone number without its country code, or a part of an address that was put into a code.
    let longest = code.split(|character: char| !character.is_ascii_digit()).map(str::len).max();
    let local = parcel.address().split('@').next().unwrap_or_default();
    code.len() <= 64
        && is_plain
        && longest.unwrap_or_default() <= MOST_DIGITS
        && !code.contains(parcel.code())
        && !code.eq_ignore_ascii_case(local)
}

/// Codes of providers have up to 6 digits, and the shortest phone numbers about 7.
const MOST_DIGITS: usize = 6;
const UNDELIVERABLE: Attempt = Attempt::Refused(DeliveryFailure::Undeliverable);

#[cfg(test)]
mod tests {
    use otp_grant::Channel;

    use super::*;

    fn of(answers: &Answers, status: u16, retry_after: Option<u64>, body: &str) -> Attempt {
        let parcel = Parcel::trial(Channel::Sms, "+447400123456", "123456", Duration::from_secs(180)).unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        Meanings::new(answers, "here").unwrap().of(
            status,
            retry_after.map(Duration::from_secs),
            body.as_bytes(),
            &parcel,
        )
    }

    const REFUSED: Attempt = Attempt::Refused(DeliveryFailure::AddressRefused);
    const NO_QUOTA: Attempt = Attempt::Refused(DeliveryFailure::InsufficientQuota);

    #[test]
    fn statuses_mean_what_the_file_says() {
        let usual = Answers::default();
        let own = Answers {
            accepted: Some(vec![202]),
            refused: vec![422],
            quota: Some(vec![400]),
            again: Some(vec![418, 500]),
            ..Answers::default()
        };
        for (answers, status, retry_after, expected) in [
            (&usual, 200, None, Attempt::Accepted),
            (&usual, 204, None, Attempt::Accepted),
            (&usual, 302, None, UNDELIVERABLE),
            (&usual, 400, None, UNDELIVERABLE),
            (&usual, 402, None, NO_QUOTA),
            (&usual, 422, None, UNDELIVERABLE),
            (&usual, 429, None, Attempt::Again(None)),
            (&usual, 429, Some(7), Attempt::Again(Some(Duration::from_secs(7)))),
            (&usual, 503, None, Attempt::Again(None)),
            (&usual, 500, None, Attempt::Unknown),
            (&usual, 500, Some(1), Attempt::Unknown),
            (&usual, 502, None, Attempt::Unknown),
            (&usual, 504, None, Attempt::Unknown),
            (&usual, 504, Some(1), Attempt::Unknown),
            (&own, 500, Some(1), Attempt::Again(Some(Duration::from_secs(1)))),
            (&own, 200, None, UNDELIVERABLE),
            (&own, 202, None, Attempt::Accepted),
            (&own, 422, None, REFUSED),
            (&own, 400, None, NO_QUOTA),
            (&own, 418, None, Attempt::Again(None)),
            (&own, 503, None, Attempt::Unknown),
            (&own, 429, None, UNDELIVERABLE),
        ] {
            assert_eq!(of(answers, status, retry_after, ""), expected, "{status} {retry_after:?}");
        }
    }

    #[test]
    fn codes_in_bodies_count_more_than_statuses() {
        let answers = Answers {
            code_at: vec!["/Response/Error/Code".to_owned(), "/Response/SendStatusSet/0/Code".to_owned()],
            accepted_codes: vec!["Ok".to_owned(), "0".to_owned()],
            refused_codes: vec!["21211".to_owned()],
            quota_codes: vec!["Balance".to_owned()],
            again_codes: vec!["Throttled".to_owned()],
            ..Answers::default()
        };
        let error = |code: &str| format!(r#"{{"Response":{{"Error":{{"Code":{code}}}}}}}"#);
        for (status, body, expected) in [
            (200, r#"{"Response":{"SendStatusSet":[{"Code":"Ok"}]}}"#.to_owned(), Attempt::Accepted),
            (200, error("0"), Attempt::Accepted),
            (400, error("21211"), REFUSED),
            (200, error("\"Balance\""), NO_QUOTA),
            (400, error("\"Throttled\""), Attempt::Again(None)),
            (200, error("\"Other\""), UNDELIVERABLE),
            (200, "{}".to_owned(), Attempt::Unknown),
            (200, "no JSON".to_owned(), Attempt::Unknown),
            (200, String::new(), Attempt::Unknown),
            (503, String::new(), Attempt::Again(None)),
        ] {
            assert_eq!(of(&answers, status, None, &body), expected, "{status} {body}");
        }
        // Codes of failures alone leave the rest to the status.
        let answers = Answers { accepted_codes: Vec::new(), ..answers };
        assert_eq!(of(&answers, 201, None, &error("\"Other\"")), Attempt::Accepted);
        assert_eq!(of(&answers, 400, None, &error("21211")), REFUSED);
        assert_eq!(of(&answers, 400, None, &error("\"Other\"")), UNDELIVERABLE);
    }

    #[test]
    fn a_code_that_could_be_the_message_is_not_logged() {
        let parcel = Parcel::trial(Channel::Sms, "+447400123456", "123456", Duration::from_secs(180)).unwrap();
        for (code, expected) in [
            ("21211", true),
            ("isv.MOBILE_NUMBER_ILLEGAL", true),
            ("123456", false),
            ("no.447400123456", false),
            ("07400123456", false),
            ("number-7400123.is-wrong", false),
            ("740012", true),
            ("two words", false),
        ] {
            assert_eq!(may_be_logged(code, &parcel), expected, "{code}");
        }
    }
}
