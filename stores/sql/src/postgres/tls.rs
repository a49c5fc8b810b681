//! TLS to PostgreSQL, as the `sslmode` of the URL says.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, crypto};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::url::Files;
use crate::error::{Cause, SqlStoreError};

/// What a URL requires of TLS.
pub(super) struct Tls {
    pub(super) verified: Verified,
    pub(super) files: Files,
}

/// What is verified of the server's certificate.
#[derive(Clone, Copy)]
pub(super) enum Verified {
    /// Only that the server has its key. This stops an attacker who reads the traffic, but not one who is between the
    /// two ends.
    Nothing,
    Issuer,
    IssuerAndName,
}

impl Tls {
    /// Reads the files.
    pub(super) fn connector(self) -> Result<MakeRustlsConnect, SqlStoreError> {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(wrong)?;
        let config = match self.verified {
            Verified::Nothing => {
                config.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate { provider }))
            }
            Verified::Issuer => {
                let roots = Arc::new(self.roots()?);
                let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build().map_err(wrong)?;
                config.dangerous().with_custom_certificate_verifier(Arc::new(AnyName { verifier }))
            }
            Verified::IssuerAndName => config.with_root_certificates(self.roots()?),
        };
        let config = match (&self.files.certificate, &self.files.key) {
            (Some(certificate), Some(key)) => {
                let key = PrivateKeyDer::from_pem_file(key)
                    .map_err(|_| wrong("sslkey is no file with a private key in PEM"))?;
                config
                    .with_client_auth_cert(certificates(certificate, "sslcert is no file of certificates in PEM")?, key)
                    .map_err(wrong)?
            }
            (None, None) => config.with_no_client_auth(),
            _ => return Err(wrong("sslcert and sslkey belong together")),
        };
        Ok(MakeRustlsConnect::new(config))
    }

    /// Returns the certificates of the file that the URL names, and only these. Without a file, returns those of the
    /// operating system.
    fn roots(&self) -> Result<RootCertStore, SqlStoreError> {
        let mut roots = RootCertStore::empty();
        match &self.files.roots {
            Some(file) => {
                for certificate in certificates(file, "sslrootcert is no file of certificates in PEM")? {
                    roots.add(certificate).map_err(wrong)?;
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        if roots.is_empty() {
            return Err(wrong("there are no root certificates to verify the server with"));
        }
        Ok(roots)
    }
}

fn certificates(file: &Path, otherwise: &'static str) -> Result<Vec<CertificateDer<'static>>, SqlStoreError> {
    let certificates = CertificateDer::pem_file_iter(file).map_err(|_| wrong(otherwise))?;
    let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(|_| wrong(otherwise))?;
    if certificates.is_empty() { Err(wrong(otherwise)) } else { Ok(certificates) }
}

fn wrong(cause: impl Into<Box<dyn core::error::Error + Send + Sync>>) -> SqlStoreError {
    SqlStoreError::Configuration(Cause::new(cause))
}

/// Accepts any certificate, as `sslmode=require` says.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Verifies the issuer of the certificate, but not the host name, as `sslmode=verify-ca` says.
#[derive(Debug)]
struct AnyName {
    verifier: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.verifier.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            answer => answer,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
