//! The URL that a proof is made for. URLs are compared after the normalisation of RFC 3986, without query and fragment
//! (RFC 9449 section 4.3).

use core::fmt::Write as _;

/// A normalised URL without query and fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target(String);

impl Target {
    /// Normalises an absolute `http` or `https` URL: the case of scheme and host, the default port, percent-encoding
    /// and dot segments (RFC 3986 sections 6.2.2 and 6.2.3). Returns `None` for any other text, and for a URL with user
    /// information.
    pub(crate) fn new(url: &str) -> Option<Self> {
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let url = url.split(['?', '#']).next().unwrap_or_default();
        let (scheme, rest) = url.split_once("://")?;
        let (scheme, default_port) = match () {
            () if scheme.eq_ignore_ascii_case("https") => ("https", ":443"),
            () if scheme.eq_ignore_ascii_case("http") => ("http", ":80"),
            () => return None,
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let authority = normal_escapes(authority)?.to_ascii_lowercase();
        let authority = authority.strip_suffix(default_port).or(authority.strip_suffix(':')).unwrap_or(&authority);
        if authority.is_empty() || authority.starts_with(':') || authority.contains('@') {
            return None;
        }
        let path = without_dot_segments(&normal_escapes(path)?);
        Some(Self(format!("{scheme}://{authority}{path}")))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Tells whether a proof whose `htu` has this value is for this URL.
    pub(crate) fn is_named_by(&self, htu: &str) -> bool {
        self.0 == htu || Self::new(htu).is_some_and(|named| named == *self)
    }
}

/// Decodes the escapes of unreserved characters, and writes the other escapes in upper case. Returns `None` where an
/// escape is not whole.
fn normal_escapes(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut normal = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let byte =
            digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u8::from_str_radix(digits, 16).ok())??;
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            normal.push(char::from(byte));
        } else {
            // Writing into a `String` can't fail.
            let _ = write!(normal, "%{byte:02X}");
        }
        normal.push_str(rest);
    }
    Some(normal)
}

/// Removes dot segments (RFC 3986 section 5.2.4). An empty path is a slash.
fn without_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
    let last = segments.len().saturating_sub(1);
    for (index, segment) in segments.into_iter().enumerate() {
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                // A path that ends in a dot segment ends in a slash.
                if index == last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn normal(url: &str) -> Option<String> {
        Target::new(url).map(|target| target.0)
    }

    #[test]
    fn equivalent_urls_are_one_target() {
        let target = Target::new("https://login.example.com/oauth2/token").unwrap();
        for same in [
            "https://login.example.com/oauth2/token",
            "HTTPS://Login.Example.COM:443/oauth2/token",
            "https://login.example.com:/oauth2/token",
            "https://login.example.com/oauth2/token?a=b",
            "https://login.example.com/oauth2/token#a",
            "https://login.example.com/oauth2/%74oken",
            "https://login.example.com/x/../oauth2/./token",
            "https://login.example.com/../oauth2/token",
            "https://%6Cogin.example.com/oauth2/token",
        ] {
            assert!(target.is_named_by(same), "{same}");
        }
        for other in [
            "",
            "https://login.example.com",
            "http://login.example.com/oauth2/token",
            "https://login.example.com:8443/oauth2/token",
            "https://login.example.com/oauth2/token/",
            "https://login.example.com/oauth2//token",
            "https://login.example.com/OAuth2/token",
            "https://login.example.com/oauth2%2Ftoken",
            "https://a@login.example.com/oauth2/token",
            "https://login.example.com.evil.example/oauth2/token",
            "//login.example.com/oauth2/token",
            "/oauth2/token",
            "https://login.example.com/oauth2/token ",
            "https://login.example.com/oauth2/tok%6",
            "https://login.example.com/oauth2/tok%6\u{e9}n",
            "https://login.example.com/oauth2/token/x/..",
            "https://login.example.com/oauth2/token/.",
        ] {
            assert!(!target.is_named_by(other), "{other}");
        }
    }

    #[test]
    fn the_normal_form_is_that_of_the_rfc() {
        // RFC 3986 sections 5.2.4 and 6.2.2.
        assert_eq!(normal("http://a/a/b/c/./../../g").unwrap(), "http://a/a/g");
        assert_eq!(normal("http://a/mid/content=5/../6").unwrap(), "http://a/mid/6");
        assert_eq!(normal("http://a/%7bfoo%7D").unwrap(), "http://a/%7Bfoo%7D");
        assert_eq!(normal("http://a:80").unwrap(), "http://a/");
        assert_eq!(normal("http://[::1]:3000/a").unwrap(), "http://[::1]:3000/a");
        assert_eq!(normal("https://a/b/..").unwrap(), "https://a/");
        assert_eq!(normal("ftp://a/"), None);
        assert_eq!(normal("https:///a"), None);
    }
}
