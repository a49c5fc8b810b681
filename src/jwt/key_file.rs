//! Reads private keys from the PEM, DER and base64 files that other programs write.

use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

use crate::jwt::key_error::KeyError;
use crate::secret::secret_from_base64;

/// The private key of a file, taken out of its text but not used yet. It is wiped when dropped.
///
/// [`SigningKey`](crate::SigningKey) uses it to read files. A crate that signs with another library can read the same
/// files with it.
///
/// ```
/// use otp_grant::jwt::{KeyError, KeyFile};
///
/// let file = KeyFile::from_pem("-----BEGIN PRIVATE KEY-----\n\
///     MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
///     -----END PRIVATE KEY-----\n")?;
/// assert_eq!(file.der().len(), 48);
/// # Ok::<(), KeyError>(())
/// ```
pub struct KeyFile(Zeroizing<Vec<u8>>);

impl KeyFile {
    /// Takes the key out of a PEM file: `PRIVATE KEY` (PKCS#8), `RSA PRIVATE KEY` (PKCS#1) or `EC PRIVATE KEY` (SEC 1).
    ///
    /// The file can have other sections, such as certificates, but only one private key. The text can have come through
    /// an environment variable or a configuration file. These forms are understood:
    ///
    /// - a byte order mark, or quotation marks around the text;
    /// - indented lines;
    /// - `\n` or spaces in place of line breaks;
    /// - base64 of the whole file.
    ///
    /// # Errors
    /// [`KeyError::NoPrivateKey`] (also when the key is encrypted), [`KeyError::SeveralPrivateKeys`],
    /// [`KeyError::Unsupported`] when the key is in another format, such as that of OpenSSH, and
    /// [`KeyError::Malformed`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let text = unquoted(text);
        if text.contains(BEGIN) {
            return Self::from_sections(&in_lines(text));
        }
        let decoded = secret_from_base64(text).map_err(|_| KeyError::NoPrivateKey)?;
        match pem_in(&decoded) {
            Some(pem) => Self::from_sections(&in_lines(unquoted(pem))),
            None => Err(KeyError::NoPrivateKey),
        }
    }

    /// Takes the key out of base64: of a whole key file, or of the text between its lines `-----BEGIN` and `-----END`.
    /// Line breaks are ignored.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] when it is not base64, and the errors of [`KeyFile::from_pem`].
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        let decoded = secret_from_base64(unquoted(text)).map_err(|_| KeyError::Malformed)?;
        // A key comes first: its random bytes can read like the beginning of a PEM file.
        Self::from_der(&decoded).or_else(|error| pem_in(&decoded).map_or(Err(error), Self::from_pem))
    }

    /// Takes the key out of the DER inside a key file. The caller must wipe the bytes.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] when it is not the DER of a private key.
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        PrivateKeyDer::try_from(der).map(|key| Self::new(&key)).map_err(|_| KeyError::Malformed)?
    }

    /// Returns the key in PKCS#8, or in PKCS#1 if it came in PKCS#1.
    pub fn der(&self) -> &[u8] {
        &self.0
    }

    fn from_sections(pem: &str) -> Result<Self, KeyError> {
        let mut keys = PrivateKeyDer::pem_slice_iter(pem.as_bytes()).map(|key| key.map(Zeroizing::new));
        let Some(key) = keys.next() else {
            // The key is in a section that this crate does not read.
            let is_other = |line: &str| line.starts_with(BEGIN) && line.ends_with("PRIVATE KEY-----");
            let is_encrypted = |line: &str| line.contains("ENCRYPTED");
            let other = pem.lines().any(|line| is_other(line) && !is_encrypted(line));
            return Err(if other { KeyError::Unsupported } else { KeyError::NoPrivateKey });
        };
        // RFC 1421 section 4.6.1.1: OpenSSL encrypts in this way in its older format.
        let damaged =
            if pem.contains("\nProc-Type: 4,ENCRYPTED") { KeyError::NoPrivateKey } else { KeyError::Malformed };
        let key = key.map_err(|_| damaged)?;
        // The order of several keys in a file must not decide which of them signs.
        match keys.next() {
            None => Self::new(&key),
            Some(Ok(_)) => Err(KeyError::SeveralPrivateKeys),
            Some(Err(_)) => Err(KeyError::Malformed),
        }
    }

    fn new(key: &PrivateKeyDer<'_>) -> Result<Self, KeyError> {
        Ok(Self(match key {
            PrivateKeyDer::Pkcs8(der) => Zeroizing::new(der.secret_pkcs8_der().to_vec()),
            PrivateKeyDer::Pkcs1(der) => Zeroizing::new(der.secret_pkcs1_der().to_vec()),
            PrivateKeyDer::Sec1(der) => p256_in_pkcs8(der.secret_sec1_der()),
            _ => return Err(KeyError::Unsupported),
        }))
    }
}

impl core::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("KeyFile(..)")
    }
}

/// Says what is wrong with a key that `ring` refuses without a reason.
pub(crate) fn diagnosis(der: &[u8]) -> KeyError {
    match modulus_bits(der) {
        Some(..2048) => return KeyError::RsaTooSmall,
        Some(4097..) => return KeyError::RsaTooLarge,
        Some(bits) if bits % 1024 != 0 => return KeyError::RsaOddSize,
        _ => {}
    }
    if lacks_public_key(der) == Some(true) { KeyError::PublicKeyMissing } else { KeyError::Malformed }
}

/// Returns the text of a PEM file that was encoded in base64 once more.
fn pem_in(decoded: &[u8]) -> Option<&str> {
    core::str::from_utf8(decoded).ok().filter(|text| text.contains(BEGIN))
}

/// Returns the text without the byte order mark, white space and quotation marks around it.
fn unquoted(text: &str) -> &str {
    let text = text.trim_start_matches('\u{feff}').trim();
    let inside = |mark| text.strip_prefix(mark).and_then(|text| text.strip_suffix(mark));
    inside('"').or_else(|| inside('\'')).unwrap_or(text).trim()
}

/// Puts each line of a PEM file on its own line, in whatever way its line breaks were lost.
fn in_lines(text: &str) -> Zeroizing<String> {
    // The capacity is enough for the whole result, which is therefore never moved: no more line breaks are added
    // than the text has characters.
    let mut pem = Zeroizing::new(String::with_capacity(text.len().saturating_mul(2)));
    let mut put = |line: &str| {
        pem.push_str(line.trim());
        pem.push('\n');
    };
    if text.contains(['\n', '\r']) {
        text.lines().for_each(put);
    } else if text.contains("\\n") {
        text.split("\\n").for_each(|line| put(line.trim_end_matches("\\r")));
    } else {
        // The text is `-----BEGIN A----- … -----END A-----`, perhaps several times.
        for part in text.split("-----") {
            if part.starts_with("BEGIN ") || part.starts_with("END ") {
                put(&format!("-----{part}-----"));
            } else {
                part.split_ascii_whitespace().for_each(&mut put);
            }
        }
    }
    pem
}

/// Puts a P-256 key of SEC 1 into PKCS#8 (RFC 5915 section 3, RFC 5958 section 2). If the key names another curve, its
/// reader notices this.
fn p256_in_pkcs8(sec1: &[u8]) -> Zeroizing<Vec<u8>> {
    let element = |tag: u8, parts: &[&[u8]]| {
        let len = parts.iter().map(|part| part.len()).sum::<usize>();
        let mut der = Zeroizing::new(Vec::with_capacity(len.saturating_add(4)));
        der.push(tag);
        match (u8::try_from(len), u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()) {
            (Ok(short @ ..0x80), _) => der.push(short),
            (Ok(byte), _) => der.extend([0x81, byte]),
            (Err(_), [high, low]) => der.extend([0x82, high, low]),
        }
        parts.iter().for_each(|part| der.extend_from_slice(part));
        der
    };
    let key = element(OCTET_STRING, &[sec1]);
    element(SEQUENCE, &[&[INTEGER, 1, 0], &[SEQUENCE, 19], &P256, &key])
}

/// Returns the length of an RSA modulus in bits, from PKCS#8 or PKCS#1.
fn modulus_bits(der: &[u8]) -> Option<usize> {
    let key = match in_pkcs8(der) {
        Some((algorithm, key)) if algorithm == RSA => key,
        Some(_) => return None,
        None => der,
    };
    let (SEQUENCE, numbers, _) = element(key)? else { return None };
    let (INTEGER, [0], numbers) = element(numbers)? else { return None };
    let (INTEGER, modulus, _) = element(numbers)? else { return None };
    let leading = modulus.iter().take_while(|byte| **byte == 0).count();
    let modulus = modulus.get(leading..)?;
    let unused = usize::try_from(modulus.first()?.leading_zeros()).ok()?;
    Some(modulus.len().saturating_mul(8).saturating_sub(unused))
}

/// Tells whether a P-256 key lacks its public key, which is optional (RFC 5915 section 3).
fn lacks_public_key(der: &[u8]) -> Option<bool> {
    let (_, key) = in_pkcs8(der).filter(|(algorithm, _)| *algorithm == P256)?;
    let (SEQUENCE, parts, _) = element(key)? else { return None };
    let (INTEGER, [1], parts) = element(parts)? else { return None };
    let (OCTET_STRING, _, mut rest) = element(parts)? else { return None };
    while !rest.is_empty() {
        let (tag, _, after) = element(rest)?;
        if tag == PUBLIC_KEY {
            return Some(false);
        }
        rest = after;
    }
    Some(true)
}

/// Returns the algorithm and the key inside PKCS#8.
fn in_pkcs8(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (SEQUENCE, parts, _) = element(der)? else { return None };
    let (INTEGER, _, parts) = element(parts)? else { return None };
    let (SEQUENCE, algorithm, parts) = element(parts)? else { return None };
    let (OCTET_STRING, key, _) = element(parts)? else { return None };
    Some((algorithm, key))
}

/// Returns the tag and the content of the first DER element, and the bytes after it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, len, rest) = match der {
        [tag, len @ ..=0x7f, rest @ ..] => (tag, usize::from(*len), rest),
        [tag, 0x81, len, rest @ ..] => (tag, usize::from(*len), rest),
        [tag, 0x82, high, low, rest @ ..] => (tag, usize::from(u16::from_be_bytes([*high, *low])), rest),
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((*tag, content, rest))
}

const BEGIN: &str = "-----BEGIN ";

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
/// `[1]`, constructed.
const PUBLIC_KEY: u8 = 0xa1;
/// `id-ecPublicKey` with `prime256v1` (RFC 5480 section 2.1.1).
const P256: [u8; 19] = *b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
/// `rsaEncryption` with its NULL (RFC 8017 appendix A.1).
const RSA: [u8; 13] = *b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    const PEM: &str = include_str!("../../tests/keys/es256_pkcs8.pem");
    const RSA_PEM: &str = include_str!("../../tests/keys/rsa2048_pkcs8.pem");

    #[test]
    fn nothing_of_the_key_is_printed() {
        assert_eq!(format!("{:?}", KeyFile::from_pem(PEM).unwrap()), "KeyFile(..)");
    }

    #[test]
    fn a_file_is_put_into_lines_within_the_room_that_it_has() {
        for pem in [PEM, RSA_PEM] {
            let one_line = pem.replace('\n', " ");
            for text in [pem.to_owned(), pem.replace('\n', "\\n"), one_line.repeat(20), "-----BEGIN -----".repeat(99)] {
                let lines = in_lines(&text);
                assert!(lines.capacity() <= 2 * text.len());
            }
            assert_eq!(*in_lines(&one_line), pem);
        }
    }

    #[test]
    fn a_key_whose_bytes_read_like_a_pem_file_is_a_key() {
        // Found by fuzzing: an Ed25519 key of these 32 bytes.
        let der = [
            b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20",
            b"--m------BEGIN PUBLIC KEY-----\n-".as_slice(),
        ]
        .concat();
        let key = KeyFile::from_base64(&BASE64_STANDARD.encode(&der)).unwrap();
        assert_eq!(key.der(), der);
    }

    /// The beginning of a key in PKCS#1 whose modulus has so many bits.
    fn rsa(bits: usize) -> Vec<u8> {
        let element = |tag: u8, content: &[u8]| {
            let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
            [&[tag, 0x82, high, low], content].concat()
        };
        // A leading zero keeps the number positive.
        let mut modulus = vec![0xff; bits / 8 + 1];
        modulus[0] = u8::try_from((1_u32 << (bits % 8)) - 1).unwrap();
        element(SEQUENCE, &[element(INTEGER, &[0]), element(INTEGER, &modulus)].concat())
    }

    #[test]
    fn an_rsa_key_that_is_refused_for_its_size_is_told_so() {
        use KeyError::{Malformed, RsaOddSize, RsaTooLarge, RsaTooSmall};
        let told = [(2047, RsaTooSmall), (2048, Malformed), (2049, RsaOddSize), (2056, RsaOddSize), (3072, Malformed)];
        let above = [(4095, RsaOddSize), (4096, Malformed), (4097, RsaTooLarge), (8192, RsaTooLarge)];
        for (bits, error) in told.into_iter().chain(above) {
            assert_eq!((modulus_bits(&rsa(bits)), diagnosis(&rsa(bits))), (Some(bits), error));
        }
        // The same key for RSASSA-PSS (RFC 4055 section 3.1).
        let file = KeyFile::from_pem(RSA_PEM).unwrap();
        let place = file.der().windows(RSA.len()).position(|part| part == RSA).unwrap();
        let mut for_pss = file.der().to_vec();
        for_pss[place + 10] = 0x0a;
        assert_eq!(modulus_bits(&for_pss), None);
    }

    #[test]
    fn what_is_cut_off_is_nothing() {
        let der = KeyFile::from_pem(RSA_PEM).unwrap();
        assert_eq!(modulus_bits(der.der()), Some(2048));
        for len in 0..der.der().len() {
            assert_eq!((modulus_bits(&der.der()[..len]), lacks_public_key(&der.der()[..len])), (None, None));
        }
        let der = KeyFile::from_pem(PEM).unwrap();
        assert_eq!(lacks_public_key(der.der()), Some(false));
    }
}
