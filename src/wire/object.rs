//! Writes JSON objects, member by member. Tokens and the answers that carry them are written so: serde would look for
//! characters to escape in every name and every text, which takes as long as the parsing of a request.

use serde::Serialize;

/// Writes the members of one JSON object, in the order of the calls. Names need no escape.
///
/// Writing into memory can't fail. If it did, the object would be no JSON, and no client would read it as a success.
pub(crate) struct ObjectWriter<'j> {
    json: &'j mut Vec<u8>,
}

impl<'j> ObjectWriter<'j> {
    /// Begins an object at the end of `json`.
    pub(crate) fn begin(json: &'j mut Vec<u8>) -> Self {
        json.push(b'{');
        Self { json }
    }

    /// Writes a text.
    pub(crate) fn text(&mut self, name: &'static str, text: &str) {
        self.name(name);
        self.quote(text);
    }

    /// Writes a text that needs no escape: base64url, a token, or a scope, which has neither `"` nor `\` (RFC 6749
    /// section 3.3).
    pub(crate) fn plain_text(&mut self, name: &'static str, text: &str) {
        self.name(name);
        self.quote_plain(text);
    }

    /// Writes an array of texts that need no escape.
    pub(crate) fn plain_texts<'t>(&mut self, name: &'static str, texts: impl IntoIterator<Item = &'t str>) {
        self.name(name);
        self.json.push(b'[');
        for (number, text) in texts.into_iter().enumerate() {
            if number > 0 {
                self.json.push(b',');
            }
            self.quote_plain(text);
        }
        self.json.push(b']');
    }

    /// Writes a number.
    pub(crate) fn number(&mut self, name: &'static str, number: u64) {
        self.value(name, &number);
    }

    /// Writes any value.
    pub(crate) fn value(&mut self, name: &'static str, value: &impl Serialize) {
        self.name(name);
        let _ = serde_json::to_writer(&mut *self.json, value);
    }

    /// Writes members whose names the host has chosen.
    pub(crate) fn members<'m, V: Serialize + 'm>(&mut self, members: impl IntoIterator<Item = (&'m str, &'m V)>) {
        for (name, value) in members {
            self.comma();
            self.quote(name);
            self.json.push(b':');
            let _ = serde_json::to_writer(&mut *self.json, value);
        }
    }

    /// Ends the object.
    pub(crate) fn end(self) {
        self.json.push(b'}');
    }

    fn name(&mut self, name: &'static str) {
        self.comma();
        for part in ["\"", name, "\":"] {
            self.json.extend_from_slice(part.as_bytes());
        }
    }

    fn comma(&mut self) {
        // No member ends with this character.
        if self.json.last() != Some(&b'{') {
            self.json.push(b',');
        }
    }

    fn quote(&mut self, text: &str) {
        if needs_escape(text) {
            let _ = serde_json::to_writer(&mut *self.json, text);
        } else {
            self.quote_plain(text);
        }
    }

    fn quote_plain(&mut self, text: &str) {
        for part in ["\"", text, "\""] {
            self.json.extend_from_slice(part.as_bytes());
        }
    }
}

/// Tells whether a text has a character that JSON must escape (RFC 8259 section 7). It looks at all bytes, and so the
/// compiler can look at many at once.
fn needs_escape(text: &str) -> bool {
    text.bytes().fold(false, |found, byte| found | (byte < 0x20) | (byte == b'"') | (byte == b'\\'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_text_with_any_two_characters_is_what_serde_writes() {
        let characters = ['\0', '\u{1}', '\n', '\u{1f}', ' ', '!', '"', '#', '[', '\\', ']', 'a', '\u{7f}', 'é'];
        for first in characters {
            for second in characters {
                let text = format!("{first}{second}");
                let mut json = Vec::new();
                let mut object = ObjectWriter::begin(&mut json);
                object.text("text", &text);
                object.end();
                assert_eq!(json, json!({ "text": text }).to_string().into_bytes());
            }
        }
    }

    #[test]
    fn an_object_is_what_serde_writes() {
        let mut json = Vec::new();
        let custom = json!({"a \"name\"": {"b": [1]}, "ä": null});
        let mut object = ObjectWriter::begin(&mut json);
        object.text("plain", "openid profile");
        object.text("escaped", "\"\\\u{1}\n/é\u{7f}");
        object.plain_text("token", "A.b-_");
        object.plain_texts("none", []);
        object.plain_texts("some", ["{", "b"]);
        object.number("number", u64::MAX);
        object.value("value", &json!({}));
        object.members(custom.as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value)));
        object.end();
        let expected = json!({
            "plain": "openid profile",
            "escaped": "\"\\\u{1}\n/é\u{7f}",
            "token": "A.b-_",
            "none": [],
            "some": ["{", "b"],
            "number": u64::MAX,
            "value": {},
            "a \"name\"": {"b": [1]},
            "ä": null,
        });
        assert_eq!(serde_json::from_slice::<Value>(&json).unwrap(), expected);
        assert!(json.starts_with(br#"{"plain":"openid profile","escaped":"\"\\\u0001\n/"#), "{json:?}");

        let mut empty = Vec::new();
        ObjectWriter::begin(&mut empty).end();
        assert_eq!(empty, b"{}");
    }

    #[test]
    fn every_character_that_needs_an_escape_is_found() {
        for character in (0..=0xff).filter_map(char::from_u32) {
            let text = format!("0123456789abcdef{character}0123456789abcdef");
            let is_escaped = serde_json::to_string(&text).unwrap() != format!("\"{text}\"");
            assert_eq!(needs_escape(&text), is_escaped, "{character:?}");
        }
    }
}
