//! Requests to a provider: templates, filled with a message.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use otp_grant::Channel;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use reqwest::{Method, Request, Url};
use zeroize::Zeroizing;

use super::sign::{Signer, Unsigned};
use super::template::{Escape, Name, Template, Values, percent_encoded};
use crate::config::{AccessKey, Config, ConfigError, Http, Secret, Source, read_delivery_url};
use crate::delivery::parcel::Parcel;
use crate::delivery::text::Texts;

/// A request with places for a message.
#[derive(Debug)]
pub(super) struct RequestTemplate {
    method: Method,
    url: Template,
    query: Pairs,
    body: Body,
    headers: Vec<(HeaderName, Template, bool)>,
    authorization: Option<HeaderValue>,
    signer: Option<Signer>,
    is_encrypted: bool,
}

#[derive(Debug)]
enum Body {
    None,
    Form(Pairs),
    Json(Template),
}

/// Names and values that are encoded as a whole.
#[derive(Debug)]
struct Pairs(Vec<(String, Template)>);

impl RequestTemplate {
    pub(super) fn new(entry: &Http, texts: &Texts, place: &str, config: &Config) -> Result<Self, ConfigError> {
        let at = |member: &str| format!("{place}.{member}");
        let method = entry.method.as_deref().unwrap_or("POST");
        let method = Method::from_bytes(method.as_bytes()).ok().filter(|method| METHODS.contains(&method.as_str()));
        let method = method.ok_or_else(|| ConfigError::new(at("method"), "one of GET, POST, PUT and PATCH"))?;
        let (url, is_encrypted) = url_template(entry, &at("url"), config)?;
        let body = match (&entry.form, &entry.json) {
            (None, None) => Body::None,
            (Some(form), None) => Body::Form(Pairs::new(form, &at("form"), config)?),
            (None, Some(json)) => Body::Json(template(&json.read(&at("json"), config)?, &at("json"))?),
            (Some(_), Some(_)) => return Err(ConfigError::new(at("json"), "a body is a form or JSON")),
        };
        if method == Method::GET && !matches!(body, Body::None) {
            return Err(ConfigError::new(at("method"), "GET has no body"));
        }
        let request = Self {
            method,
            url,
            query: Pairs::new(&entry.query, &at("query"), config)?,
            body,
            headers: headers(entry, place, config)?,
            authorization: authorization(entry, place, config)?,
            signer: signer(entry, place, config)?,
            is_encrypted,
        };
        request.try_out(texts, place)?;
        request.warn_of_urls(place, config);
        Ok(request)
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// The request for a message.
    pub(super) fn fill(&self, parcel: &Parcel, texts: &Texts, now: SystemTime) -> Option<Request> {
        let values = Values::new(parcel, texts)?;
        let mut url = self.url.fill(&values, Escape::Percent);
        let query = self.query.fill(&values);
        if !query.is_empty() {
            let joint = if url.contains('?') { '&' } else { '?' };
            url.push(joint);
            url.push_str(&query);
        }
        let mut request = Request::new(self.method.clone(), Url::parse(&url).ok()?);
        let (body, kind) = match &self.body {
            Body::None => (Zeroizing::default(), None),
            Body::Form(pairs) => (pairs.fill(&values), Some("application/x-www-form-urlencoded")),
            Body::Json(json) => (json.fill(&values, Escape::Json), Some("application/json")),
        };
        let headers = request.headers_mut();
        if let Some(kind) = kind {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        for (name, template, is_sensitive) in &self.headers {
            let mut value = HeaderValue::from_str(&template.fill(&values, Escape::Nothing)).ok()?;
            value.set_sensitive(*is_sensitive);
            headers.insert(name, value);
        }
        if let Some(value) = &self.authorization {
            headers.insert(AUTHORIZATION, value.clone());
        }
        if let Some(signer) = &self.signer {
            sign(&mut request, signer, parcel, &body, now)?;
        }
        if kind.is_some() {
            *request.body_mut() = Some(body.as_str().to_owned().into());
        }
        Some(request)
    }

    /// A request without them may need them there, so this is no error.
    fn warn_of_urls(&self, place: &str, config: &Config) {
        let shows = |template: &Template| template.names().any(Name::is_private);
        for (member, shows) in [("url", shows(&self.url)), ("query", self.query.templates().any(shows))] {
            if shows {
                let what = "URLs are logged on the way, and this one has the address, the code or the text of a message: \
                    json or form is better, if the provider reads it";
                config.warnings.add(&format!("{place}.{member}"), what);
            }
        }
    }

    /// Fills the request once, with values that could break it.
    fn try_out(&self, texts: &Texts, place: &str) -> Result<(), ConfigError> {
        let what = "the request can't be written: a header has a character that no header may have";
        let failed = || ConfigError::new(place, what);
        let trial = Parcel::trial(Channel::Sms, "+\"\\{}&=\n", "\"\\{}&=", Duration::from_secs(60));
        let parcel = trial.ok_or_else(failed)?;
        if let Body::Json(json) = &self.body {
            let filled = json.fill(&Values::new(&parcel, texts).ok_or_else(failed)?, Escape::Json);
            let parsed = serde_json::from_str::<serde::de::IgnoredAny>(&filled);
            // The parser's message has no text of the template.
            parsed.map_err(|_| {
                let what = "not JSON once it is filled: a placeholder belongs inside of a string, except numbers";
                ConfigError::new(format!("{place}.json"), what)
            })?;
        }
        self.fill(&parcel, texts, SystemTime::now()).map(drop).ok_or_else(failed)
    }
}

impl Pairs {
    fn templates(&self) -> impl Iterator<Item = &Template> {
        self.0.iter().map(|(_, template)| template)
    }

    fn new(entries: &BTreeMap<String, Source>, place: &str, config: &Config) -> Result<Self, ConfigError> {
        let pair = |(name, source): (&String, &Source)| {
            let place = format!("{place}.{name}");
            Ok((name.clone(), value(source, &place, config)?))
        };
        entries.iter().map(pair).collect::<Result<_, _>>().map(Self)
    }

    /// Sorted by name, as signatures of requests require.
    fn fill(&self, values: &Values<'_>) -> Zeroizing<String> {
        let mut filled = Zeroizing::new(String::new());
        for (name, template) in &self.0 {
            if !filled.is_empty() {
                filled.push('&');
            }
            filled.push_str(&percent_encoded(name));
            filled.push('=');
            filled.push_str(&percent_encoded(&template.fill(values, Escape::Nothing)));
        }
        filled
    }
}

/// A value that is written in the file is a template. One that is elsewhere is a secret, and taken as it is.
fn value(source: &Source, place: &str, config: &Config) -> Result<Template, ConfigError> {
    let text = source.read(place, config)?;
    match source {
        Source::Here(_) => template(&text, place),
        Source::Env(_) | Source::File(_) => Ok(Template::literal(text.expose())),
    }
}

fn template(text: &Secret, place: &str) -> Result<Template, ConfigError> {
    Template::parse(text.expose()).map_err(|_| ConfigError::new(place, PLACEHOLDERS))
}

/// Reads the URL. Its scheme and its host are fixed.
fn url_template(entry: &Http, place: &str, config: &Config) -> Result<(Template, bool), ConfigError> {
    let text = entry.url.read(place, config)?;
    let url = read_delivery_url(place, &text)?;
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(ConfigError::new(place, "a user, a password and a fragment have no place here; see basic"));
    }
    let authority = text.expose().split(['/', '?']).nth(2).unwrap_or_default();
    if authority.contains(['{', '}']) {
        return Err(ConfigError::new(place, "the host is fixed: placeholders are for the path and the query"));
    }
    if entry.sign.is_some() && url.query().is_some() {
        return Err(ConfigError::new(place, "the query of a signed request is in its own table"));
    }
    Ok((template(&text, place)?, url.scheme() == "https"))
}

fn headers(entry: &Http, place: &str, config: &Config) -> Result<Vec<(HeaderName, Template, bool)>, ConfigError> {
    let header = |(name, source): (&String, &Source)| {
        let place = format!("{place}.headers.{name}");
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| ConfigError::new(&place, "not a header"))?;
        if [HOST, CONTENT_TYPE].contains(&header) || header == "content-length" || header == "transfer-encoding" {
            return Err(ConfigError::new(place, "the host writes this header itself"));
        }
        let template = value(source, &place, config)?;
        if !template.names().all(Name::is_for_headers) {
            let what = "headers are logged on the way: only {id}, {channel}, {minutes} and {seconds} can be in one";
            return Err(ConfigError::new(place, what));
        }
        Ok((header, template, !matches!(source, Source::Here(_))))
    };
    entry.headers.iter().map(header).collect()
}

/// The one way in which the request is authenticated, unless a header or a signature does it.
fn authorization(entry: &Http, place: &str, config: &Config) -> Result<Option<HeaderValue>, ConfigError> {
    let has_header = entry.headers.keys().any(|name| name.eq_ignore_ascii_case("authorization"));
    let ways = [entry.basic.is_some(), entry.bearer.is_some(), entry.sign.is_some(), has_header];
    if ways.into_iter().filter(|way| *way).count() > 1 {
        return Err(ConfigError::new(place, "basic, bearer, sign and a header Authorization exclude each other"));
    }
    let (text, place) = if let Some(basic) = &entry.basic {
        let place = format!("{place}.basic");
        let user = basic.user.read(&format!("{place}.user"), config)?;
        let password = basic.password.read(&format!("{place}.password"), config)?;
        if user.expose().contains(':') {
            return Err(ConfigError::new(format!("{place}.user"), "RFC 7617 allows no colon in a user"));
        }
        let pair = Zeroizing::new(format!("{}:{}", user.expose(), password.expose()));
        (Zeroizing::new(format!("Basic {}", *Zeroizing::new(BASE64.encode(pair.as_bytes())))), place)
    } else if let Some(bearer) = &entry.bearer {
        let place = format!("{place}.bearer");
        let token = bearer.read(&place, config)?;
        (Zeroizing::new(format!("Bearer {}", token.expose())), place)
    } else {
        return Ok(None);
    };
    let mut value =
        HeaderValue::from_str(&text).map_err(|_| ConfigError::new(place, "a character that no header may have"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn signer(entry: &Http, place: &str, config: &Config) -> Result<Option<Signer>, ConfigError> {
    match (entry.sign, &entry.access_key) {
        (None, None) => Ok(None),
        (Some(scheme), Some(AccessKey { id, secret })) => {
            let place = format!("{place}.access_key");
            let (id, secret) =
                (id.read(&format!("{place}.id"), config)?, secret.read(&format!("{place}.secret"), config)?);
            Ok(Some(Signer { scheme, id, secret }))
        }
        _ => Err(ConfigError::new(format!("{place}.access_key"), "sign needs an access_key, and the key needs sign")),
    }
}

/// Adds the headers of a signature.
fn sign(request: &mut Request, signer: &Signer, parcel: &Parcel, body: &str, now: SystemTime) -> Option<()> {
    let host = match (request.url().host_str()?, request.url().port()) {
        (host, None) => host.to_owned(),
        (host, Some(port)) => format!("{host}:{port}"),
    };
    // A provider remembers nonces, so an attempt needs its own. No two attempts are made within a second.
    let nonce = format!("{}-{}", parcel.id(), now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs());
    let added = signer.sign(&Unsigned {
        method: request.method().as_str(),
        host: &host,
        path: request.url().path(),
        query: request.url().query().unwrap_or_default(),
        headers: request.headers(),
        body,
        now,
        nonce: &nonce,
    });
    for (name, value) in added {
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(name == "authorization");
        request.headers_mut().insert(name, value);
    }
    Some(())
}

const METHODS: [&str; 4] = ["GET", "POST", "PUT", "PATCH"];
const PLACEHOLDERS: &str = "the placeholders are {address}, {digits}, {code}, {text}, {subject}, {html}, {usage}, \
     {channel}, {minutes}, {seconds} and {id}";
