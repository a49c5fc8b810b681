//! Derives one-time codes from a key, a record, a binding and a nonce. The code itself is never stored.
//!
//! A presented code is compared in `Reserved::compare`, by `secret::Code`.

use zeroize::Zeroizing;

use crate::id::{Binding, KeyId, Nonce, RecordKey};
use crate::otp::policy::CodeShape;
use crate::secret::Code;
use crate::secret::keyring::{Keyring, mac};

/// What a code is derived from. The same nonce in another record or with another binding gives another code.
pub(crate) struct CodeSource<'a> {
    pub(crate) record: &'a RecordKey,
    pub(crate) binding: &'a Binding,
    pub(crate) nonce: &'a Nonce,
}

/// Derives the code of a source. Returns `None` where the key is no longer accepted.
pub(crate) fn derive(keyring: &Keyring, key: &KeyId, source: CodeSource<'_>, shape: &CodeShape) -> Option<Code> {
    let keys = keyring.find(key)?;
    let parts = [source.record.as_bytes().as_slice(), source.binding.as_bytes(), source.nonce.as_bytes()];
    let bytes = Zeroizing::new(mac(&keys.codes, parts));
    let (head, _) = bytes.split_first_chunk()?;
    Some(Code::new(spell(u128::from_be_bytes(*head), shape)))
}

/// Writes a number in the digits of the alphabet, and keeps leading digits.
///
/// There are at most 64^10 = 2^60 codes for 2^128 numbers. No code is likelier than another by more than one part in
/// 2^68.
fn spell(mut number: u128, shape: &CodeShape) -> String {
    let alphabet = shape.alphabet().as_bytes();
    let base = u128::try_from(alphabet.len()).unwrap_or(u128::MAX);
    let digit = |_| {
        let digit = usize::try_from(number.checked_rem(base).unwrap_or_default()).unwrap_or_default();
        number = number.checked_div(base).unwrap_or_default();
        char::from(alphabet.get(digit).copied().unwrap_or_default())
    };
    (0..shape.length.get()).map(digit).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::otp::policy::CodePolicy;
    use crate::secret::keyring::MasterKey;

    fn policy(length: u8) -> CodePolicy {
        CodePolicy::new(length, Duration::from_secs(60)).unwrap()
    }

    fn shape(length: u8) -> CodeShape {
        policy(length).shape().clone()
    }

    #[test]
    fn a_nonce_in_another_record_or_binding_gives_another_code() {
        let secret = MasterKey::from_bytes(&[1; 32]).unwrap();
        let keyring = Keyring::new(&secret, &secret);
        let code = |record: u8, binding: u8| {
            let (record, nonce) = (RecordKey::from_bytes([record; 32]), Nonce::from_bytes([0; 16]));
            let binding = Binding::from_bytes([binding; Binding::LEN]);
            let source = CodeSource { record: &record, binding: &binding, nonce: &nonce };
            derive(&keyring, &keyring.active().id, source, &shape(10)).unwrap().expose_secret().to_owned()
        };
        assert_eq!(code(1, 1), code(1, 1));
        assert!(code(1, 1) != code(2, 1) && code(1, 1) != code(1, 2));
    }

    #[test]
    fn leading_zeros_are_kept() {
        assert_eq!(spell(0, &shape(6)), "000000");
        assert_eq!(spell(123, &shape(4)), "3210");
        assert_eq!(spell(u128::MAX, &shape(10)).len(), 10);
        assert_eq!(spell(5, policy(4).with_alphabet("ABCDEFGHJK").unwrap().shape()), "FAAA");
    }

    #[test]
    fn every_digit_is_as_likely_as_another() {
        let master = MasterKey::from_bytes(&[9; 32]).unwrap();
        let keyring = Keyring::new(&master, &master);
        let key = keyring.active().id;
        let (record, binding) = (RecordKey::from_bytes([1; 32]), Binding::from_bytes([2; 16]));
        let mut counts = [[0_u32; 10]; 6];
        for index in 0..20_000_u128 {
            let nonce = Nonce::from_bytes(index.to_be_bytes());
            let source = CodeSource { record: &record, binding: &binding, nonce: &nonce };
            let code = derive(&keyring, &key, source, &shape(6)).unwrap();
            for (position, digit) in code.expose_secret().bytes().enumerate() {
                counts[position][usize::from(digit - b'0')] += 1;
            }
        }
        for position in counts {
            let chi_squared: f64 = position.iter().map(|count| (f64::from(*count) - 2000.0).powi(2) / 2000.0).sum();
            // 9 degrees of freedom: above 33.7 in one of 10,000 draws; these draws are fixed.
            assert!(chi_squared < 33.7, "{position:?}");
        }
    }
}
