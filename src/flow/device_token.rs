//! Device tokens: how a client presents the device of its user, and how the device is remembered.

use subtle::ConstantTimeEq;

use crate::flow::core::Parts;
use crate::id::{ClientId, DeviceId, RecordKey};
use crate::secret::sealed::DeviceTokenContent;
use crate::secret::{DeviceToken, PresentedSecret};

/// Returns the device of a token that this server sealed for this address and this client. The record of the address
/// says whether it knows the device.
///
/// Any other token counts as none. The request then goes on as if it had no token.
pub(crate) fn presented(
    parts: &Parts,
    token: Option<&PresentedSecret<'_>>,
    record: &RecordKey,
    client: &ClientId,
) -> Option<DeviceId> {
    let policy = parts.settings.devices.as_ref()?;
    let content = DeviceTokenContent::unseal(token?, policy.validity, &parts.keyring, parts.clock.now()).ok()?;
    let binding = parts.keyring.device_binding(record, client, &content.device);
    let is_bound: bool = binding.as_bytes().ct_eq(content.binding.as_bytes()).into();
    is_bound.then_some(content.device)
}

/// Seals a token by which a device is known from now on.
pub(crate) fn remembered(parts: &Parts, device: DeviceId, record: &RecordKey, client: &ClientId) -> DeviceToken {
    let binding = parts.keyring.device_binding(record, client, &device);
    DeviceTokenContent { device, issued_at: parts.clock.now(), binding }.seal(&parts.keyring)
}
