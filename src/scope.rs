//! The scope of a token: parsing, subsets and intersections.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A set of 1 to 64 scope tokens with at most 1024 characters, in the order in which they were named.
///
/// A token that is named twice is kept once. Equality depends on the order. [`is_subset_of`](Self::is_subset_of) does
/// not.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use otp_grant::Scope;
///
/// let scope = Scope::parse("openid profile openid")?;
/// assert_eq!(scope.as_str(), "openid profile");
/// assert!(scope.contains("profile") && Scope::openid().is_subset_of(&scope));
/// # Ok(()) }
/// ```
///
/// RFC 6749 section 3.3.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Arc<str>", into = "Arc<str>")]
pub struct Scope(Arc<str>);

impl Scope {
    /// Parses tokens with one space between them, and no space around them.
    ///
    /// # Errors
    /// [`InvalidScope`] when there is no token, when there are too many tokens or characters, or when a token is empty
    /// or has a character that is not allowed.
    pub fn parse(text: &str) -> Result<Self, InvalidScope> {
        if text.len() > MAX_LEN {
            return Err(InvalidScope(()));
        }
        let mut tokens: Vec<&str> = Vec::new();
        for token in text.split(' ') {
            if !is_token(token) {
                return Err(InvalidScope(()));
            }
            if !tokens.contains(&token) {
                tokens.push(token);
            }
            if tokens.len() > MAX_TOKENS {
                return Err(InvalidScope(()));
            }
        }
        Ok(Self(tokens.join(" ").into()))
    }

    /// Returns the scope `openid` alone (OpenID Connect Core section 3.1.2.1).
    pub fn openid() -> Self {
        Self("openid".into())
    }

    /// Returns the tokens in their order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ')
    }

    /// Tells whether `token` is one of the tokens. The comparison is case-sensitive.
    pub fn contains(&self, token: &str) -> bool {
        self.iter().any(|other| other == token)
    }

    /// Tells whether `other` contains every token.
    pub fn is_subset_of(&self, other: &Scope) -> bool {
        self.iter().all(|token| other.contains(token))
    }

    /// Returns the tokens that `other` also contains, if there are any.
    pub(crate) fn intersection(&self, other: &Scope) -> Option<Self> {
        let common: Vec<&str> = self.iter().filter(|token| other.contains(token)).collect();
        if common.is_empty() { None } else { Some(Self(common.join(" ").into())) }
    }

    /// Returns the tokens with one space between them.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<Arc<str>> for Scope {
    type Error = InvalidScope;

    fn try_from(text: Arc<str>) -> Result<Self, InvalidScope> {
        Self::parse(&text)
    }
}

impl From<Scope> for Arc<str> {
    fn from(scope: Scope) -> Self {
        scope.0
    }
}

/// A text is not a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidScope(());

impl InvalidScope {
    pub(crate) const fn new() -> Self {
        Self(())
    }
}

impl core::fmt::Display for InvalidScope {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("not a valid scope")
    }
}

impl core::error::Error for InvalidScope {}

/// `scope-token` of RFC 6749 section 3.3.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

const MAX_TOKENS: usize = 64;
const MAX_LEN: usize = 1024;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::as_conversions)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbered(count: usize) -> String {
        (0..count).map(|n| n.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_named_twice_is_kept_once() {
        let scope = Scope::parse("b a b https://example.com/read a").unwrap();
        assert_eq!(scope.iter().collect::<Vec<_>>(), ["b", "a", "https://example.com/read"]);
    }

    #[test]
    fn what_is_no_scope_is_refused() {
        let too_many = numbered(65);
        let too_long = "a".repeat(1025);
        for text in [
            "", " ", " a", "a ", "a  b", "a\tb", "a\nb", "a\"b", "a\\b", "a\0", "é", "a\u{a0}b", "a\u{7f}", &too_many,
            &too_long,
        ] {
            assert!(Scope::parse(text).is_err(), "{text:?}");
        }
        assert!(Scope::parse(&numbered(64)).is_ok());
        assert!(Scope::parse(&"a".repeat(1024)).is_ok());
    }

    #[test]
    fn a_subset_has_nothing_else() {
        let all = Scope::parse("openid profile email").unwrap();
        assert!(Scope::parse("email openid").unwrap().is_subset_of(&all));
        assert!(all.is_subset_of(&all));
        assert!(!all.is_subset_of(&Scope::openid()));
        assert!(!Scope::parse("OPENID").unwrap().is_subset_of(&all));
        assert!(!all.contains("profile email") && !all.contains("open") && !all.contains(""));
    }

    #[test]
    fn serde_writes_one_string_and_checks_what_it_reads() {
        let scope = Scope::parse("openid profile").unwrap();
        let text = serde_json::to_string(&scope).unwrap();
        assert_eq!(text, "\"openid profile\"");
        assert_eq!(serde_json::from_str::<Scope>(&text).unwrap(), scope);
        for bad in ["\"\"", "\"a  b\"", "[\"a\"]", "null"] {
            assert!(serde_json::from_str::<Scope>(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_parsed_scope_stays_as_it_is(text in "[!-~]{1,3}( [!-~]{1,3}){0,70}|\\PC*") {
            if let Ok(scope) = Scope::parse(&text) {
                prop_assert_eq!(&Scope::parse(scope.as_str()).unwrap(), &scope);
            }
        }
    }
}
