//! The error of the functions that read, make or collect keys.

/// Says why a key or a key set was refused.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The text is not the JSON, PEM or DER of a key, or its parts do not belong together. A key file can be cut off or
    /// damaged: `openssl pkey -in key.pem -noout -check` checks it.
    Malformed,
    /// The key has a kind, curve, algorithm, use or file format that is not supported. A P-256 key can spell out its
    /// curve: `openssl ec -in key.pem -param_enc named_curve -out named.pem` names the curve instead.
    /// `ssh-keygen -p -m PKCS8 -f key` converts a key in the format of OpenSSH, in place. A key of `openssl genpkey
    /// -algorithm RSA-PSS` is not read: PS256 signs with a key of `-algorithm RSA`.
    Unsupported,
    /// A private P-256 key comes without its public key, as Java writes it. The standards allow this, but `ring` does
    /// not compute the public key. `openssl ec -in key.pem -out whole.pem` adds it. `openssl pkey` and `openssl pkcs8`
    /// do not.
    PublicKeyMissing,
    /// An RSA modulus has fewer than 2048 bits, which RFC 7518 forbids (sections 3.3 and 3.5), or an RSA public
    /// exponent is below 65537. Make another key: `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out
    /// key.pem`.
    RsaTooSmall,
    /// An RSA modulus has more than 4096 bits to sign with or in the key of a client, or more than 8192 bits to verify
    /// with, or a public exponent has more than 33 bits. Make another key, as for [`KeyError::RsaTooSmall`].
    RsaTooLarge,
    /// An RSA key to sign with has a modulus between 2048 and 4096 bits that is not of 2048, 3072 or 4096 bits. Make
    /// another key, as for [`KeyError::RsaTooSmall`].
    RsaOddSize,
    /// The key can't have this algorithm. Its kind has others, which [`Algorithm`](crate::jwt::Algorithm) lists. Or the
    /// key belongs to a [`Signer`](crate::jwt::Signer), which makes other signatures.
    AlgorithmMismatch,
    /// A JWK that should be public has private members.
    PrivateMembers,
    /// A PEM file has no unencrypted private key. `openssl pkey -in key.pem -out plain.pem` decrypts a key.
    NoPrivateKey,
    /// A PEM file has more than one private key.
    SeveralPrivateKeys,
    /// A key identifier is not 1 to 255 printable ASCII characters without `"` and `\`.
    InvalidKeyId,
    /// Two keys of a set have the same identifier.
    DuplicateKeyId,
    /// The key set of a client has no key. All keys of a document can have been skipped as unsupported.
    NoPublicKey,
    /// This crate does not generate RSA keys. `openssl genpkey -algorithm RSA` makes one, and so does
    /// `otp-grant-aws-lc`.
    CannotGenerateRsa,
    /// The operating system gave no random bytes.
    NoRandomness,
}

impl core::fmt::Display for KeyError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the key is malformed",
            Self::Unsupported => "the key is of a kind, curve, algorithm, use or format that is not supported",
            Self::PublicKeyMissing => {
                "the P-256 key comes without its public key, which `openssl ec -in key.pem -out whole.pem` adds"
            }
            Self::RsaOddSize => "the RSA key has neither 2048 nor 3072 nor 4096 bits",
            Self::RsaTooSmall => "the RSA key has fewer than 2048 bits, or a public exponent below 65537",
            Self::RsaTooLarge => "the RSA key has more bits than supported, or a public exponent over 33 bits",
            Self::AlgorithmMismatch => "the key cannot have this algorithm",
            Self::PrivateMembers => "the public key comes with its private members",
            Self::NoPrivateKey => "the PEM file has no unencrypted private key",
            Self::SeveralPrivateKeys => "the PEM file has more than one private key",
            Self::InvalidKeyId => "the key identifier is not 1 to 255 printable ASCII characters without \" and \\",
            Self::DuplicateKeyId => "two keys have the same identifier",
            Self::NoPublicKey => "the key set has no supported key",
            Self::CannotGenerateRsa => "RSA keys cannot be generated, only read",
            Self::NoRandomness => "the operating system gave no random bytes",
        })
    }
}

impl core::error::Error for KeyError {}
