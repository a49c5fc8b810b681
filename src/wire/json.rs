//! JSON bodies (RFC 8259), read strictly.

use core::fmt;
use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

use super::members::{InvalidRequest, Members, Problem, Value};

impl<'a> Members<'a> {
    /// Reads one JSON object. A member that is `null` counts as omitted.
    ///
    /// # Errors
    /// [`InvalidRequest`] when the body is not a JSON object, is nested 128 levels deep or more, or has a member twice.
    pub(crate) fn from_json(body: &'a [u8]) -> Result<Self, InvalidRequest> {
        let mut members = Self::empty();
        read(body, &mut members)?;
        Ok(members)
    }
}

/// Reads one object into `members`. Refuses any text after the object.
fn read<'a>(body: &'a [u8], members: &mut Members<'a>) -> Result<(), InvalidRequest> {
    // The whole body is checked once here. Otherwise each text in it would be checked again.
    let body = core::str::from_utf8(body).map_err(|_| InvalidRequest::body(Problem::NotJson))?;
    let mut refused = None;
    let mut deserializer = serde_json::Deserializer::from_str(body);
    let object = Object { members, refused: &mut refused };
    let outcome = deserializer.deserialize_map(object).and_then(|()| deserializer.end());
    match (outcome, refused) {
        (Ok(()), None) => Ok(()),
        (_, Some(refused)) => Err(refused),
        (Err(error), None) if error.classify() == Category::Data => Err(InvalidRequest::body(Problem::NotAnObject)),
        (Err(_), None) => Err(InvalidRequest::body(Problem::NotJson)),
    }
}

/// Puts each member in its place. Leaves the reason for a refusal in `refused`, because the errors of serde carry only
/// text.
struct Object<'m, 'a> {
    members: &'m mut Members<'a>,
    refused: &'m mut Option<InvalidRequest>,
}

impl<'a> Visitor<'a> for Object<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((Name(name), value)) = map.next_entry()? {
            if let Err(refused) = self.members.put(name, value) {
                *self.refused = Some(refused);
                return Err(A::Error::custom("refused"));
            }
        }
        Ok(())
    }
}

/// The name of a member, borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'a> Deserialize<'a> for Name<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl<'a> Visitor<'a> for NameVisitor {
    type Value = Name<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Name<'a>, E> {
        Ok(Name(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Name<'a>, E> {
        Ok(Name(Cow::Owned(text.to_owned())))
    }
}

/// Arrays and objects are read by this implementation and not by `IgnoredAny`. Only here does serde_json keep its limit
/// of 128 levels and check that text is UTF-8.
impl<'a> Deserialize<'a> for Value<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'a> Visitor<'a> for ValueVisitor {
    type Value = Value<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Value<'a>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'a>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'a>, E> {
        Ok(Value::Bool(value))
    }

    /// Many serializers write `null` for an absent member.
    fn visit_unit<E>(self) -> Result<Value<'a>, E> {
        Ok(Value::Omitted)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value<'a>, E> {
        Ok(Value::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value<'a>, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value<'a>, E> {
        Ok(Value::Other)
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<Value<'a>, A::Error> {
        while seq.next_element::<Value<'a>>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Value<'a>, A::Error> {
        while map.next_entry::<Name<'a>, Value<'a>>()?.is_some() {}
        Ok(Value::Other)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::as_conversions)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::basic::parse_basic;
    use crate::wire::members::Member;

    #[test]
    fn what_is_of_another_type_is_an_error_that_says_what_was_expected() {
        use serde::de::value::{BytesDeserializer, Error, U64Deserializer};

        let number = || U64Deserializer::<Error>::new(1);
        let (mut members, mut refused) = (Members::from_json(b"{}").unwrap(), None);
        let object = number().deserialize_map(Object { members: &mut members, refused: &mut refused });
        assert!(object.unwrap_err().to_string().ends_with("expected an object"));
        assert!(Name::deserialize(number()).err().unwrap().to_string().ends_with("expected a name"));
        let bytes = BytesDeserializer::<Error>::new(b"");
        assert!(Value::deserialize(bytes).err().unwrap().to_string().ends_with("expected a value"));
    }

    fn refusal(body: &[u8]) -> String {
        Members::from_json(body).unwrap_err().to_string()
    }

    #[test]
    fn the_sample_of_the_contract_is_read() {
        let body = br#"{"grant_type":"http://tencentciam.com/oauth2/grant-type/otp/sms",
            "client_id":"TENANT_CLIENT_ID","client_secret":"TENANT_CLIENT_SECRET",
            "auth_source_id":"MOCK_SMS_OTP_AUTH_SOURCE_ID","phone_number":"13612345678",
            "otp_token":"MOCK_OTP_TOKEN","otp":"123456"}"#;
        let mut members = Members::from_json(body).unwrap();
        assert_eq!(members.require_str(Member::ClientId).unwrap(), "TENANT_CLIENT_ID");
        assert_eq!(members.require_str(Member::PhoneNumber).unwrap(), "13612345678");
        assert_eq!(members.take_secret(Member::Otp).unwrap().unwrap().expose_secret(), "123456");
    }

    #[test]
    fn unknown_members_are_ignored() {
        let body = br#" {"x":{"y":[1,-1,1.5,null,true,"\u00e9",{"z":{}}]},"w":18446744073709551616,"otp":"1"} "#;
        assert_eq!(Members::from_json(body).unwrap().require_str(Member::Otp).unwrap(), "1");
    }

    #[test]
    fn the_body_is_one_object() {
        for body in ["[]", "1", "null", "\"{}\"", "true", "[{}]"] {
            assert_eq!(refusal(body.as_bytes()), "the body is not a JSON object", "{body}");
        }
        for body in [
            "",
            " ",
            "{",
            "{}x",
            "{} {}",
            "{},",
            "{}\0",
            "\0{}",
            "{\"otp\":}",
            "{\"otp\"}",
            "{otp:1}",
            "{'otp':'1'}",
            "{\"otp\":\"1\",}",
            "\u{feff}{}",
            "{\"otp\":01}",
            "{\"otp\":NaN}",
            "{\"otp\":\"\n\"}",
            "{\"otp\":\"\0\"}",
            "{\"otp\":\"\\ud800\"}",
            "{\"x\":\"\\ud800\"}",
            "{\"otp\":\"1\"",
            "{1:2}",
            "{}//",
        ] {
            assert_eq!(refusal(body.as_bytes()), "the body is not valid JSON", "{body:?}");
        }
        // No number type can hold this number. Where another crate has told serde_json to keep the digits, it is
        // accepted.
        if serde_json::from_str::<serde_json::Value>("1e999").is_err() {
            assert_eq!(refusal(br#"{"x":1e999}"#), "the body is not valid JSON");
        }
    }

    #[test]
    fn what_is_not_utf8_is_refused_wherever_it_stands() {
        for body in [
            &b"{\"otp\":\"\xff\"}"[..],
            b"{\"x\":\"\xff\"}",
            b"{\"\xff\":1}",
            b"{\"x\":{\"\xff\":1}}",
            b"{}\xff",
            b"{\"x\":[\"\xc0\x80\"]}",
        ] {
            assert_eq!(refusal(body), "the body is not valid JSON", "{body:?}");
        }
    }

    #[test]
    fn a_member_given_twice_is_refused() {
        assert_eq!(refusal(br#"{"otp":"1","otp":"1"}"#), "otp is given twice");
        assert_eq!(refusal(br#"{"otp":"1","\u006ftp":"1"}"#), "otp is given twice");
        assert_eq!(refusal(br#"{"otp":null,"otp":"1"}"#), "otp is given twice");
        assert_eq!(refusal(br#"{"hunter2":1,"hunter2":1}"#), "the body has an unknown member twice");
        assert_eq!(refusal(br#"{"a":1,"\u0061":1}"#), "the body has an unknown member twice");
        // Names are compared exactly: these are two.
        assert!(Members::from_json(br#"{"otp":"1","OTP":"1","otp\u0000":"1"}"#).is_ok());
    }

    #[test]
    fn a_member_of_another_type_is_named() {
        for value in ["1", "-1", "1.5", "true", "[]", "[\"1\"]", "{}", "{\"a\":1}"] {
            let body = format!("{{\"otp\":{value}}}");
            let error = Members::from_json(body.as_bytes()).unwrap().take_str(Member::Otp).unwrap_err();
            assert_eq!(error.to_string(), "otp must be a string", "{value}");
        }
        let error = Members::from_json(br#"{"otp":""}"#).unwrap().take_secret(Member::Otp).unwrap_err();
        assert_eq!(error.to_string(), "otp must not be empty");
    }

    #[test]
    fn a_member_that_is_null_counts_as_absent() {
        let mut members = Members::from_json(br#"{"otp":null,"auto_signup":null,"client_secret":null}"#).unwrap();
        assert_eq!(members.take_str(Member::Otp), Ok(None));
        assert_eq!(members.take_bool(Member::AutoSignup), Ok(false));
        assert!(members.take_secret(Member::ClientSecret).unwrap().is_none());
        let error = Members::from_json(br#"{"otp":null}"#).unwrap().require_str(Member::Otp).unwrap_err();
        assert_eq!(error.to_string(), "otp is missing");
        // The member still occurs twice, whichever value comes first.
        for body in [r#"{"otp":null,"otp":"1"}"#, r#"{"otp":"1","otp":null}"#, r#"{"otp":null,"otp":null}"#] {
            assert_eq!(refusal(body.as_bytes()), "otp is given twice");
        }
        assert_eq!(refusal(br#"{"hunter2":null,"hunter2":null}"#), "the body has an unknown member twice");
    }

    #[test]
    fn booleans_may_be_strings() {
        for (value, expected) in [("true", true), ("false", false), ("\"true\"", true), ("\"false\"", false)] {
            let body = format!("{{\"auto_signup\":{value}}}");
            assert_eq!(Members::from_json(body.as_bytes()).unwrap().take_bool(Member::AutoSignup), Ok(expected));
        }
        for value in ["1", "0", "\"\"", "\"TRUE\"", "\"1\"", "[true]", "\" true\""] {
            let body = format!("{{\"auto_signup\":{value}}}");
            let error = Members::from_json(body.as_bytes()).unwrap().take_bool(Member::AutoSignup).unwrap_err();
            assert_eq!(error.to_string(), "auto_signup must be true or false", "{value}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_wherever_it_stands() {
        let deep = 10_000;
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let value = format!("{}1{}", open.repeat(deep), close.repeat(deep));
            for body in [value.clone(), format!("{{\"otp\":{value}}}"), format!("{{\"x\":{value}}}"), open.repeat(deep)]
            {
                assert!(Members::from_json(body.as_bytes()).is_err());
            }
        }
        let shallow = format!("{{\"x\":{}1{}}}", "[".repeat(100), "]".repeat(100));
        assert!(Members::from_json(shallow.as_bytes()).is_ok());
    }

    #[test]
    fn large_members_and_nul_are_values_like_others() {
        let large = "a".repeat(1 << 20);
        let body = format!("{{\"otp\":\"{large}\",\"x\":\"{large}\",\"scope\":\"a\\u0000\"}}");
        let mut members = Members::from_json(body.as_bytes()).unwrap();
        assert_eq!(members.require_str(Member::Otp).unwrap(), large);
        assert_eq!(members.require_str(Member::Scope).unwrap(), "a\0");
    }

    proptest! {
        #[test]
        fn nothing_panics(
            bytes in prop::collection::vec(any::<u8>(), 0..64),
            text in "[{}\\[\\]\":,otp0-9ulnre\\\\&=%]{0,40}",
        ) {
            let _ = Members::from_json(&bytes);
            let _ = Members::from_json(text.as_bytes());
            let _ = Members::from_form(&bytes);
            let _ = Members::from_form(text.as_bytes());
            let _ = parse_basic(&text);
        }

        #[test]
        fn any_text_is_read_as_it_was_written(text in ".+") {
            let body = serde_json::to_vec(&serde_json::json!({ "scope": text })).unwrap();
            prop_assert_eq!(Members::from_json(&body).unwrap().require_str(Member::Scope).unwrap(), text);
        }
    }
}
