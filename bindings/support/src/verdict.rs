//! What the host knows about a request for a code.

use otp_grant::guard::Verdict;

/// What the host knows about a request: from a captcha, a device attestation or the reputation of a network. The send
/// endpoint reads it, where the send guard is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a binding has to learn of another verdict")]
pub enum HostVerdict {
    /// The host knows nothing.
    #[default]
    None,
    /// The request comes from a person, as far as the host can tell.
    Allow,
    /// The client must pass a challenge.
    Challenge,
    /// The send is refused as if no quota were left.
    Refuse,
}

impl HostVerdict {
    /// Reads a name: `none`, `allow`, `challenge` or `refuse`.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "none" => Self::None,
            "allow" => Self::Allow,
            "challenge" => Self::Challenge,
            "refuse" => Self::Refuse,
            _ => return None,
        })
    }
}

impl From<HostVerdict> for Verdict {
    fn from(verdict: HostVerdict) -> Self {
        match verdict {
            HostVerdict::None => Self::None,
            HostVerdict::Allow => Self::Allow,
            HostVerdict::Challenge => Self::Challenge,
            HostVerdict::Refuse => Self::Refuse,
        }
    }
}
