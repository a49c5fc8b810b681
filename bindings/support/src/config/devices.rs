//! The budgets of devices that users log in with.

use std::fmt;

use otp_grant::otp::DevicePolicy;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::Window;
use crate::error::{ConfigError, Misplaced};
use crate::values::Span;

/// The budgets of a device, or `false` for a server that remembers no device. Members that the document does not give
/// have the crate's default.
#[derive(Debug)]
pub(super) struct Devices(Option<Budgets>);

impl Devices {
    pub(super) fn set(&self, setting: &mut Option<DevicePolicy>) -> Result<(), ConfigError> {
        let Some(Budgets { guesses, sends, validity }) = &self.0 else {
            *setting = None;
            return Ok(());
        };
        let mut policy = DevicePolicy::default();
        if let Some(window) = *guesses {
            policy.guesses = countable(window, "devices.guesses")?.into();
        }
        if let Some(sends) = sends {
            if sends.is_empty() {
                return Err(ConfigError::new("devices.sends", "a device needs a quota"));
            }
            let quotas = sends.iter().enumerate();
            let quotas = quotas.map(|(index, window)| countable(*window, &format!("devices.sends[{index}]")));
            policy.sends = quotas.map(|window| window.map(Window::into)).collect::<Result<_, _>>()?;
        }
        if let Some(Span(validity)) = *validity {
            policy.validity = validity;
        }
        *setting = Some(policy);
        Ok(())
    }
}

impl Default for Devices {
    fn default() -> Self {
        Self(Some(Budgets::default()))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Budgets {
    guesses: Option<Window>,
    sends: Option<Vec<Window>>,
    validity: Option<Span>,
}

/// The crate names no quota when it refuses one. Those of the address are more likely at fault.
fn countable(window: Window, place: &str) -> Result<Window, ConfigError> {
    match window.count.get() {
        ..=MOST_COUNTED => Ok(window),
        _ => Err(ConfigError::new(format!("{place}.count"), format_args!("at most {MOST_COUNTED}"))),
    }
}

impl<'de> Deserialize<'de> for Devices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DevicesVisitor)
    }
}

struct DevicesVisitor;

impl<'de> Visitor<'de> for DevicesVisitor {
    type Value = Devices;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object, or false")
    }

    fn visit_bool<E: Error>(self, remembered: bool) -> Result<Devices, E> {
        if remembered {
            Err(E::custom("devices are remembered by default; false if none is"))
        } else {
            Ok(Devices(None))
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Devices, A::Error> {
        Budgets::deserialize(MapAccessDeserializer::new(map)).map(|budgets| Devices(Some(budgets)))
    }
}

/// The limit of the crate.
const MOST_COUNTED: u32 = 1000;
