//! The `Authorization: Basic` header of a client (RFC 7617, RFC 6749 section 2.3.1).

use core::mem;

use base64::{Engine, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

use super::form::has_whole_escapes;
use crate::secret::PresentedSecret;

/// Reads the identifier and the secret of a client. Both are form-urlencoded inside the credentials, and either can be
/// empty.
///
/// # Errors
/// [`MalformedBasic`] when the scheme is not Basic, or when the credentials are too long, are not canonical base64,
/// have no colon, are not UTF-8, or have a broken escape or a control character.
pub(crate) fn parse_basic(header: &str) -> Result<(String, PresentedSecret<'static>), MalformedBasic> {
    let (scheme, credentials) = header.split_once(' ').ok_or(MalformedBasic)?;
    let credentials = credentials.trim_start_matches(' ');
    if !scheme.eq_ignore_ascii_case("Basic") || credentials.len() > MAX_CREDENTIALS {
        return Err(MalformedBasic);
    }
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(credentials.len())]);
    let len = BASE64_STANDARD.decode_slice(credentials, &mut bytes).map_err(|_| MalformedBasic)?;
    let pair = bytes.get(..len).and_then(|bytes| core::str::from_utf8(bytes).ok()).ok_or(MalformedBasic)?;
    // A colon inside the identifier is sent as %3A, and so the first colon is the separator.
    let (id, secret) = pair.split_once(':').ok_or(MalformedBasic)?;
    let (mut id, mut secret) = (url_decode(id)?, url_decode(secret)?);
    Ok((mem::take(&mut *id), PresentedSecret::new(mem::take(&mut *secret))))
}

/// The `Authorization` header does not name a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MalformedBasic;

impl core::fmt::Display for MalformedBasic {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("not the Basic credentials of a client")
    }
}

impl core::error::Error for MalformedBasic {}

/// Decodes the form-urlencoding of one value. `form_urlencoded` decodes whole forms only, and leaves copies that are
/// not wiped.
fn url_decode(text: &str) -> Result<Zeroizing<String>, MalformedBasic> {
    if !has_whole_escapes(text.as_bytes()) {
        return Err(MalformedBasic);
    }
    // The buffer has room for the whole text and is never moved. No part of the text stays behind in memory.
    let mut decoded = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => hex_digit(rest.next())? << 4 | hex_digit(rest.next())?,
            other => other,
        });
    }
    let decoded = core::str::from_utf8(&decoded).map_err(|_| MalformedBasic)?;
    // RFC 7617 section 2 forbids control characters. An escape can also encode one.
    if decoded.contains(char::is_control) {
        return Err(MalformedBasic);
    }
    Ok(Zeroizing::new(decoded.to_owned()))
}

fn hex_digit(byte: Option<u8>) -> Result<u8, MalformedBasic> {
    match byte {
        Some(digit @ b'0'..=b'9') => Ok(digit - b'0'),
        Some(digit @ b'a'..=b'f') => Ok(digit - b'a' + 10),
        Some(digit @ b'A'..=b'F') => Ok(digit - b'A' + 10),
        _ => Err(MalformedBasic),
    }
}

/// Enough for an identifier of 255 characters and a secret of 700, where every character is an escape.
const MAX_CREDENTIALS: usize = 4096;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::as_conversions)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_names_nobody_is_an_error_that_says_so() {
        let error = parse_basic("Basic").err().unwrap();
        assert_eq!(error.to_string(), "not the Basic credentials of a client");
    }

    fn read(header: &str) -> Option<(String, String)> {
        parse_basic(header).ok().map(|(id, secret)| (id, secret.expose_secret().to_owned()))
    }

    fn read_pair(pair: impl AsRef<[u8]>) -> Option<(String, String)> {
        read(&format!("Basic {}", BASE64_STANDARD.encode(pair)))
    }

    fn pair(id: &str, secret: &str) -> Option<(String, String)> {
        Some((id.to_owned(), secret.to_owned()))
    }

    #[test]
    fn the_samples_of_the_rfcs_are_read() {
        // RFC 6749 section 2.3.1.
        assert_eq!(read("Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW"), pair("s6BhdRkqt3", "gX1fBat3bV"));
        // RFC 7617 sections 2 and 2.1.
        assert_eq!(read("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), pair("Aladdin", "open sesame"));
        assert_eq!(read("Basic dGVzdDoxMjPCow=="), pair("test", "123£"));
    }

    #[test]
    fn the_scheme_has_any_case_and_any_spaces_after_it() {
        for header in ["basic czZCaGRSa3F0MzpnWDFmQmF0M2JW", "BASIC   czZCaGRSa3F0MzpnWDFmQmF0M2JW"] {
            assert!(read(header).is_some(), "{header}");
        }
        for header in [
            "",
            "Basic",
            "Basic ",
            "Bearer czZCaGRSa3F0MzpnWDFmQmF0M2JW",
            "BasicczZCaGRSa3F0MzpnWDFmQmF0M2JW",
            "Basic\tczZCaGRSa3F0MzpnWDFmQmF0M2JW",
            " Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW",
            "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW ",
            "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW, Basic YTpi",
            "\u{212a} YTpi",
        ] {
            assert_eq!(read(header), None, "{header:?}");
        }
    }

    #[test]
    fn base64_is_canonical() {
        assert_eq!(read("Basic YTpiYg=="), pair("a", "bb"));
        // Without padding, with too little, with stray bits, with the other alphabet, with a line break.
        for credentials in ["YTpiYg", "YTpiYg=", "YTpiYh==", "YTo_Pz8_", "YTpi\nYg==", "YTpiYg===", "é", "===="] {
            assert_eq!(read(&format!("Basic {credentials}")), None, "{credentials:?}");
        }
    }

    #[test]
    fn both_halves_are_decoded() {
        assert_eq!(read_pair("a%3Ab:c+d%2B%25:e"), pair("a:b", "c d+%:e"));
        assert_eq!(read_pair("%C3%A9:a&b=c"), pair("é", "a&b=c"));
        assert_eq!(read_pair(":"), pair("", ""));
        assert_eq!(read_pair("public:"), pair("public", ""));
    }

    #[test]
    fn what_is_no_pair_of_texts_is_refused() {
        for pair in [
            &b""[..],
            b"no colon",
            b"a:%",
            b"a:%4",
            b"a:%zz",
            b"%:b",
            b"a:%+1",
            b"a:%ff",
            b"\xff:b",
            b"a:\xc3%A9",
            b"a:\0",
            b"a%00:b",
            b"a:b%0d%0a",
            b"a\n:b",
            b"a:b\x7f",
            b"a:%C2%85",
        ] {
            assert_eq!(read_pair(pair), None, "{pair:?}");
        }
    }

    #[test]
    fn what_is_too_long_is_refused() {
        assert!(read_pair("a:".to_owned() + &"b".repeat(3070)).is_some());
        assert!(read_pair("a:".to_owned() + &"b".repeat(3073)).is_none());
        assert!(read_pair("a:".to_owned() + &"b".repeat(1 << 20)).is_none());
    }

    proptest! {
        #[test]
        fn nothing_panics(
            header in ".*",
            bytes in prop::collection::vec(any::<u8>(), 0..40),
            half in "[%+0-9a-fA-F:é]{0,20}",
        ) {
            let _ = parse_basic(&header);
            let _ = read_pair(bytes);
            let _ = read_pair(half);
        }

        #[test]
        fn what_a_client_encodes_is_what_is_read(id in "\\PC{1,50}", secret in "\\PC{0,50}") {
            let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            prop_assert_eq!(read_pair(format!("{}:{}", encode(&id), encode(&secret))), pair(&id, &secret));
        }
    }
}
