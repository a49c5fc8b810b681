//! base64url without padding (RFC 7515 section 2): what tokens, identifiers and key sets are written in.

use std::sync::LazyLock;

use base64::engine::general_purpose::NO_PAD;
use base64::engine::simd::Simd;

/// Several times as fast as the portable engine, where the processor has the instructions for it.
pub(crate) static BASE64URL: LazyLock<Simd> = LazyLock::new(|| Simd::url_safe(NO_PAD));
