//! Where the endpoints are.

use std::fmt;

use otp_grant::settings::Endpoints;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// The paths below the issuer. Paths that the document does not give have the crate's default.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndpointPaths {
    otp_send: Option<Place>,
    token: Option<String>,
    revocation: Option<Place>,
    introspection: Option<Place>,
    userinfo: Option<Place>,
    jwks: Option<String>,
}

impl EndpointPaths {
    pub(super) fn endpoints(&self) -> Endpoints {
        let Self { otp_send, token, revocation, introspection, userinfo, jwks } = self;
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
        endpoints
    }
}

/// A path, or `false` for an endpoint that the host does not serve.
#[derive(Debug)]
struct Place(Option<String>);

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
