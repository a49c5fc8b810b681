//! Values without an exchange: parsed documents, addresses, headers and replies.

use otp_grant::{AddressPolicy, Reply};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use zeroize::Zeroizing;

use crate::secret::Text;

pyo3::import_exception!(otp_grant.errors, ConfigurationError);
pyo3::import_exception!(otp_grant.errors, ExchangeError);
pyo3::import_exception!(otp_grant.errors, PortAnswerError);

/// A client whose document was read once.
#[pyclass(frozen, module = "otp_grant._core")]
pub(crate) struct ParsedClient(pub(crate) otp_grant_bindings::ParsedClient);

#[pymethods]
impl ParsedClient {
    #[new]
    fn new(document: Text) -> PyResult<Self> {
        otp_grant_bindings::ParsedClient::from_json(document.as_str()).map(Self).map_err(configuration)
    }
}

/// An auth source whose document was read once.
#[pyclass(frozen, module = "otp_grant._core")]
pub(crate) struct ParsedAuthSource(pub(crate) otp_grant_bindings::ParsedAuthSource);

#[pymethods]
impl ParsedAuthSource {
    #[new]
    fn new(document: &str) -> PyResult<Self> {
        otp_grant_bindings::ParsedAuthSource::from_json(document).map(Self).map_err(configuration)
    }
}

/// Reads a phone number.
#[pyfunction]
#[pyo3(signature = (text, country_code=None))]
pub(crate) fn phone_number(text: &str, country_code: Option<&str>) -> PyResult<String> {
    let mut policy = AddressPolicy::default();
    if let Some(code) = country_code {
        policy = policy.with_country_code(code).map_err(configuration)?;
    }
    Ok(policy.phone_number(text).map_err(configuration)?.as_str().to_owned())
}

/// Reads an e-mail address.
#[pyfunction]
#[pyo3(signature = (text, international_local_parts=false))]
pub(crate) fn email(text: &str, international_local_parts: bool) -> PyResult<String> {
    let policy = AddressPolicy::default();
    let policy = if international_local_parts { policy.with_international_local_parts() } else { policy };
    Ok(policy.email(text).map_err(configuration)?.as_str().to_owned())
}

/// Status, headers and body.
pub(crate) type ReplyParts<'py> = (u16, Vec<(String, String)>, Bound<'py, PyBytes>);

/// A text, or an empty one and the reply that says why.
pub(crate) type TextOrReply<'py> = (Bound<'py, PyString>, Option<ReplyParts<'py>>);

/// The bearer token of a request, or an empty text and the reply to a request that has none.
#[pyfunction]
pub(crate) fn bearer_token<'py>(headers: &Bound<'py, PyAny>) -> PyResult<TextOrReply<'py>> {
    let py = headers.py();
    let headers = Headers::read(headers)?;
    let request = otp_grant::Request::new("GET", "/").headers(headers.iter());
    Ok(match request.bearer_token() {
        Ok(token) => (PyString::new(py, token), None),
        Err(refused) => (PyString::new(py, ""), Some(reply_parts(py, &Reply::from(refused)))),
    })
}

/// The reply to a path that is not that of an endpoint.
#[pyfunction]
pub(crate) fn not_found(py: Python<'_>) -> ReplyParts<'_> {
    reply_parts(py, &Reply::not_found())
}

pub(crate) fn reply_parts<'py>(py: Python<'py>, reply: &Reply) -> ReplyParts<'py> {
    let headers = reply.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    (reply.status(), headers, PyBytes::new(py, reply.body()))
}

pub(crate) fn configuration(error: impl core::fmt::Display) -> PyErr {
    ConfigurationError::new_err(error.to_string())
}

/// The headers of a request. The values are wiped: one of them is a token or the secret of a client.
pub(crate) struct Headers(Vec<(String, Zeroizing<Vec<u8>>)>);

impl Headers {
    /// Reads pairs of text or bytes. Text has one character per byte, as WSGI has it.
    pub(crate) fn read(headers: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut read = Vec::new();
        for pair in headers.try_iter()? {
            let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair?.extract()?;
            // No header that the core reads has such a name.
            let name = String::from_utf8_lossy(&bytes_of(&name)?).into_owned();
            read.push((name, bytes_of(&value)?));
        }
        Ok(Self(read))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }
}

fn bytes_of(value: &Bound<'_, PyAny>) -> PyResult<Zeroizing<Vec<u8>>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Zeroizing::new(bytes.as_bytes().to_vec()));
    }
    let text = value.cast::<PyString>().map_err(|_| PyTypeError::new_err("a header is no pair of text or bytes"))?;
    let text = Text::of(text)?;
    let text = text.as_str();
    // A vector that grows would leave copies behind.
    let mut latin1 = Zeroizing::new(Vec::with_capacity(text.len()));
    for character in text.chars() {
        match u8::try_from(u32::from(character)) {
            Ok(byte) => latin1.push(byte),
            Err(_) => return Ok(Zeroizing::new(text.as_bytes().to_vec())),
        }
    }
    Ok(latin1)
}
