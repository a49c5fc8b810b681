//! What the host's support staff can ask of an address, and do for its user.

use crate::address::Address;
use crate::change::Change;
use crate::directory::Directory;
use crate::flow::commit::{Refused, Turn};
use crate::flow::core::Core;
use crate::id::RecordKey;
use crate::observer::Event;
use crate::otp::authenticator::{Authenticator, NothingToDo};
use crate::otp::support::{AddressState, ForgetDevices, Unlock};
use crate::store::Store;
use crate::wire::error::Unavailable;

pub(crate) async fn explain<S: Store, D: Directory>(
    core: &Core<S, D>,
    address: &Address,
) -> Result<AddressState, Unavailable> {
    let loaded = Turn::new(core).load_authenticator(key_of(core, address)).await?;
    Ok(AddressState::new(loaded.state(), &core.limits, loaded.now()))
}

pub(crate) async fn unlock<S: Store, D: Directory>(core: &Core<S, D>, address: &Address) -> Result<(), Unavailable> {
    let address = key_of(core, address);
    change(core, address, &Unlock).await?;
    core.observer.event(&Event::Unlocked { address });
    Ok(())
}

pub(crate) async fn forget_devices<S: Store, D: Directory>(
    core: &Core<S, D>,
    address: &Address,
) -> Result<(), Unavailable> {
    let address = key_of(core, address);
    change(core, address, &ForgetDevices).await?;
    core.observer.event(&Event::DevicesForgotten { address });
    Ok(())
}

fn key_of<S: Store, D: Directory>(core: &Core<S, D>, address: &Address) -> RecordKey {
    core.keyring.authenticator_key(address, &core.settings.addresses)
}

async fn change<S, D, C>(core: &Core<S, D>, address: RecordKey, change: &C) -> Result<(), Unavailable>
where
    S: Store,
    D: Directory,
    C: Change<State = Authenticator, Verdict = (), Refusal = NothingToDo>,
{
    let mut turn = Turn::new(core);
    let loaded = turn.load_authenticator(address).await?;
    match turn.commit(loaded, change).await {
        Ok(_) | Err(Refused::ByRule(NothingToDo)) => Ok(()),
        Err(Refused::Unavailable) => Err(Unavailable),
    }
}
