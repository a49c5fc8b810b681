//! The scenarios. Each file plays the events that its name describes, through the public interface.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "the helpers of a scenario that fails have to fail loudly"
)]

mod assertions_and_proofs;
mod bad_input;
mod check_access_token;
mod check_order;
mod chosen_at_run_time;
mod code_challenge;
mod conformance;
mod default_entropy;
mod devices;
mod discovery;
mod dpop;
mod dpop_at_routes;
mod dpop_keys;
mod exchange;
mod exchange_at_once;
mod exchange_ends;
mod forms_and_errors;
mod guess_budget;
mod guesses_for_ever;
mod introspect_contract;
mod key_files;
mod key_rotation;
mod keyring_check;
mod memory_directory;
mod messages;
mod model;
mod nothing_replayable;
mod one_budget;
mod own_directory;
mod own_signer;
mod own_usages;
mod parallel_guesses;
mod private_key_jwt;
mod promises;
mod protected_routes;
mod pumping;
mod record_formats;
mod record_size;
mod record_versions;
mod refresh_contract;
mod refresh_reuse;
mod request_headers;
mod resend;
mod revoke_contract;
mod route;
mod send_contract;
mod send_guard;
mod session_expiry;
mod signed_but_wrong;
mod slow_ports;
mod store_calls;
mod store_faults;
mod test_identities;
mod token_contract;
mod tokens;
mod two_issuers;
mod userinfo_contract;
mod what_errors_say;
mod what_the_host_hears;
