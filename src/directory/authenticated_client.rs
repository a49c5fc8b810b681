//! How a client proves its identity, with a secret or with an assertion, and the types that say that it did.

use std::sync::Arc;

use crate::directory::assertion::{NotAuthenticated, PresentedAssertion, VerifiedAssertion};
use crate::directory::auth_method::Credentials;
use crate::directory::client::Client;
use crate::id::ClientId;
use crate::secret::{ClientSecret, PresentedSecret};
use crate::used_once::Used;

/// A client that has proved its identity, or that is public. An assertion can still have been used before.
#[must_use]
pub(crate) struct VerifiedClient {
    client: Arc<Client>,
    assertion: Option<VerifiedAssertion>,
}

impl VerifiedClient {
    /// Checks a secret, or that a public client presents none, against the client that the directory knows (RFC 6749
    /// section 2.3).
    pub(crate) fn by_secret(
        known: Option<Arc<Client>>,
        presented: Option<&PresentedSecret<'_>>,
        in_header: bool,
    ) -> Result<Self, NotAuthenticated> {
        // A presented secret is always digested. An unknown client then takes as long as a wrong secret.
        let stand_in = ClientSecret::from_sha256([0; 32]);
        let expected = known.as_ref().and_then(|client| client.credentials().secret());
        let matches = presented.map(|presented| expected.unwrap_or(&stand_in).matches(presented));
        match (known, matches) {
            (Some(client), Some(true)) if client.credentials().accept(in_header) => {
                Ok(Self { client, assertion: None })
            }
            (Some(client), None) if !client.is_confidential() => Ok(Self { client, assertion: None }),
            _ => Err(NotAuthenticated),
        }
    }

    /// Verifies an assertion with the keys of the client that the directory knows (RFC 7523 section 3).
    ///
    /// An unknown client takes less time than a wrong signature. The name of a client is no secret (RFC 6749 section
    /// 2.2), and there is no stand-in for a key of every algorithm.
    pub(crate) fn by_assertion(
        known: Option<Arc<Client>>,
        presented: &PresentedAssertion<'_>,
    ) -> Result<Self, NotAuthenticated> {
        let client = known.ok_or(NotAuthenticated)?;
        let Credentials::Keys(keys) = client.credentials() else { return Err(NotAuthenticated) };
        let assertion = keys.verify(presented)?;
        Ok(Self { client, assertion: Some(assertion) })
    }

    /// Returns the configuration of the client. Nothing may be done for the client yet.
    pub(crate) fn configuration(&self) -> &Client {
        &self.client
    }

    /// Returns the client, unless its assertion must first be used.
    pub(crate) fn into_authenticated(self) -> Result<AuthenticatedClient, Unused> {
        let Self { client, assertion } = self;
        match assertion {
            None => Ok(AuthenticatedClient(client)),
            Some(assertion) => Err(Unused { client, assertion }),
        }
    }
}

/// A client whose assertion is good, but not used yet.
pub(crate) struct Unused {
    client: Arc<Client>,
    assertion: VerifiedAssertion,
}

impl Unused {
    pub(crate) fn client(&self) -> &ClientId {
        self.client.id()
    }

    pub(crate) fn assertion(&self) -> &VerifiedAssertion {
        &self.assertion
    }

    /// Takes the proof that this request, and no other, has used the assertion.
    pub(crate) fn into_authenticated(self, _: Used) -> AuthenticatedClient {
        AuthenticatedClient(self.client)
    }
}

/// A client that has proved its identity, or that is public. Its assertion, if it has one, was used by this request.
pub(crate) struct AuthenticatedClient(Arc<Client>);

impl core::ops::Deref for AuthenticatedClient {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.0
    }
}
