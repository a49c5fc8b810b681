//! The keys that DPoP proofs are made with: each algorithm, what a `jwk` must and must not say, and the sizes of RSA.

use base64::{Engine, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use otp_grant::dpop::DpopSupport;
use otp_grant::settings::SMS_GRANT_TYPE;
use otp_grant::*;
use otp_grant_tests::*;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use serde_json::{Value, json};

const TOKEN: &str = "/oauth2/token";
const ES256: &str = include_str!("../keys/es256_other_pkcs8.pem");
const RSA: &str = include_str!("../keys/rsa2048_pkcs8.pem");
const WRONG_KEY: &str = "the jwk of the DPoP proof is not a public key for its alg";
const WRONG_SIGNATURE: &str = "the signature of the DPoP proof is wrong";

fn host() -> Host {
    Host::with(settings(|settings| settings.dpop = DpopSupport::On))
}

/// A grant that is refused for its otp_token, unless it is refused for its proof.
async fn refused_for(host: &Host, proof: &str) -> Option<String> {
    let grant = json!({
        "grant_type": SMS_GRANT_TYPE, "client_id": DPOP_CLIENT, "auth_source_id": SMS_SOURCE, "phone_number": PHONE,
        "otp_token": "x", "otp": "000000",
    });
    let (calls, reply) = host.store_calls(host.post_with(TOKEN, &grant, &[proof])).await;
    let (status, said) = read(&reply);
    assert_eq!((calls, status), (0, 400));
    match text(&said, "error") {
        "invalid_grant" => None,
        "invalid_dpop_proof" => Some(text(&said, "error_description").to_owned()),
        other => panic!("{other}"),
    }
}

fn der(pem: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap()
}

/// The public key of a file, without what a JWK can say beside it.
fn jwk(pem: &str) -> Value {
    let jwk: Value = serde_json::from_str(&SigningKey::from_pem(pem).unwrap().public_key().to_jwk()).unwrap();
    but(&jwk, json!({ "kid": null, "use": null, "alg": null }))
}

fn sign(host: &Host, pem: &str, padding: &'static dyn RsaEncoding, header: &Value) -> String {
    let claims = Prover::new(1).claims(host, TOKEN).to_string();
    let signed = format!("{}.{}", BASE64URL.encode(header.to_string()), BASE64URL.encode(claims));
    let (der, random) = (der(pem), SystemRandom::new());
    let signature = match pem {
        RSA => {
            let key = RsaKeyPair::from_pkcs8(&der).unwrap();
            let mut signature = vec![0; key.public().modulus_len()];
            key.sign(padding, &random, signed.as_bytes(), &mut signature).unwrap();
            signature
        }
        _ => {
            let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &random).unwrap();
            key.sign(&random, signed.as_bytes()).unwrap().as_ref().to_vec()
        }
    };
    format!("{signed}.{}", BASE64URL.encode(signature))
}

#[tokio::test]
async fn a_key_of_each_kind_makes_proofs() {
    let (host, key) = (host(), Prover::new(1));
    for algorithm in ["EdDSA", "Ed25519"] {
        let proof = key.sign(&but(&key.header(), json!({ "alg": algorithm })), &key.claims(&host, TOKEN));
        assert_eq!(refused_for(&host, &proof).await, None, "{algorithm}");
    }
    for (pem, padding, algorithm) in [
        (ES256, &RSA_PKCS1_SHA256 as &dyn RsaEncoding, "ES256"),
        (RSA, &RSA_PKCS1_SHA256, "RS256"),
        (RSA, &RSA_PSS_SHA256, "PS256"),
    ] {
        let header = |algorithm: &str, jwk: Value| json!({ "typ": "dpop+jwt", "alg": algorithm, "jwk": jwk });
        let good = sign(&host, pem, padding, &header(algorithm, jwk(pem)));
        assert_eq!(refused_for(&host, &good).await, None, "{algorithm}");
        // With the name of another algorithm, the signature or the key is wrong.
        for other in ["ES256", "EdDSA", "Ed25519", "PS256", "RS256"].into_iter().filter(|other| *other != algorithm) {
            let is_rsa = |name: &str| name.ends_with("S256") && name != "ES256";
            let said = if is_rsa(algorithm) && is_rsa(other) { WRONG_SIGNATURE } else { WRONG_KEY };
            let proof = sign(&host, pem, padding, &header(other, jwk(pem)));
            assert_eq!(refused_for(&host, &proof).await.as_deref(), Some(said), "{algorithm} {other}");
        }
    }
}

#[tokio::test]
async fn a_key_is_used_for_what_its_jwk_says_alone() {
    let host = host();
    for (algorithm, padding, other) in
        [("PS256", &RSA_PSS_SHA256 as &dyn RsaEncoding, "RS256"), ("RS256", &RSA_PKCS1_SHA256, "PS256")]
    {
        let said = async |changes: Value| {
            let header = json!({ "typ": "dpop+jwt", "alg": algorithm, "jwk": but(&jwk(RSA), changes) });
            refused_for(&host, &sign(&host, RSA, padding, &header)).await
        };
        for good in [json!({}), json!({ "alg": algorithm }), json!({ "use": "sig" }), json!({ "key_ops": ["verify"] })]
        {
            assert_eq!(said(good.clone()).await, None, "{algorithm} {good}");
        }
        for bad in [
            json!({ "alg": other }),
            json!({ "alg": "ES256" }),
            json!({ "alg": "RSA-OAEP" }),
            json!({ "alg": 1 }),
            json!({ "use": "enc" }),
            json!({ "key_ops": ["encrypt"] }),
            json!({ "d": "AAAA" }),
        ] {
            assert_eq!(said(bad.clone()).await.as_deref(), Some(WRONG_KEY), "{algorithm} {bad}");
        }
    }
}

/// A proof for the token endpoint at the first instant of a host, by a key of 4096 bits.
const OF_4096_BITS: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IlJTMjU2IiwiandrIjp7Imt0eSI6IlJTQSIsImUiOiJBUUFCIiwibiI6InBrc2dXcEI0S1N6RUNBSTVFakl5TU1aWkltcmtHVVRuRXAyYlVNaE00NWMxSGs5ckdBQS1fbXJrbmprUllVc1lsclFaZ2pwNWJldno4RFMxTzFTbDF4cmdiVEptcFRUdzBuSUdzMDF1WUQxam9uTzdha21vcDBDeVFxVHNMUWJCVFAtU2ZsaW5wLW9xVE1CS3JSWnowczZJYmNQdG9yd09OcllRcDh6QTFhUG9WclM2ck9XaS1rZ3lLaFRsTWZ0ZlhHcGJ1M0NUcHFacHB3MWhMWDBCdV95WFhZQ0hVX1FBdmR2SVYzN3lFTUpUU21DYzVZVEp4UjV2XzBzem42YmJnMFJCcDU5QzJ5Rll5dFVtZDZtcmpyNm1QQk9lUFp2SjIzLWpsWEpWUkZDYlpzb19CWG5VMF9YTDVsR2swYTlQb2t5WmRTc1lJVGppTmtGazZsQzRmMjFTRmlCREREQ2FLdExzZnRtUkVpWVAzMllPeVAtR21OZE90SUk1S3FqejN4U0VxYmxyeWNuY05wUnYwOHZaeEgtdjRReEFMNlZ1U09nWmRCT0tyMkppVGd5bmR5S1VQR2JoNm9uMHNXWVRQb1RTZkZiN0Nacm9jSVJPWFpfaUZRWUtvUDlmOGJCZ3BSQUVMMGRxZmRlc2hMM0xMNkVwU2xVZTBVNnhaTnBPMFRiOW1ZQTRTWmxDT3RJM3d5QS1WZmxWNTNwMW5tMGh0LTliVVVKdG1OZ2JublhTTzcxT0puUVNyUTJQUENZa0VPZWVzaDF4NFNYZWt0Q2RhX0FfeGlHWVlOTHdVd3VyVFNGMDloaTlkWV9TTUQxZGQ0UV9xZHljazB0aVplOWZOUVpCd2pUWjFOaXEwM2htT0xCcXJvM2lEb2NZX0kxTnE5V1RTbm9GX29FIn19.eyJqdGkiOiI0MDk2IGJpdHMiLCJodG0iOiJQT1NUIiwiaHR1IjoiaHR0cHM6Ly9zYW1wbGUucG9ydGFsLmV4YW1wbGUuY29tL29hdXRoMi90b2tlbiIsImlhdCI6MTgwMDAwMDAwMH0.bNRCgfEIRiotD_jEDxtvzeLmJ48uSSTmKn4qk32hTSae35xR383tY6djvLYgq_UFK_9lXhr4q7FQYsIeKc9EqSMW4WAMnuYBaw_PXZdBxBaIeC4r4LjO6QLTVCUBT45DLSfY_-7Wlt2-wx6mLJzz5LbITKz0ugYoXgKl-B6_BkMKBoj5h6SFa-QMo9qmm7xc__sSyoavYz_PP3vAySvxnoadDzMYqKycUBGI-usXa9CLt2ca1IW06ZBR4lT5yDRSbOZSTCF7KDm_F007x_OWC_qGywmDeYlHCfcRyTV8v9uYFa05JjwJbMrAWMmdkwm6hawBCuNQ3sBqrbrouQWqrATiguyX5WRlJbkadryve4uhQu5AfW5VfV_yfqLHC-vrbQHuRclsbWcqu5QGAoUDiT6S5m87RP_7EPlCSyg8BdbkgPAIt32jsVEruF0-NloPDKrsNFuyKl0F-uNwwJZ_wQSFZzEvMQf-Y6uQz51FWd1ja_4lBd9uGoIVyi-ZHnBWooRFB7Yh4odL3aIBQEWDQDUmSRj5clAee_RpMHtq5x7YcM53ULGC8z4Tvn9OxaXNARGU3hpwQGucW_molu5LJq4GR-h59VGvcRmQYPXLN36JMhlfE4_Bhq9XJdSS6YFYJCdyfnCMLRfeE6To4vAAWwwPX3RRyOoRSd0vdap8GZA";

#[tokio::test]
async fn an_rsa_key_has_2048_to_4096_bits() {
    let host = host();
    assert_eq!(refused_for(&host, OF_4096_BITS).await, None);
    let (signed, _) = OF_4096_BITS.rsplit_once('.').unwrap();
    let altered = format!("{signed}.{}", BASE64URL.encode([1; 512]));
    assert_eq!(refused_for(&host, &altered).await.as_deref(), Some(WRONG_SIGNATURE));
    // Keys of which nobody knows the private key. The size is checked before the signature.
    for (bits, said) in [
        (1024, WRONG_KEY),
        (2040, WRONG_KEY),
        (2047, WRONG_KEY),
        (2048, WRONG_SIGNATURE),
        (3072, WRONG_SIGNATURE),
        (4096, WRONG_SIGNATURE),
        (4097, WRONG_KEY),
        (4104, WRONG_KEY),
        (8192, WRONG_KEY),
    ] {
        for algorithm in ["RS256", "PS256"] {
            let len = usize::div_ceil(bits, 8);
            let mut modulus = vec![0xff; len];
            modulus[0] >>= len * 8 - bits;
            let jwk = json!({ "kty": "RSA", "n": BASE64URL.encode(modulus), "e": "AQAB" });
            let header = json!({ "typ": "dpop+jwt", "alg": algorithm, "jwk": jwk });
            let claims = Prover::new(1).claims(&host, TOKEN).to_string();
            let signature = BASE64URL.encode(vec![1; len]);
            let proof = format!("{}.{}.{signature}", BASE64URL.encode(header.to_string()), BASE64URL.encode(claims));
            assert_eq!(refused_for(&host, &proof).await.as_deref(), Some(said), "{bits} {algorithm}");
        }
    }
}
