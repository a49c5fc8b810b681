//! The devices of an address. A device that its user has logged in with has guesses and sends of its own, and so nobody
//! else can use them up (OWASP: device cookies).

use core::num::NonZeroU32;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::DeviceId;
use crate::otp::meter::{Meter, Quota, memory_for_moves};
use crate::time::Timestamp;
use crate::unknown_members::{Unknown, keep_unknown_members};

/// The budgets of devices that users log in with.
///
/// An attacker who may send can use up the guesses and the sends of an address, and so keep its user out. A client that
/// asks for it (`remember_device`) gets a *device token* with a login. A later request with this token uses the budgets
/// of its device, which an attacker without the token can't reach. An address has at most 3 devices. A fourth device
/// takes the place, and the counted guesses and sends, of the device whose latest login is oldest.
///
/// A stolen device token gives its holder these budgets of the one address. No code is skipped. Where the
/// [send guard](crate::guard) is on, the sends of the device also pass its thresholds: at most 10 a day for each device
/// by default.
///
/// # What it costs
///
/// A request without a device token costs nothing more. A record that has a device is kept for `validity` after the
/// latest login of the device. Each device takes about 70 bytes of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DevicePolicy {
    /// How many guesses each device has. Defaults to 10 in 24 hours.
    pub guesses: Quota,

    /// How often each device may be sent to. All quotas apply, unless [`Settings::send_quotas`](crate::Settings) is
    /// empty. Defaults to once in 30 seconds and 10 times in 24 hours.
    ///
    /// The record of an address has room for 20 live challenges of each device. `build` refuses quotas that allow more
    /// than 20 sends while an otp_token is valid.
    pub sends: Vec<Quota>,

    /// For how long a device is known after its latest login, or its latest right code where the host then failed. From
    /// an hour to 3,660 days. Defaults to 90 days.
    pub validity: Duration,
}

impl Default for DevicePolicy {
    fn default() -> Self {
        Self {
            guesses: Quota::new(TEN, DAY),
            sends: vec![Quota::new(NonZeroU32::MIN, Duration::from_secs(30)), Quota::new(TEN, DAY)],
            validity: DAY.saturating_mul(90),
        }
    }
}

/// The devices in the record of one address. An address without any takes no memory on the heap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Devices(Option<Box<List>>);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct List(Vec<Device>);

impl Devices {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the devices that are known at `now`.
    pub(super) fn known(&self, now: Timestamp) -> impl Iterator<Item = &Device> {
        self.iter().filter(move |device| !now.has_reached(device.expires_at))
    }

    pub(super) fn get(&self, id: &DeviceId) -> Option<&Device> {
        self.iter().find(|device| device.id == *id)
    }

    pub(super) fn get_mut(&mut self, id: &DeviceId) -> Option<&mut Device> {
        self.iter_mut().find(|device| device.id == *id)
    }

    /// Keeps a device until `expires_at`. A device that is new takes over the counted guesses and sends of the device
    /// that it replaces. Otherwise each new device would be a new budget. Returns what a new device has changed.
    pub(super) fn keep(&mut self, id: DeviceId, expires_at: Timestamp) -> Option<NewDevice> {
        let devices = &mut self.0.get_or_insert_default().0;
        if let Some(known) = devices.iter_mut().find(|device| device.id == id) {
            known.expires_at = known.expires_at.max(expires_at);
            return None;
        }
        if devices.len() < MOST_DEVICES {
            devices.push(Device { id, expires_at, ..Device::default() });
            return Some(NewDevice(id, None));
        }
        let oldest = devices.iter_mut().min_by_key(|device| device.expires_at)?;
        let replaced = (oldest.id, oldest.expires_at);
        oldest.id = id;
        oldest.expires_at = expires_at;
        Some(NewDevice(id, Some(replaced)))
    }

    /// Takes back that a new device was kept. A device that was forgotten since stays forgotten.
    pub(super) fn take_back(&mut self, new: &NewDevice) {
        let Some(list) = &mut self.0 else { return };
        match new.1 {
            Some((replaced, expires_at)) => {
                if let Some(device) = list.0.iter_mut().find(|device| device.id == new.0) {
                    device.id = replaced;
                    device.expires_at = device.expires_at.min(expires_at);
                }
            }
            None => list.0.retain(|device| device.id != new.0),
        }
        self.0.take_if(|list| list.0.is_empty());
    }

    /// Forgets every device. What they have used up still counts.
    pub(super) fn forget(&mut self) {
        for device in self.iter_mut() {
            device.expires_at = Timestamp::default();
        }
    }

    /// Forgets what the devices have used up.
    pub(super) fn unlock(&mut self) {
        for device in self.iter_mut() {
            device.sends = Meter::default();
            device.failures = Meter::default();
        }
    }

    /// Makes the devices of a record from the future devices of now. Each ends earlier by as much as the clock was set
    /// back.
    pub(super) fn set_back(&mut self, now: Timestamp, by: Duration) {
        for device in self.iter_mut() {
            device.expires_at = device.expires_at.before(by);
            device.sends.clamp_to(now);
            device.failures.clamp_to(now);
        }
    }

    /// Returns the instant from which the devices mean nothing.
    pub(super) fn forgotten_at(&self, policy: Option<&DevicePolicy>) -> Option<Timestamp> {
        let meters = self.iter().flat_map(|device| {
            let sends = policy.and_then(|policy| device.sends.forgotten_at(memory_for_moves(&policy.sends)));
            let failures = policy.and_then(|policy| device.failures.forgotten_at(policy.guesses.window()));
            [sends, failures]
        });
        self.iter().map(|device| device.expires_at).chain(meters.flatten()).max()
    }

    fn iter(&self) -> impl Iterator<Item = &Device> {
        self.0.iter().flat_map(|list| &list.0)
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Device> {
        self.0.iter_mut().flat_map(|list| &mut list.0)
    }
}

/// A device, and what was used up with its token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub(crate) struct Device {
    #[serde(rename = "i")]
    pub(super) id: DeviceId,
    /// Until when the device is known. This follows from its latest login.
    #[serde(rename = "e")]
    expires_at: Timestamp,
    #[serde(rename = "s", skip_serializing_if = "Meter::is_empty", default)]
    pub(super) sends: Meter,
    #[serde(rename = "f", skip_serializing_if = "Meter::is_empty", default)]
    pub(super) failures: Meter,
    #[serde(skip)]
    unknown: Unknown,
}

keep_unknown_members!(Device);

impl Device {
    pub(super) fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

/// A device that a login has made known. Also the device whose place it took, if no place was free, and until when that
/// device was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NewDevice(DeviceId, Option<(DeviceId, Timestamp)>);

/// The most devices of one address.
pub(crate) const MOST_DEVICES: usize = 3;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const TEN: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
