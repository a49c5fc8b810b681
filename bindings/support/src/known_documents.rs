//! Keeps clients and auth sources that were read before, so that a host can answer with the same text at each request.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use otp_grant::{AuthSource, AuthSourceId, Client, ClientId};
use ring::digest::{Context, SHA256, SHA256_OUTPUT_LEN};

use crate::documents;
use crate::error::DocumentError;

/// The documents that one engine has read.
#[derive(Default)]
pub(crate) struct KnownDocuments {
    clients: Known<Client>,
    auth_sources: Known<AuthSource>,
}

impl KnownDocuments {
    pub(crate) fn client(&self, document: &str, asked: &ClientId) -> Result<Arc<Client>, DocumentError> {
        self.clients.read(document, asked.as_str(), || documents::client(document, Some(asked)))
    }

    pub(crate) fn auth_source(&self, document: &str, asked: &AuthSourceId) -> Result<Arc<AuthSource>, DocumentError> {
        self.auth_sources.read(document, asked.as_str(), || documents::auth_source(document, Some(asked)))
    }
}

/// What was read, by the digest of its text. The text itself can have a secret in it, and is not kept.
struct Known<T>(RwLock<HashMap<[u8; SHA256_OUTPUT_LEN], Arc<T>>>);

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<T> Known<T> {
    fn read(
        &self,
        document: &str,
        asked: &str,
        parse: impl FnOnce() -> Result<T, DocumentError>,
    ) -> Result<Arc<T>, DocumentError> {
        let digest = digest(document, asked);
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&digest) {
            return Ok(Arc::clone(known));
        }
        let parsed = Arc::new(parse()?);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // A host whose documents differ at each request must not fill the memory.
        if known.len() >= MOST_DOCUMENTS {
            known.clear();
        }
        known.insert(digest, Arc::clone(&parsed));
        Ok(parsed)
    }
}

fn digest(document: &str, asked: &str) -> [u8; SHA256_OUTPUT_LEN] {
    let mut context = Context::new(&SHA256);
    // No identifier has a zero byte in it.
    for part in [asked, "\0", document] {
        context.update(part.as_bytes());
    }
    let mut digest = [0; SHA256_OUTPUT_LEN];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

const MOST_DOCUMENTS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_is_read_once_and_each_identifier_has_its_own_client() {
        let known = KnownDocuments::default();
        let (one, other) = (ClientId::new("one").unwrap(), ClientId::new("other").unwrap());
        let document = r#"{"public":true}"#;
        let first = known.client(document, &one).unwrap();
        assert!(Arc::ptr_eq(&first, &known.client(document, &one).unwrap()));
        assert_eq!(known.client(document, &other).unwrap().id(), &other);
        let confidential = known.client(r#"{"secret":"a long random value"}"#, &one).unwrap();
        assert!(confidential.is_confidential() && !first.is_confidential());
        assert!(known.client("{}", &one).is_err());
    }

    #[test]
    fn documents_that_all_differ_do_not_fill_the_memory() {
        let known = KnownDocuments::default();
        let id = ClientId::new("one").unwrap();
        for spaces in 0..3 * MOST_DOCUMENTS {
            let document = format!("{{\"public\":true}}{}", " ".repeat(spaces));
            assert!(!known.client(&document, &id).unwrap().is_confidential());
            assert!(known.clients.0.read().unwrap().len() <= MOST_DOCUMENTS);
        }
    }
}
