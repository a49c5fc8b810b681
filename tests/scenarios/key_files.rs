//! Private keys as other programs write them, and as they arrive through variables and configuration files.

use std::process::Command;

use base64::{Engine, prelude::BASE64_STANDARD};
use otp_grant::SigningKey;
use otp_grant::jwt::{KeyError, KeyFile};

const P256: &str = include_str!("../keys/es256_pkcs8.pem");
const P256_SEC1: &str = include_str!("../keys/es256_sec1.pem");
const P256_WITHOUT_PUBLIC: &str = include_str!("../keys/es256_without_public_pkcs8.pem");
const ED25519: &str = include_str!("../keys/ed25519_pkcs8.pem");
const RSA: &str = include_str!("../keys/rsa2048_pkcs8.pem");
const RSA_PKCS1: &str = include_str!("../keys/rsa2048_pkcs1.pem");
const RSA_2047: &str = include_str!("../keys/rsa2047_pkcs8.pem");
const RSA_2056: &str = include_str!("../keys/rsa2056_pkcs8.pem");

fn key_id(read: Result<SigningKey, KeyError>) -> Result<String, KeyError> {
    read.map(|key| key.key_id().to_owned())
}

fn error(pem: &str) -> KeyError {
    SigningKey::from_pem(pem).unwrap_err()
}

/// The text between the first and the last line of a file.
fn inside(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with('-')).collect()
}

#[test]
fn a_key_is_the_same_however_its_text_arrives() {
    for pem in [P256, P256_SEC1, ED25519, RSA, RSA_PKCS1] {
        let expected = key_id(SigningKey::from_pem(pem));
        assert!(expected.is_ok());
        let trimmed = pem.trim_end();
        for text in [
            format!("\u{feff}{pem}"),
            format!("\n\n  {pem}\n\n"),
            pem.replace('\n', "\r\n"),
            pem.replace('\n', "\r"),
            pem.replace('\n', "\n    "),
            pem.replace('\n', " \n"),
            pem.replace('\n', "\\n"),
            pem.replace('\n', "\\r\\n"),
            trimmed.replace('\n', "\\n"),
            pem.replace('\n', " "),
            trimmed.replace('\n', ""),
            format!("\"{trimmed}\""),
            format!("'{trimmed}'\n"),
            format!("\u{feff}\"{}\"", pem.replace('\n', "\\n")),
            BASE64_STANDARD.encode(pem),
            BASE64_STANDARD.encode(format!("\u{feff}{pem}")),
            BASE64_STANDARD.encode(pem.replace('\n', "\r\n")),
            BASE64_STANDARD.encode(pem.replace('\n', "\\n")),
        ] {
            assert_eq!(key_id(SigningKey::from_pem(&text)), expected, "{text:?}");
            // `from_base64` refuses a PEM file, and accepts the base64 of one.
            let of_base64 = if text.contains("BEGIN") { Err(KeyError::Malformed) } else { expected.clone() };
            assert_eq!(key_id(SigningKey::from_base64(&text)), of_base64, "{text:?}");
        }
        let mut in_lines = BASE64_STANDARD.encode(pem);
        in_lines.insert(40, '\n');
        assert_eq!(key_id(SigningKey::from_pem(&in_lines)), expected);
        assert_eq!(key_id(SigningKey::from_base64(&in_lines)), expected);
        assert_eq!(key_id(SigningKey::from_base64(&inside(pem))), expected);
        assert_eq!(key_id(SigningKey::from_der(&BASE64_STANDARD.decode(inside(pem)).unwrap())), expected);
    }
}

#[test]
fn a_key_of_sec_1_is_the_key_that_it_is_in_pkcs_8() {
    assert_eq!(key_id(SigningKey::from_pem(P256_SEC1)), key_id(SigningKey::from_pem(P256)));
    // As `openssl ecparam -genkey` writes it, with its curve in a section of its own.
    let with_parameters =
        format!("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{P256_SEC1}");
    assert_eq!(key_id(SigningKey::from_pem(&with_parameters)), key_id(SigningKey::from_pem(P256)));
    let file = KeyFile::from_pem(P256_SEC1).unwrap();
    assert_eq!(key_id(SigningKey::from_der(file.der())), key_id(SigningKey::from_pem(P256)));
    assert_eq!(error(&format!("{P256_SEC1}{P256}")), KeyError::SeveralPrivateKeys);
}

#[test]
fn what_is_refused_says_why() {
    assert_eq!(error(P256_WITHOUT_PUBLIC), KeyError::PublicKeyMissing);
    assert_eq!(SigningKey::from_base64(&inside(P256_WITHOUT_PUBLIC)).unwrap_err(), KeyError::PublicKeyMissing);
    assert_eq!(error(RSA_2047), KeyError::RsaTooSmall);
    assert_eq!(error(RSA_2056), KeyError::RsaOddSize);
    for text in ["", "\u{feff}", "no key", "AAAA", "\"\"", "-----BEGIN", &BASE64_STANDARD.encode("no key")] {
        assert_eq!(error(text), KeyError::NoPrivateKey, "{text:?}");
    }
    let der = BASE64_STANDARD.decode(inside(P256)).unwrap();
    for cut in 0..der.len() {
        assert_eq!(SigningKey::from_der(&der[..cut]).unwrap_err(), KeyError::Malformed);
    }
    let encrypted = RSA_PKCS1.replacen('\n', "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n", 1);
    assert_eq!(error(&encrypted), KeyError::NoPrivateKey);
    assert_eq!(error(&P256.replace("PRIVATE", "ENCRYPTED PRIVATE")), KeyError::NoPrivateKey);
    assert_eq!(error(&P256.replace("PRIVATE", "OPENSSH PRIVATE")), KeyError::Unsupported);
    for pem in [P256, P256_SEC1, RSA] {
        let missing_end = pem.split("-----END").next().unwrap();
        assert_eq!(error(missing_end), KeyError::Malformed);
        assert_eq!(error(&missing_end.replace('\n', "\\n")), KeyError::Malformed);
    }
}

/// Runs OpenSSL on the key of a file.
fn openssl(arguments: &str, key: &str) -> String {
    let name = format!("otp_grant_{}_{:p}.pem", std::process::id(), key.as_ptr());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, key).unwrap();
    let output = Command::new("openssl").args(arguments.split(' ')).arg("-in").arg(&path).output().unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_conversions_that_the_errors_name_work() {
    let expected = key_id(SigningKey::from_pem(P256));
    assert_eq!(key_id(SigningKey::from_pem(&openssl("ec", P256_WITHOUT_PUBLIC))), expected);
    // The error says that these commands do not help.
    for arguments in ["pkey", "pkcs8 -topk8 -nocrypt"] {
        assert_eq!(error(&openssl(arguments, P256_WITHOUT_PUBLIC)), KeyError::PublicKeyMissing, "{arguments}");
    }
    let explicit = openssl("ec -param_enc explicit", P256);
    assert_eq!(error(&explicit), KeyError::Unsupported);
    assert_eq!(key_id(SigningKey::from_pem(&openssl("ec -param_enc named_curve", &explicit))), expected);
    let encrypted = openssl("pkey -aes256 -passout pass:secret", P256);
    assert_eq!(error(&encrypted), KeyError::NoPrivateKey);
    assert_eq!(key_id(SigningKey::from_pem(&openssl("pkey -passin pass:secret", &encrypted))), expected);
}
