//! Where the endpoints are.

use std::fmt;

use otp_grant::settings::Endpoints;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

use super::{Config, ConfigError};
use crate::server::HEALTH_PATHS;

/// The paths below the issuer. Paths that the file does not give have the crate's default.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndpointPaths {
    otp_send: Option<Place>,
    token: Option<String>,
    revocation: Option<Place>,
    introspection: Option<Place>,
    userinfo: Option<Place>,
    jwks: Option<String>,
}

/// A path, or `false` for an endpoint that the host does not serve.
#[derive(Debug)]
struct Place(Option<String>);

/// The endpoints.
pub(crate) fn endpoints(config: &Config) -> Result<Endpoints, ConfigError> {
    let EndpointPaths { otp_send, token, revocation, introspection, userinfo, jwks } = &config.endpoints;
    let mut endpoints = Endpoints::default();
    let places = [
        (otp_send, &mut endpoints.otp_send),
        (revocation, &mut endpoints.revocation),
        (introspection, &mut endpoints.introspection),
        (userinfo, &mut endpoints.userinfo),
    ];
    for (given, endpoint) in places {
        if let Some(Place(path)) = given {
            endpoint.clone_from(path);
        }
    }
    for (given, endpoint) in [(token, &mut endpoints.token), (jwks, &mut endpoints.jwks)] {
        if let Some(path) = given {
            endpoint.clone_from(path);
        }
    }
    let Endpoints { otp_send, token, revocation, introspection, userinfo, jwks, .. } = &endpoints;
    let optional = [otp_send, revocation, introspection, userinfo].into_iter().flatten();
    let taken = optional.chain([token, jwks]).any(|path| is_taken(path));
    if taken {
        return Err(ConfigError::new(
            "endpoints",
            "/, /livez, /readyz, /healthz and what is below /page/ are the host's own",
        ));
    }
    if config.page.client.is_some() && otp_send.is_none() {
        return Err(ConfigError::new("endpoints.otp_send", "the page needs it"));
    }
    Ok(endpoints)
}

fn is_taken(path: &str) -> bool {
    path == "/" || HEALTH_PATHS.contains(&path) || path.starts_with("/page/")
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlaceVisitor)
    }
}

struct PlaceVisitor;

impl Visitor<'_> for PlaceVisitor {
    type Value = Place;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path, or false")
    }

    fn visit_str<E: Error>(self, path: &str) -> Result<Place, E> {
        Ok(Place(Some(path.to_owned())))
    }

    fn visit_bool<E: Error>(self, served: bool) -> Result<Place, E> {
        if served {
            Err(E::custom("an endpoint is served where its path says; false if nowhere"))
        } else {
            Ok(Place(None))
        }
    }
}
