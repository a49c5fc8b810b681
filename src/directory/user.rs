//! The users of the host, and the claims of a user that a client may see.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::id::Subject;
use crate::scope::Scope;
use crate::time::Timestamp;

/// A user, as the host's directory knows them.
///
/// ```
/// use otp_grant::{Subject, User, UserStatus};
///
/// let user = User::new(Subject::new("user-4711")?, UserStatus::Active);
/// # Ok::<(), otp_grant::id::InvalidId>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// The name by which clients know the user (`sub`).
    pub subject: Subject,
    /// Whether the user may log in.
    pub status: UserStatus,
    /// Sessions that began before this instant are over, with all their tokens. To sign a user out everywhere, set it
    /// to the current time.
    pub tokens_valid_after: Option<Timestamp>,
    /// Whether the user exists for tests. Such a user logs in only by a [test identity](crate::otp::TestIdentity), and
    /// a test identity logs in only such a user.
    pub is_test: bool,
}

impl User {
    /// Makes a user. All tokens of the user are valid.
    pub fn new(subject: Subject, status: UserStatus) -> Self {
        Self { subject, status, tokens_valid_after: None, is_test: false }
    }

    /// Flags the user as a test subject.
    #[must_use]
    pub fn as_test_subject(mut self) -> Self {
        self.is_test = true;
        self
    }

    /// Ends all sessions that began before an instant.
    #[must_use]
    pub fn with_tokens_valid_after(mut self, instant: Timestamp) -> Self {
        self.tokens_valid_after = Some(instant);
        self
    }
}

/// Whether a user may log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UserStatus {
    /// The user may log in.
    Active,
    /// The user is locked, for instance by an administrator.
    Locked,
    /// The user is frozen, for instance for inactivity.
    Frozen,
    /// The user is not active for any other reason.
    Inactive,
}

/// The outcome of a sign-up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignUp {
    /// The user of the address, created now or earlier.
    Accepted(User),
    /// The address may not sign up. The server answers `User not found`, as if there were no sign-up.
    Refused,
}

/// The claims of one user that a directory returns for one client.
///
/// ```
/// use otp_grant::directory::UserClaims;
///
/// let claims = UserClaims::new().with("name", "Ada").with("email", "ada@example.com").with("email_verified", true);
/// ```
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct UserClaims(Map<String, Value>);

impl UserClaims {
    /// Makes an empty set of claims.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a claim, or replaces the claim of this name.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Keeps the claims that a scope requests (OpenID Connect Core section 5.4). Only the directory decides on claims
    /// that are not standard claims. Removes `sub`, which the directory must not set, and claims without a value
    /// (section 5.3.2).
    pub(crate) fn within(mut self, scope: &Scope) -> Self {
        self.0.retain(|name, value| {
            // A language tag can follow the name (section 5.2).
            let claim = name.split('#').next().unwrap_or_default();
            let is_asked_for = scope_of(claim).is_none_or(|needed| scope.contains(needed));
            is_asked_for && claim != "sub" && !value.is_null() && value != ""
        });
        self
    }
}

/// Shows the names but not the values, which are personal data.
impl core::fmt::Debug for UserClaims {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Tells whether a claim is one of the standard claims of a user (OpenID Connect Core section 5.1).
pub(crate) fn is_standard_claim(name: &str) -> bool {
    scope_of(name).is_some()
}

/// Returns the scope that a standard claim belongs to (OpenID Connect Core section 5.4).
fn scope_of(claim: &str) -> Option<&'static str> {
    match claim {
        "name" | "family_name" | "given_name" | "middle_name" | "nickname" | "preferred_username" | "profile"
        | "picture" | "website" | "gender" | "birthdate" | "zoneinfo" | "locale" | "updated_at" => Some("profile"),
        "email" | "email_verified" => Some("email"),
        "address" => Some("address"),
        "phone_number" | "phone_number_verified" => Some("phone"),
        _ => None,
    }
}
