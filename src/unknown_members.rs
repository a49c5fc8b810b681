//! The members of stored structures that this version does not know. They are kept as they were read, and written back.

use core::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, Impossible, SerializeMap, SerializeStruct, Serializer};
use serde::{Deserialize, Serialize, forward_to_deserialize_any};

/// The members of one structure that this version does not know. Most structures have none, which takes no memory on
/// the heap.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Unknown(Option<Box<Members>>);

#[derive(Clone, Default, PartialEq, Eq)]
struct Members(Vec<(String, Value)>);

impl Unknown {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn push(&mut self, name: String, value: Value) {
        self.0.get_or_insert_default().0.push((name, value));
    }

    fn members(&self) -> &[(String, Value)] {
        self.0.as_ref().map_or(&[], |members| &members.0)
    }
}

/// Shows no values, because they belong to a later version.
impl fmt::Debug for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} unknown members", self.members().len())
    }
}

/// Implements `Serialize` and `Deserialize` for a structure. The structure must derive both with
/// `#[serde(remote = "Self")]` and have a skipped field `unknown` of the type [`Unknown`].
macro_rules! keep_unknown_members {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, crate::unknown_members::Beside::new(serializer, &self.unknown))
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let mut unknown = crate::unknown_members::Unknown::default();
                let known = Self::deserialize(crate::unknown_members::Aside::new(deserializer, &mut unknown))?;
                Ok(Self { unknown, ..known })
            }
        }
    };
}

pub(crate) use keep_unknown_members;

/// A value of a JSON kind, read from any format. Integers have at most 64 bits.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    /// The bits of the number.
    Float(u64),
    Text(Box<str>),
    List(Box<[Value]>),
    Map(Box<[(Box<str>, Value)]>),
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Unsigned(value) => serializer.serialize_u64(*value),
            Self::Signed(value) => serializer.serialize_i64(*value),
            Self::Float(bits) => serializer.serialize_f64(f64::from_bits(*bits)),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(values) => serializer.collect_seq(values),
            Self::Map(members) => serializer.collect_map(members.iter().map(|(name, value)| (name, value))),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of one of JSON's kinds")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Unsigned(value))
    }

    /// Formats differ in how they read a number that is not negative.
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(u64::try_from(value).map_or(Value::Signed(value), Value::Unsigned))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value.to_bits()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.into()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element()? {
            values.push(value);
        }
        Ok(Value::List(values.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members: Vec<(Box<str>, Value)> = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        match members.as_slice() {
            [(name, Value::Text(digits))] if &**name == ARBITRARY_PRECISION => number(digits),
            _ => Ok(Value::Map(members.into())),
        }
    }
}

/// Reads a number as `serde_json` gives it where another crate has switched on its feature `arbitrary_precision`.
fn number<E: serde::de::Error>(digits: &str) -> Result<Value, E> {
    let unsigned = || digits.parse().ok().map(Value::Unsigned);
    let signed = || digits.parse().ok().map(Value::Signed);
    let float = || digits.parse::<f64>().ok().map(|value| Value::Float(value.to_bits()));
    unsigned().or_else(signed).or_else(float).ok_or_else(|| E::custom("not a number"))
}

/// Reads a structure, and sets aside the members that it does not have.
pub(crate) struct Aside<'u, D> {
    deserializer: D,
    unknown: &'u mut Unknown,
}

impl<'u, D> Aside<'u, D> {
    pub(crate) fn new(deserializer: D, unknown: &'u mut Unknown) -> Self {
        Self { deserializer, unknown }
    }
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Aside<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.deserializer.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.deserializer.deserialize_struct(name, fields, Structure { visitor, fields, unknown: self.unknown })
    }

    fn is_human_readable(&self) -> bool {
        self.deserializer.is_human_readable()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct Structure<'u, V> {
    visitor: V,
    fields: &'static [&'static str],
    unknown: &'u mut Unknown,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Structure<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(KnownMembers { map, fields: self.fields, unknown: self.unknown })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_seq(seq)
    }
}

struct KnownMembers<'u, A> {
    map: A,
    fields: &'static [&'static str],
    unknown: &'u mut Unknown,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for KnownMembers<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, mut seed: K) -> Result<Option<K::Value>, A::Error> {
        loop {
            match self.map.next_key_seed(Name { fields: self.fields, seed })? {
                None => return Ok(None),
                Some(Read::Known(known)) => return Ok(Some(known)),
                Some(Read::Unknown(name, unused)) => {
                    let value = self.map.next_value()?;
                    self.unknown.push(name, value);
                    seed = unused;
                }
            }
        }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// Reads the name of a member.
struct Name<K> {
    fields: &'static [&'static str],
    seed: K,
}

enum Read<T, K> {
    Known(T),
    Unknown(String, K),
}

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for Name<K> {
    type Value = Read<K::Value, K>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<'de, K: DeserializeSeed<'de>> Visitor<'de> for Name<K> {
    type Value = Read<K::Value, K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
        if self.fields.contains(&name) {
            self.seed.deserialize(StrDeserializer::new(name)).map(Read::Known)
        } else {
            Ok(Read::Unknown(name.to_owned(), self.seed))
        }
    }
}

/// Writes a structure, and then its unknown members.
pub(crate) struct Beside<'u, S> {
    serializer: S,
    unknown: &'u Unknown,
}

impl<'u, S> Beside<'u, S> {
    pub(crate) fn new(serializer: S, unknown: &'u Unknown) -> Self {
        Self { serializer, unknown }
    }
}

/// Formats that name members write a structure like a map.
pub(crate) enum Structured<'u, S: Serializer> {
    Alone(S::SerializeStruct),
    Beside(S::SerializeMap, &'u Unknown),
}

impl<S: Serializer> SerializeStruct for Structured<'_, S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), S::Error> {
        match self {
            Self::Alone(structure) => structure.serialize_field(name, value),
            Self::Beside(map, _) => map.serialize_entry(name, value),
        }
    }

    fn skip_field(&mut self, name: &'static str) -> Result<(), S::Error> {
        match self {
            Self::Alone(structure) => structure.skip_field(name),
            Self::Beside(..) => Ok(()),
        }
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        match self {
            Self::Alone(structure) => structure.end(),
            Self::Beside(mut map, unknown) => {
                for (name, value) in unknown.members() {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

/// Declares the methods that fail because the value is not a structure.
macro_rules! only_structures {
    ($($method:ident($($argument:ty),*) -> $output:ty;)*) => {
        $(fn $method(self, $(_: $argument),*) -> Result<$output, S::Error> {
            Err(S::Error::custom("only structures have members"))
        })*
    };
}

impl<'u, S: Serializer> Serializer for Beside<'u, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Impossible<S::Ok, S::Error>;
    type SerializeTuple = Impossible<S::Ok, S::Error>;
    type SerializeTupleStruct = Impossible<S::Ok, S::Error>;
    type SerializeTupleVariant = Impossible<S::Ok, S::Error>;
    type SerializeMap = Impossible<S::Ok, S::Error>;
    type SerializeStruct = Structured<'u, S>;
    type SerializeStructVariant = Impossible<S::Ok, S::Error>;

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Structured<'u, S>, S::Error> {
        let unknown = self.unknown.members().len();
        if unknown == 0 {
            return self.serializer.serialize_struct(name, len).map(Structured::Alone);
        }
        let map = self.serializer.serialize_map(Some(len.saturating_add(unknown)))?;
        Ok(Structured::Beside(map, self.unknown))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<S::Ok, S::Error> {
        self.serialize_none()
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, _: &T) -> Result<S::Ok, S::Error> {
        self.serialize_none()
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<S::Ok, S::Error> {
        self.serialize_none()
    }

    fn is_human_readable(&self) -> bool {
        self.serializer.is_human_readable()
    }

    only_structures! {
        serialize_bool(bool) -> S::Ok;
        serialize_i8(i8) -> S::Ok;
        serialize_i16(i16) -> S::Ok;
        serialize_i32(i32) -> S::Ok;
        serialize_i64(i64) -> S::Ok;
        serialize_u8(u8) -> S::Ok;
        serialize_u16(u16) -> S::Ok;
        serialize_u32(u32) -> S::Ok;
        serialize_u64(u64) -> S::Ok;
        serialize_f32(f32) -> S::Ok;
        serialize_f64(f64) -> S::Ok;
        serialize_char(char) -> S::Ok;
        serialize_str(&str) -> S::Ok;
        serialize_bytes(&[u8]) -> S::Ok;
        serialize_none() -> S::Ok;
        serialize_unit() -> S::Ok;
        serialize_unit_struct(&'static str) -> S::Ok;
        serialize_unit_variant(&'static str, u32, &'static str) -> S::Ok;
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }
}

const ARBITRARY_PRECISION: &str = "$serde_json::private::Number";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, MapDeserializer};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(remote = "Self")]
    struct Known {
        #[serde(rename = "a")]
        first: u8,
        #[serde(rename = "b", skip_serializing_if = "Option::is_none", default)]
        second: Option<u8>,
        #[serde(skip)]
        unknown: Unknown,
    }

    keep_unknown_members!(Known);

    #[test]
    fn unknown_members_are_written_back() {
        let text = r#"{"a":1,"x":null,"y":[true,-1,18446744073709551615,0.5,"text",[]],"z":{"a":{},"é":"\u0000"}}"#;
        let known: Known = serde_json::from_str(text).unwrap();
        assert_eq!((known.first, known.second, known.unknown.members().len()), (1, None, 3));
        let written: serde_json::Value = serde_json::to_value(&known).unwrap();
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(text).unwrap());
    }

    #[test]
    fn unknown_members_may_stand_anywhere() {
        let known: Known = serde_json::from_str(r#"{"x":0,"b":2,"a":1,"c":{"a":9}}"#).unwrap();
        assert_eq!(serde_json::to_string(&known).unwrap(), r#"{"a":1,"b":2,"x":0,"c":{"a":9}}"#);
    }

    #[test]
    fn where_there_are_none_nothing_is_kept() {
        let known: Known = serde_json::from_str(r#"{"a":1}"#).unwrap();
        assert!(known.unknown.is_empty());
        assert_eq!(serde_json::to_string(&known).unwrap(), r#"{"a":1}"#);
    }

    /// By the feature `float_roundtrip` of `serde_json`.
    #[test]
    fn fractions_stay_as_they_are() {
        let mut bits = 1_u64;
        for _ in 0..10_000 {
            // The generator of MMIX.
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let fraction = f64::from_bits(bits);
            if fraction.is_finite() {
                let known: Known = serde_json::from_str(&format!(r#"{{"a":1,"x":{fraction:e}}}"#)).unwrap();
                assert_eq!(known.unknown.members(), [("x".to_owned(), Value::Float(bits))], "{fraction}");
            }
        }
    }

    #[test]
    fn numbers_of_arbitrary_precision_stay_numbers() {
        for (digits, expected) in
            [("1", Value::Unsigned(1)), ("-1", Value::Signed(-1)), ("0.5", Value::Float(0.5_f64.to_bits()))]
        {
            let map = MapDeserializer::<_, Error>::new([(ARBITRARY_PRECISION, digits)].into_iter());
            assert_eq!(Value::deserialize(map.into_deserializer()).unwrap(), expected);
        }
    }

    #[test]
    fn debug_says_nothing_of_unknown_members() {
        let known: Known = serde_json::from_str(r#"{"a":1,"secret":"secret"}"#).unwrap();
        assert!(!format!("{known:?}").contains("secret"));
    }
}
