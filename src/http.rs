//! Conversions from and to the types of the `http` crate (feature `http`), for the frameworks that are built on it.

use ::http::header::{AUTHORIZATION, CONTENT_TYPE};
use ::http::{HeaderMap, HeaderName, Response, StatusCode};

use crate::reply::Reply;
use crate::request::Request;

impl<'a> Request<'a> {
    /// Takes what the crate wants to know from a request of the `http` crate (feature `http`).
    ///
    /// A header that is there twice, or that is not visible ASCII, counts as present and empty. It then names nobody and no
    /// media type, so that client authentication fails with `invalid_client` and a body with `invalid_request`; were one of
    /// two taken, or none, a proxy in front that takes the other could have checked somebody else.
    ///
    /// The caller limits how much of the body is read, and how long that may take. A little more than the crate's own limit
    /// is worth reading: then the client is told. A body that was cut short must not be passed on.
    ///
    /// ```
    /// # use otp_grant::*;
    /// # async fn example(server: &AuthorizationServer<MemoryStore, MemoryDirectory>, request: http::Request<Vec<u8>>) -> Result<(), http::Error> {
    /// let (head, body) = request.into_parts();
    /// let asked = Request::from_http(&head.headers, &body);
    /// let deliver = async |delivery: Delivery| delivery.accepted();
    /// let response = match server.handle(head.method.as_str(), head.uri.path(), asked, deliver).await {
    ///     Some(reply) => http::Response::from(reply),
    ///     None => http::Response::builder().status(404).body(Vec::new())?,
    /// };
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_http(headers: &'a HeaderMap, body: &'a [u8]) -> Self {
        Self { content_type: only(headers, CONTENT_TYPE), authorization: only(headers, AUTHORIZATION), body }
    }
}

/// Carries a reply as it is: its status, its headers and its body (feature `http`).
///
/// ```
/// # fn example(reply: otp_grant::Reply) {
/// let response = http::Response::from(reply);
/// assert_eq!(response.headers()["cache-control"], "no-store");
/// # }
/// ```
impl From<Reply> for Response<Vec<u8>> {
    fn from(reply: Reply) -> Self {
        let builder = Response::builder().status(reply.status());
        let builder = reply.headers().fold(builder, |builder, (name, value)| builder.header(name, value));
        // The crate makes no header that HTTP could not carry. Were it to, a reply without it could be cached.
        builder.body(reply.into_body()).unwrap_or_else(|_| {
            let mut broken = Self::default();
            *broken.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            broken
        })
    }
}

/// The value of a header; empty where it is not one text.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    Some(if values.next().is_none() { value.to_str().unwrap_or_default() } else { "" })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use core::time::Duration;

    use ::http::HeaderValue;
    use ::http::header::ACCEPT;

    use super::*;

    fn read(headers: &[(HeaderName, &'static [u8])]) -> (Option<String>, Option<String>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        let request = Request::from_http(&map, b"body");
        assert_eq!(request.body, b"body");
        (request.content_type.map(str::to_owned), request.authorization.map(str::to_owned))
    }

    fn both(content_type: Option<&str>, authorization: Option<&str>) -> (Option<String>, Option<String>) {
        (content_type.map(str::to_owned), authorization.map(str::to_owned))
    }

    #[test]
    fn two_headers_are_taken_as_they_are() {
        assert_eq!(read(&[]), both(None, None));
        assert_eq!(read(&[(ACCEPT, b"*/*")]), both(None, None));
        assert_eq!(read(&[(CONTENT_TYPE, b"a/b; c=d")]), both(Some("a/b; c=d"), None));
        assert_eq!(
            read(&[(AUTHORIZATION, b"Basic YTpi"), (CONTENT_TYPE, b"a/b")]),
            both(Some("a/b"), Some("Basic YTpi"))
        );
        assert_eq!(read(&[(AUTHORIZATION, b"")]), both(None, Some("")));
    }

    #[test]
    fn a_header_that_is_no_text_is_there_and_empty() {
        assert_eq!(read(&[(AUTHORIZATION, b"Bearer \xff"), (CONTENT_TYPE, "é".as_bytes())]), both(Some(""), Some("")));
    }

    #[test]
    fn of_a_header_that_is_there_twice_neither_is_taken() {
        for second in [&b"Basic YTpi"[..], b"Bearer x", b"", b"\xff"] {
            let (one, two) = ((AUTHORIZATION, &b"Basic YTpi"[..]), (AUTHORIZATION, second));
            assert_eq!(read(&[one.clone(), two.clone()]), both(None, Some("")));
            assert_eq!(read(&[two, one]), both(None, Some("")));
        }
        let twice = [(CONTENT_TYPE, &b"application/json"[..]), (CONTENT_TYPE, b"application/json")];
        assert_eq!(read(&twice), both(Some(""), None));
    }

    #[test]
    fn a_reply_is_carried_as_it_is() {
        let made: [fn() -> Reply; 3] = [
            || Reply::cacheable(b"{}".to_vec(), Duration::from_secs(9)),
            Reply::done,
            || Reply::method_not_allowed("GET"),
        ];
        for made in made {
            let (reply, response) = (made(), Response::from(made()));
            assert_eq!((response.status().as_u16(), &**response.body()), (reply.status(), reply.body()));
            assert_eq!(response.headers().len(), reply.headers().count());
            for (name, value) in reply.headers() {
                assert_eq!(response.headers().get(name).unwrap(), value);
            }
        }
    }
}
