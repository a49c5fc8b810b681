//! Reads JSON from other parties strictly: JOSE headers, claims and key sets.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Reads a JSON object. Every object in it, at any depth, must have members with distinct names.
///
/// Where two members have the same name, some parsers take the first and some the last. One program could then check
/// another value than the next program uses (RFC 8725 section 2.8, RFC 8259 section 4).
pub(crate) fn object(json: &[u8]) -> Result<Map<String, Value>, NotStrict> {
    match serde_json::from_slice(json) {
        Ok(StrictValue(Value::Object(members))) => Ok(members),
        _ => Err(NotStrict),
    }
}

/// The text is not a JSON object, or an object in it has a member twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotStrict;

/// A JSON value in which no object has two members of the same name.
struct StrictValue(Value);

impl<'de> Deserialize<'de> for StrictValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a JSON value without duplicate members")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(StrictValue(element)) = elements.next_element()? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if name == NUMBER && object.is_empty() {
                return number(&members.next_value::<String>()?).ok_or_else(|| A::Error::custom("not a number"));
            }
            let StrictValue(value) = members.next_value()?;
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("duplicate member"));
            }
        }
        Ok(Value::Object(object))
    }
}

/// Returns the value of a number, as `serde_json` returns it by default.
fn number(text: &str) -> Option<Value> {
    let positive = text.parse::<u64>().ok().map(Value::from);
    // Only a floating-point zero has a sign.
    let negative = || text.parse::<i64>().ok().filter(|number| *number != 0).map(Value::from);
    positive.or_else(negative).or_else(|| text.parse::<f64>().ok().and_then(Number::from_f64).map(Value::Number))
}

/// The name of the member by which `serde_json` passes a number on, where another crate of the host has switched on the
/// feature `arbitrary_precision`. The features of a crate apply to all its users.
///
/// Such an object can also stand in the JSON itself. It is then also read as a number, as `serde_json` does.
const NUMBER: &str = "$serde_json::private::Number";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_in_either_way_in_which_it_is_given() {
        for text in
            ["0", "-0", "1", "-1", "18446744073709551615", "-9223372036854775808", "18446744073709551616", "1.5"]
        {
            let given = format!(r#"{{"a":{{"{NUMBER}":"{text}"}}}}"#);
            let found = object(given.as_bytes()).map(|object| object["a"].as_f64());
            assert_eq!(found, Ok(text.parse().ok()), "{text}");
            let plain = object(format!(r#"{{"a":{text}}}"#).as_bytes()).map(|object| object["a"].as_u64());
            assert_eq!(plain, Ok(text.parse().ok()), "{text}");
            assert_eq!(object(given.as_bytes()).map(|object| object["a"].as_u64()), plain, "{text}");
        }
        for text in ["", "x", "1e999", "0x1", "inf", "NaN"] {
            assert_eq!(object(format!(r#"{{"a":{{"{NUMBER}":"{text}"}}}}"#).as_bytes()), Err(NotStrict), "{text}");
        }
        assert_eq!(object(format!(r#"{{"a":{{"{NUMBER}":"1","b":1}}}}"#).as_bytes()), Err(NotStrict));
        assert_eq!(object(format!(r#"{{"{NUMBER}":"1"}}"#).as_bytes()), Err(NotStrict));
    }

    #[test]
    fn what_is_no_json_value_is_an_error_that_says_what_was_expected() {
        let bytes = serde::de::value::BytesDeserializer::<serde::de::value::Error>::new(b"");
        let error = StrictValue::deserialize(bytes).err().unwrap();
        assert!(error.to_string().ends_with("expected a JSON value without duplicate members"));
    }

    #[test]
    fn values_are_kept_as_they_are() {
        let json = r#"{"a":[null,true,-1,18446744073709551615,1.5,"\u00e9",{"a":{"a":{}}}],"b":""}"#;
        let expected: Map<String, Value> = serde_json::from_str(json).unwrap();
        assert_eq!(object(json.as_bytes()), Ok(expected));
        assert_eq!(object(br#"{"a":{"b":[{"c":1,"c":2}]}}"#), Err(NotStrict));
        assert_eq!(object(b"\"a\""), Err(NotStrict));
    }
}
