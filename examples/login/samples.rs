//! The clients, auth sources and users of the demo: those of the contract's samples.

use std::error::Error;

use otp_grant::directory::UserClaims;
use otp_grant::id::InvalidId;
use otp_grant::scope::InvalidScope;
use otp_grant::*;

pub(crate) const ISSUER: &str = "https://sample.portal.example.com";

/// The scopes that the tenant's clients may request.
const SCOPES: &str = "openid profile email phone offline_access";

/// The defaults, with the scopes and claims that this host lists in its discovery documents.
pub(crate) fn sample_settings() -> Result<Settings, InvalidScope> {
    let claims = ["name", "preferred_username", "email", "email_verified", "phone_number", "phone_number_verified"];
    let mut settings = Settings::default();
    settings.scopes_supported = Scope::parse(SCOPES)?;
    settings.claims_supported = claims.map(str::to_owned).to_vec();
    Ok(settings)
}

/// The clients, auth sources and users of the contract's samples, and an API that introspects tokens.
pub(crate) fn sample_directory() -> Result<MemoryDirectory, Box<dyn Error>> {
    let sms = AuthSourceId::new("MOCK_SMS_OTP_AUTH_SOURCE_ID")?;
    let email = AuthSourceId::new("MOCK_EMAIL_OTP_AUTH_SOURCE_ID")?;
    let tenant = |client: Client| {
        let allowed = Scope::parse(SCOPES)?;
        let client = client.with_auth_source(sms.clone()).with_auth_source(email.clone());
        Ok::<_, Box<dyn Error>>(client.with_scopes(allowed, Scope::openid())?)
    };
    let confidential = |id, secret| Ok::<_, InvalidId>(Client::confidential(ClientId::new(id)?, secret));
    // The API logs no user in. Clients call it with tokens of the tenant's clients.
    let api = confidential("API_CLIENT_ID", ClientSecret::digest("API_CLIENT_SECRET"))?.with_grants([]);

    let policy = AddressPolicy::default();
    let addresses = |phone, email| {
        let phone = Address::Phone(policy.phone_number(phone)?);
        Ok::<_, Box<dyn Error>>([phone, Address::Email(policy.email(email)?)])
    };
    let user = |subject, status| Ok::<_, InvalidId>(User::new(Subject::new(subject)?, status));

    let directory = MemoryDirectory::new()
        .with_client(tenant(confidential("TENANT_CLIENT_ID", ClientSecret::digest("TENANT_CLIENT_SECRET"))?)?)
        .with_client(tenant(Client::public(ClientId::new("TENANT_SPA_CLIENT_ID")?).with_sending())?)
        .with_client(confidential("OTHER_CLIENT_ID", ClientSecret::digest("OTHER_CLIENT_SECRET"))?)
        .with_client(api.with_introspection_of_every_token())
        .with_auth_source(AuthSource::new(sms.clone(), Channel::Sms))
        .with_auth_source(AuthSource::new(email.clone(), Channel::Email))
        .with_user(user("MOCK_USER_ID", UserStatus::Active)?, addresses("13612345678", "MOCK_USERNAME@example.com")?)
        .with_user(user("LOCKED_USER_ID", UserStatus::Locked)?, addresses("13600000000", "locked@example.com")?);
    let claims = UserClaims::new()
        .with("name", "Mock User")
        .with("preferred_username", "MOCK_USERNAME")
        .with("email", "MOCK_USERNAME@example.com")
        .with("email_verified", true)
        .with("phone_number", "+8613612345678")
        .with("phone_number_verified", true);
    directory.put_claims(Subject::new("MOCK_USER_ID")?, claims);
    Ok(directory)
}
