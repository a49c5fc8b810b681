//! The budgets of devices that users log in with: the members of `[devices]`.

use otp_grant::Settings;
use otp_grant::otp::DevicePolicy;
use serde::Deserialize;

use super::{ConfigError, Span, Window};

/// The budgets of each device. What the file does not give has the crate's default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Devices {
    /// Whether devices are remembered at all. They are by default.
    pub(crate) remember: Option<bool>,
    pub(crate) guesses: Option<Window>,
    pub(crate) sends: Option<Vec<Window>>,
    pub(crate) validity: Option<Span>,
}

impl Devices {
    /// Sets what the file gives.
    pub(super) fn set(&self, settings: &mut Settings) -> Result<(), ConfigError> {
        if self.remember == Some(false) {
            if self.guesses.is_some() || self.sends.is_some() || self.validity.is_some() {
                return Err(ConfigError::new("devices.remember", "budgets are for devices that are remembered"));
            }
            settings.devices = None;
            return Ok(());
        }
        let mut policy = DevicePolicy::default();
        if let Some(guesses) = self.guesses {
            policy.guesses = guesses.into();
        }
        if let Some(sends) = self.sends.as_deref() {
            if sends.is_empty() {
                return Err(ConfigError::new("devices.sends", "there has to be a quota"));
            }
            policy.sends = sends.iter().copied().map(Window::into).collect();
        }
        if let Some(Span(validity)) = self.validity {
            if validity.is_zero() {
                return Err(ConfigError::new("devices.validity", "no device is remembered for no time"));
            }
            policy.validity = validity;
        }
        settings.devices = Some(policy);
        Ok(())
    }
}
