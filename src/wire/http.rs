//! Conversions from and to the types of the `http` crate (feature `http`), for the frameworks that are built on it.

use ::http::request::Parts;
use ::http::{Response, StatusCode};

use crate::wire::error::NoAccessToken;
use crate::wire::reply::Reply;
use crate::wire::request::{PresentedAccessToken, Request};

impl<'a> Request<'a> {
    /// Takes the method, the path and the headers from a request of the `http` crate (feature `http`).
    ///
    /// ```
    /// # use otp_grant::*;
    /// # async fn example(server: &AuthorizationServer<MemoryStore, MemoryDirectory>, request: http::Request<Vec<u8>>) {
    /// let (head, body) = request.into_parts();
    /// let deliver = async |delivery: Delivery| delivery.accepted();
    /// let reply = server.handle(Request::from_http(&head, &body), deliver).await;
    /// let response = http::Response::from(reply.unwrap_or_else(Reply::not_found));
    /// # }
    /// ```
    pub fn from_http(head: &'a Parts, body: &'a [u8]) -> Self {
        let headers = head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        Self::new(head.method.as_str(), head.uri.path()).headers(headers).body(body)
    }
}

impl<'a> PresentedAccessToken<'a> {
    /// Reads the access token of a request to a route of the host's own API, and the proof of its key if there is one
    /// (feature `http`). `url` is the URL of the route as clients know it, from the configuration of the host.
    ///
    /// ```
    /// # use otp_grant::*;
    /// # use otp_grant::jwt::{AccessTokenClaims, Audience};
    /// # use otp_grant::wire::PresentedAccessToken;
    /// # type Server = AuthorizationServer<MemoryStore, MemoryDirectory>;
    /// const ORDERS: &str = "https://api.example.com/orders";
    ///
    /// async fn caller(server: &Server, head: &http::request::Parts) -> Result<AccessTokenClaims, Reply> {
    ///     let token = PresentedAccessToken::from_http(head, ORDERS)?;
    ///     Ok(server.check_access_token(token, Audience::EveryClient).await?)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`NoAccessToken`], as for [`Request::access_token`].
    pub fn from_http(head: &'a Parts, url: &'a str) -> Result<Self, NoAccessToken> {
        Request::from_http(head, b"").access_token(url)
    }
}

/// Keeps the status, the headers and the body of a reply as they are (feature `http`).
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
        // The crate makes no header that HTTP could not carry. If it did, the reply would be replaced, because a reply
        // without its headers could be cached.
        builder.body(reply.into_body()).unwrap_or_else(|_| {
            let mut broken = Self::default();
            *broken.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            broken
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use core::time::Duration;

    use ::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
    use ::http::{HeaderName, HeaderValue};

    use super::*;

    fn read(headers: &[(HeaderName, &'static [u8])]) -> (Option<String>, Option<String>) {
        let (mut head, ()) = ::http::Request::put("/a?b").body(()).unwrap().into_parts();
        for (name, value) in headers {
            head.headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        let request = Request::from_http(&head, b"body");
        assert_eq!((request.method(), request.path(), request.content()), ("PUT", "/a", &b"body"[..]));
        (request.content_type().map(str::to_owned), request.authorization().map(str::to_owned))
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
    fn a_token_comes_with_the_one_proof_of_its_request() {
        let url = "https://api.example.com/orders";
        let read = |authorization: &str, proofs: &[&'static str]| {
            let (mut head, ()) = ::http::Request::get("/orders").body(()).unwrap().into_parts();
            head.headers.append(AUTHORIZATION, HeaderValue::from_str(authorization).unwrap());
            for proof in proofs {
                head.headers.append("dpop", HeaderValue::from_static(proof));
            }
            match PresentedAccessToken::from_http(&head, url) {
                Ok(PresentedAccessToken::Dpop(token, proof)) => {
                    assert_eq!((token, proof.method(), proof.url()), ("abc", "GET", url));
                    Some(proof.header().map(|header| header.as_str().to_owned()))
                }
                Ok(PresentedAccessToken::Bearer(token)) => {
                    assert_eq!(token, "abc");
                    None
                }
                Err(error) => Some(Some(error.to_string())),
            }
        };
        assert_eq!(read("DPoP abc", &["a.b.c"]), Some(Some("a.b.c".to_owned())));
        assert_eq!(read("DPoP abc", &[]), Some(None));
        // Of two proofs none is taken. An empty one is refused later.
        assert_eq!(read("DPoP abc", &["a.b.c", "d.e.f"]), Some(Some(String::new())));
        assert_eq!(read("Bearer abc", &["a.b.c"]), None);
        assert_eq!(read("Basic abc", &["a.b.c"]), Some(Some(NoAccessToken.to_string())));
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
