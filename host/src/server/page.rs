//! The login page: static files, and what the configuration says of the page.

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::response::{IntoResponse, Response};
use otp_grant::server::{Endpoint, Route};
use otp_grant::{AuthorizationServer, Directory, Store};
use serde_json::json;

use crate::config::{Config, DpopName, DpopPolicyName, Page, PageLocaleName};

/// The page of a host.
#[derive(Debug)]
pub(crate) struct LoginPage {
    base: String,
    document: String,
}

impl LoginPage {
    /// The page, unless the configuration has none. `example` is a phone number as users of the host's region write it.
    pub(crate) fn new<S: Store, D: Directory>(
        config: &Config,
        server: &AuthorizationServer<S, D>,
        example: Option<&str>,
    ) -> Option<Self> {
        let Page { client, sms, email, title, locale, scopes, sign_up, hint } = &config.page;
        let client = client.as_ref()?;
        let base = server.issuer().path();
        let route = |endpoint| server.routes().find(|route| route.endpoint() == endpoint);
        let at = |endpoint| route(endpoint).map(Route::path);
        let url = |endpoint| route(endpoint).map(Route::url);
        let settings = json!({
            "client": client,
            "locale": match locale {
                PageLocaleName::En => "en",
                PageLocaleName::Ar => "ar",
                PageLocaleName::Auto => "auto",
            },
            "title": title,
            "scope": scopes,
            "signUp": sign_up,
            "hint": hint,
            "countryCode": config.addresses.country_code,
            "example": example,
            "sources": {"sms": sms, "email": email},
            "alphabets": {"sms": alphabet(config, sms.as_deref()), "email": alphabet(config, email.as_deref())},
            "grants": {"sms": otp_grant::settings::SMS_GRANT_TYPE, "email": otp_grant::settings::EMAIL_GRANT_TYPE},
            "endpoints": {
                "send": at(Endpoint::OtpSend),
                "token": at(Endpoint::Token),
                "revoke": at(Endpoint::Revocation),
                "userinfo": at(Endpoint::Userinfo),
            },
            "dpop": dpop(config, client),
            // Proofs are for these, whatever the browser calls the host.
            "urls": {
                "send": url(Endpoint::OtpSend),
                "token": url(Endpoint::Token),
                "userinfo": url(Endpoint::Userinfo),
            },
        });
        // The script writes these once more, for a page whose language is the browser's.
        let (lang, dir, default_title) = match locale {
            PageLocaleName::En | PageLocaleName::Auto => ("en", "ltr", "Sign in"),
            PageLocaleName::Ar => ("ar", "rtl", "تسجيل الدخول"),
        };
        let title = title.as_deref().unwrap_or(default_title);
        let document = include_str!("../../page/index.html")
            .replace("{{lang}}", lang)
            .replace("{{dir}}", dir)
            .replace("{{base}}", &escaped(base))
            .replace("{{title}}", &escaped(title))
            .replace("{{settings}}", &escaped(&settings.to_string()));
        Some(Self { base: base.to_owned(), document })
    }

    /// Every file with its path.
    pub(crate) fn files(&self) -> impl Iterator<Item = (String, PageFile)> {
        let assets = ASSETS.map(|(name, kind, text)| (format!("{}/page/{name}", self.base), PageFile::new(kind, text)));
        // Users type an issuer that has a path with and without a slash at its end.
        let at = [Some(format!("{}/", self.base)), (!self.base.is_empty()).then(|| self.base.clone())];
        let document = PageFile { kind: "text/html;charset=UTF-8", text: self.document.clone() };
        assets.into_iter().chain(at.into_iter().flatten().map(move |path| (path, document.clone())))
    }
}

/// A file of the page.
#[derive(Clone, Debug)]
pub(crate) struct PageFile {
    kind: &'static str,
    text: String,
}

impl PageFile {
    fn new(kind: &'static str, text: &str) -> Self {
        Self { kind, text: text.to_owned() }
    }
}

impl IntoResponse for PageFile {
    fn into_response(self) -> Response {
        let mut headers = HEADERS.to_vec();
        headers.push((CONTENT_TYPE, self.kind));
        let builder =
            headers.into_iter().fold(Response::builder(), |builder, (name, value)| builder.header(name, value));
        builder.body(Body::from(self.text)).unwrap_or_default()
    }
}

/// The characters of a source's codes. A text with other characters can't be a code. Where all are digits, a phone
/// shows a keypad.
fn alphabet(config: &Config, source: Option<&str>) -> String {
    let source = source.and_then(|source| config.auth_sources.get(source));
    source.and_then(|source| source.code.alphabet.as_deref()).unwrap_or("0123456789").to_owned()
}

/// Whether the page binds its tokens to a key. It learns from the host whether a proof needs a nonce.
fn dpop(config: &Config, client: &str) -> &'static str {
    match config.clients.get(client).map(|client| client.dpop) {
        _ if config.dpop == DpopName::Off => "off",
        None | Some(DpopPolicyName::Off) => "off",
        Some(DpopPolicyName::Accepted) => "accepted",
        Some(DpopPolicyName::Required | DpopPolicyName::RequiredWithNonce) => "required",
    }
}

/// A text inside of an element or of a quoted attribute.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(character),
        }
    }
    out
}

const ASSETS: [(&str, &str, &str); 17] = [
    ("app.js", JAVASCRIPT, include_str!("../../page/app.js")),
    ("challenge.js", JAVASCRIPT, include_str!("../../page/challenge.js")),
    ("clock.js", JAVASCRIPT, include_str!("../../page/clock.js")),
    ("codes.js", JAVASCRIPT, include_str!("../../page/codes.js")),
    ("devices.js", JAVASCRIPT, include_str!("../../page/devices.js")),
    ("proof.js", JAVASCRIPT, include_str!("../../page/proof.js")),
    ("server.js", JAVASCRIPT, include_str!("../../page/server.js")),
    ("step_address.js", JAVASCRIPT, include_str!("../../page/step_address.js")),
    ("step_code.js", JAVASCRIPT, include_str!("../../page/step_code.js")),
    ("step_tokens.js", JAVASCRIPT, include_str!("../../page/step_tokens.js")),
    ("tokens.js", JAVASCRIPT, include_str!("../../page/tokens.js")),
    ("view.js", JAVASCRIPT, include_str!("../../page/view.js")),
    ("words.js", JAVASCRIPT, include_str!("../../page/words.js")),
    ("words_ar.js", JAVASCRIPT, include_str!("../../page/words_ar.js")),
    ("words_en.js", JAVASCRIPT, include_str!("../../page/words_en.js")),
    ("style.css", "text/css;charset=UTF-8", include_str!("../../page/style.css")),
    ("icon.svg", "image/svg+xml", include_str!("../../page/icon.svg")),
];

const JAVASCRIPT: &str = "text/javascript;charset=UTF-8";

/// The browser loads and runs only the page's own files, and no other page can frame this one. Only the script sends
/// the forms: if it fails, a browser must not put the typed text into a URL.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (X_FRAME_OPTIONS, "DENY"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (CACHE_CONTROL, "no-cache"),
];

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn a_configured_text_stays_text() {
        assert_eq!(escaped(r#"<a href='x'>"&"#), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;");
    }
}
