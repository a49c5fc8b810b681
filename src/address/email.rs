//! E-mail addresses: local parts, domains and sub-addresses.

use std::borrow::Cow;
use std::sync::Arc;

/// A normalised e-mail address. Made by [`AddressPolicy::email`](crate::AddressPolicy::email).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress(pub(super) Arc<str>);

impl EmailAddress {
    /// Returns the address in lower case, with its domain as A-labels.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the domain.
    pub(crate) fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

impl core::fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("EmailAddress(..)")
    }
}

/// A text is not an e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedEmail(pub(super) ());

impl core::fmt::Display for MalformedEmail {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("not an e-mail address")
    }
}

impl core::error::Error for MalformedEmail {}

/// Returns the address without the `+` in its local part and what follows it.
pub(super) fn without_sub_address(email: &str) -> Cow<'_, str> {
    let parts = email.rsplit_once('@').and_then(|(local, domain)| {
        let (user, _) = local.split_once('+')?;
        (!user.is_empty()).then(|| format!("{user}@{domain}"))
    });
    parts.map_or(Cow::Borrowed(email), Cow::Owned)
}

/// The domain in lower case, with A-labels for what is not ASCII.
#[cfg(feature = "idn")]
pub(super) fn normalise_domain(domain: &str) -> Option<String> {
    idna::domain_to_ascii_strict(domain).ok()
}

#[cfg(not(feature = "idn"))]
pub(super) fn normalise_domain(domain: &str) -> Option<String> {
    ascii_domain(domain)
}

/// The domain in lower case, if it has no international labels: what UTS 46 makes of the same domain.
#[cfg(any(not(feature = "idn"), test))]
pub(super) fn ascii_domain(domain: &str) -> Option<String> {
    let is_label = |label: &str| {
        let hyphen = |at| label.as_bytes().get(at) == Some(&b'-');
        // Hyphens at the third and fourth place are reserved for A-labels (RFC 5891 section 4.2.3.1).
        (1..=MAX_LABEL).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !(label.starts_with('-') || label.ends_with('-') || hyphen(2) && hyphen(3))
    };
    (domain.len() <= MAX_DOMAIN && domain.split('.').all(is_label)).then(|| domain.to_ascii_lowercase())
}

/// Tells whether a local part beyond ASCII is what UTS 46 maps it to, and stays apart from ASCII when its case changes.
#[cfg(feature = "idn")]
pub(super) fn is_unambiguous(local: &str) -> bool {
    let changes_to_ascii = |character: char| {
        !character.is_ascii() && character.to_lowercase().chain(character.to_uppercase()).any(|other| other.is_ascii())
    };
    let (mapped, valid) = idna::domain_to_unicode(local);
    valid.is_ok() && mapped == local && !local.chars().any(changes_to_ascii)
}

/// Without UTS 46 no local part beyond ASCII is known to be unambiguous.
#[cfg(not(feature = "idn"))]
pub(super) fn is_unambiguous(_: &str) -> bool {
    false
}

/// RFC 5321 section 4.5.3.1, and erratum 1690 of RFC 3696.
pub(super) const MAX_LOCAL_PART: usize = 64;
pub(super) const MAX_EMAIL: usize = 254;

/// RFC 1035 section 2.3.4.
#[cfg(any(not(feature = "idn"), test))]
pub(super) const MAX_LABEL: usize = 63;
#[cfg(any(not(feature = "idn"), test))]
pub(super) const MAX_DOMAIN: usize = 253;

/// An international domain is longer as text than as A-labels, though never this much.
pub(super) const MAX_EMAIL_INPUT: usize = 4 * MAX_EMAIL;
