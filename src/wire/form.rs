//! `application/x-www-form-urlencoded` bodies, read strictly (RFC 6749 appendix B).

use super::members::{InvalidRequest, Members, Problem, Value};

impl<'a> Members<'a> {
    /// Reads an `application/x-www-form-urlencoded` body. A parameter without a value counts as omitted (RFC 6749
    /// section 3.2).
    ///
    /// # Errors
    /// [`InvalidRequest`] when the body is not UTF-8, has a broken escape, or has a parameter twice.
    pub(crate) fn from_form(body: &'a [u8]) -> Result<Self, InvalidRequest> {
        let mut members = Self::empty();
        read(body, &mut members)?;
        Ok(members)
    }
}

/// Reads every parameter into `members`.
fn read<'a>(body: &'a [u8], members: &mut Members<'a>) -> Result<(), InvalidRequest> {
    // The decoder would keep a broken escape as text.
    if !has_whole_escapes(body) {
        return Err(InvalidRequest::body(Problem::NotAForm));
    }
    for (name, value) in form_urlencoded::parse(body) {
        // The decoder writes this character in place of bytes that are not UTF-8. Two names that differ only in such
        // bytes would become one name, and two secrets would become one secret.
        if name.contains(char::REPLACEMENT_CHARACTER) || value.contains(char::REPLACEMENT_CHARACTER) {
            return Err(InvalidRequest::body(Problem::NotAForm));
        }
        let value = if value.is_empty() { Value::Omitted } else { Value::Text(value) };
        members.put(name, value)?;
    }
    Ok(())
}

/// Tells whether two hexadecimal digits follow each `%`.
pub(super) fn has_whole_escapes(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'%')
        .skip(1)
        .all(|rest| matches!(rest, [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::as_conversions)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::members::Member;

    fn refusal(body: &[u8]) -> String {
        Members::from_form(body).unwrap_err().to_string()
    }

    #[test]
    fn the_sample_of_rfc_6749_section_6_is_read() {
        let body = b"grant_type=refresh_token&refresh_token=tGzv3JOkF0XG5Qx2TlKWIA\
            &client_id=s6BhdRkqt3&client_secret=7Fjfp0ZBr1KtDRbnfVdmIw";
        let mut members = Members::from_form(body).unwrap();
        assert_eq!(members.require_str(Member::GrantType).unwrap(), "refresh_token");
        assert_eq!(members.require_str(Member::ClientId).unwrap(), "s6BhdRkqt3");
        let secret = members.take_secret(Member::ClientSecret).unwrap().unwrap();
        assert_eq!(secret.expose_secret(), "7Fjfp0ZBr1KtDRbnfVdmIw");
    }

    #[test]
    fn escapes_are_decoded() {
        // The sample of RFC 6749 appendix B: space, percent, ampersand, plus, pound and euro.
        let mut members = Members::from_form(b"&x=1&scope=+%25%26%2B%C2%A3%E2%82%AC&&").unwrap();
        assert_eq!(members.require_str(Member::Scope).unwrap(), " %&+£€");
        assert_eq!(Members::from_form(b"otp=a=b%00").unwrap().require_str(Member::Otp).unwrap(), "a=b\0");
        assert!(Members::from_form(b"").is_ok());
    }

    #[test]
    fn a_parameter_without_a_value_counts_as_omitted() {
        for body in [&b"otp=&auto_signup="[..], b"otp&auto_signup"] {
            let mut members = Members::from_form(body).unwrap();
            assert_eq!(members.take_str(Member::Otp), Ok(None));
            assert_eq!(members.take_bool(Member::AutoSignup), Ok(false));
        }
    }

    #[test]
    fn a_parameter_given_twice_is_refused() {
        for body in ["otp=1&otp=1", "otp=1&%6ftp=2", "otp=&otp=1", "otp&otp"] {
            assert_eq!(refusal(body.as_bytes()), "otp is given twice", "{body}");
        }
        for body in ["a=1&a=1", "a&a", "=1&=2", "a+b=1&a%20b=1"] {
            assert_eq!(refusal(body.as_bytes()), "the body has an unknown member twice", "{body}");
        }
    }

    #[test]
    fn what_is_not_utf8_or_not_an_escape_is_refused() {
        for body in [
            &b"otp=\xff"[..],
            b"otp=%ff",
            b"%ff=1",
            b"x=%C3%28",
            b"x=%ed%a0%80",
            b"otp=%",
            b"otp=%4",
            b"otp=%zz",
            b"otp=1%&x=1",
            b"%=1",
        ] {
            assert_eq!(refusal(body), "the body is not a valid form", "{body:?}");
        }
    }

    #[test]
    fn only_words_are_booleans() {
        assert_eq!(Members::from_form(b"auto_signup=true").unwrap().take_bool(Member::AutoSignup), Ok(true));
        assert_eq!(Members::from_form(b"auto_signup=false").unwrap().take_bool(Member::AutoSignup), Ok(false));
        assert!(Members::from_form(b"auto_signup=1").unwrap().take_bool(Member::AutoSignup).is_err());
    }

    #[test]
    fn many_and_large_parameters_are_read() {
        let many: String = (0..50_000).map(|n| format!("x{n}=&")).collect();
        let body = format!("{many}otp={}", "%61".repeat(1 << 20));
        assert_eq!(Members::from_form(body.as_bytes()).unwrap().require_str(Member::Otp).unwrap().len(), 1 << 20);
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_it_was_written(text in "[^\u{fffd}]+") {
            let body = form_urlencoded::Serializer::new(String::new()).append_pair("scope", &text).finish();
            prop_assert_eq!(Members::from_form(body.as_bytes()).unwrap().require_str(Member::Scope).unwrap(), text);
        }
    }
}
