//! Signatures of requests that no template can compute: those of Alibaba Cloud and of Tencent Cloud.

use std::time::{SystemTime, UNIX_EPOCH};

use otp_grant::time::Timestamp;
use reqwest::header::HeaderMap;
use ring::{digest, hmac};

use crate::calendar::Rfc3339;
use crate::config::{Scheme, Secret};
use crate::delivery::parcel::hex;

/// A key that signs requests.
#[derive(Debug)]
pub(super) struct Signer {
    pub(super) scheme: Scheme,
    pub(super) id: Secret,
    pub(super) secret: Secret,
}

/// The request to sign, as it is sent.
pub(super) struct Unsigned<'a> {
    pub(super) method: &'a str,
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    /// Encoded, and sorted by name.
    pub(super) query: &'a str,
    /// Without the headers that the signature adds.
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a str,
    pub(super) now: SystemTime,
    /// A random text that is used once.
    pub(super) nonce: &'a str,
}

/// Headers to add: their names in lower case, and their values.
pub(super) type Added = Vec<(&'static str, String)>;

impl Signer {
    /// The headers that sign a request.
    pub(super) fn sign(&self, request: &Unsigned<'_>) -> Added {
        match self.scheme {
            Scheme::AlibabaAcs3 => self.sign_acs3(request),
            Scheme::TencentTc3 => self.sign_tc3(request),
        }
    }

    /// ACS3-HMAC-SHA256, "V3 request structure and signature" of Alibaba Cloud.
    fn sign_acs3(&self, request: &Unsigned<'_>) -> Added {
        let payload = sha256(request.body);
        let mut added: Added = vec![
            ("x-acs-content-sha256", payload.clone()),
            ("x-acs-date", date_and_time(request.now)),
            ("x-acs-signature-nonce", request.nonce.to_owned()),
        ];
        let mut signed: Vec<(&str, &str)> = vec![("host", request.host)];
        signed.extend(added.iter().map(|(name, value)| (*name, value.as_str())));
        let given = request.headers.iter().filter(|(name, _)| {
            let name = name.as_str();
            name == "content-type" || name.starts_with("x-acs-")
        });
        signed.extend(given.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))));
        let (canonical, names) = canonical_request(request, signed, &payload);
        let to_sign = format!("ACS3-HMAC-SHA256\n{}", sha256(&canonical));
        let signature = hex(mac(self.secret.expose().as_bytes(), &to_sign).as_ref());
        let id = self.id.expose();
        let value = format!("ACS3-HMAC-SHA256 Credential={id},SignedHeaders={names},Signature={signature}");
        added.push(("authorization", value));
        added
    }

    /// TC3-HMAC-SHA256, "Signature v3" of Tencent Cloud.
    fn sign_tc3(&self, request: &Unsigned<'_>) -> Added {
        let seconds = seconds_of(request.now);
        let moment = date_and_time(request.now);
        let (date, _) = moment.split_once('T').unwrap_or((&moment, ""));
        // The name of the service is the first label of its host.
        let service = request.host.split('.').next().unwrap_or_default();
        let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
        let action = header("x-tc-action").map(str::to_ascii_lowercase);
        let mut signed: Vec<(&str, &str)> = vec![("host", request.host)];
        signed.extend(header("content-type").map(|value| ("content-type", value)));
        signed.extend(action.as_deref().map(|value| ("x-tc-action", value)));
        let (canonical, names) = canonical_request(request, signed, &sha256(request.body));
        let scope = format!("{date}/{service}/tc3_request");
        let to_sign = format!("TC3-HMAC-SHA256\n{seconds}\n{scope}\n{}", sha256(&canonical));
        let key = zeroize::Zeroizing::new(format!("TC3{}", self.secret.expose()));
        let key = mac(key.as_bytes(), date);
        let key = mac(mac(key.as_ref(), service).as_ref(), "tc3_request");
        let signature = hex(mac(key.as_ref(), &to_sign).as_ref());
        let id = self.id.expose();
        let value = format!("TC3-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}");
        vec![("x-tc-timestamp", seconds.to_string()), ("authorization", value)]
    }
}

/// The canonical request, which both schemes write in the same way, and the names of its headers.
fn canonical_request(request: &Unsigned<'_>, mut signed: Vec<(&str, &str)>, payload: &str) -> (String, String) {
    signed.sort_unstable();
    let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let headers: String = signed.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let Unsigned { method, path, query, .. } = request;
    (format!("{method}\n{path}\n{query}\n{headers}\n{names}\n{payload}"), names)
}

fn mac(key: &[u8], message: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes())
}

fn sha256(text: &str) -> String {
    hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

fn seconds_of(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn date_and_time(time: SystemTime) -> String {
    Rfc3339(Timestamp::from_unix_secs(seconds_of(time))).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(given: &[(&'static str, &'static str)]) -> HeaderMap {
        given.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn signer(scheme: Scheme, id: &str, secret: &str) -> Signer {
        Signer { scheme, id: Secret::new(id.to_owned()), secret: Secret::new(secret.to_owned()) }
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn authorization(added: &Added) -> &str {
        &added.iter().find(|(name, _)| *name == "authorization").unwrap().1
    }

    #[test]
    fn the_example_of_alibaba_cloud_is_signed_as_published() {
        let added = signer(Scheme::AlibabaAcs3, "YourAccessKeyId", "YourAccessKeySecret").sign(&Unsigned {
            method: "POST",
            host: "ecs.cn-shanghai.aliyuncs.com",
            path: "/",
            query: "ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai",
            headers: &headers(&[("x-acs-action", "RunInstances"), ("x-acs-version", "2014-05-26")]),
            body: "",
            // 2023-10-26T10:22:32Z
            now: at(1_698_315_752),
            nonce: "3156853299f313e23d1673dc12e1703d",
        });
        assert!(added.contains(&("x-acs-date", "2023-10-26T10:22:32Z".to_owned())), "{added:?}");
        let expected = "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;x-acs-content-sha256;\
             x-acs-date;x-acs-signature-nonce;x-acs-version,\
             Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0";
        assert_eq!(authorization(&added), expected);
    }

    #[test]
    fn the_example_of_tencent_cloud_is_signed_as_published() {
        let stars = "*".repeat(32);
        let added = signer(Scheme::TencentTc3, &format!("AKID{stars}"), &stars).sign(&Unsigned {
            method: "POST",
            host: "cvm.tencentcloudapi.com",
            path: "/",
            query: "",
            headers: &headers(&[
                ("content-type", "application/json; charset=utf-8"),
                ("x-tc-action", "DescribeInstances"),
                ("x-tc-version", "2017-03-12"),
            ]),
            body: r#"{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}"#,
            now: at(1_551_113_065),
            nonce: "",
        });
        assert!(added.contains(&("x-tc-timestamp", "1551113065".to_owned())), "{added:?}");
        let expected = format!(
            "TC3-HMAC-SHA256 Credential=AKID{stars}/2019-02-25/cvm/tc3_request, \
             SignedHeaders=content-type;host;x-tc-action, \
             Signature=10b1a37a7301a02ca19a647ad722d5e43b4b3cff309d421d85b46093f6ab6c4f"
        );
        assert_eq!(authorization(&added), expected);
    }
}
