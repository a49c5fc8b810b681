//! The header is that of the sources. `OTP_GRANT_WRITE_HEADER=1 cargo test -p otp-grant-c --test header` writes it.

#![allow(clippy::unwrap_used, clippy::panic)]

use cbindgen::{Builder, Config, DocumentationStyle, EnumConfig, Language, RenameRule, Style};

#[test]
fn the_header_is_that_of_the_sources() {
    let folder = env!("CARGO_MANIFEST_DIR");
    let config = Config {
        language: Language::C,
        style: Style::Both,
        documentation_style: DocumentationStyle::C99,
        cpp_compat: true,
        no_includes: true,
        sys_includes: ["stddef.h", "stdint.h", "string.h"].map(str::to_owned).to_vec(),
        usize_is_size_t: true,
        line_length: 110,
        enumeration: EnumConfig {
            rename_variants: RenameRule::ScreamingSnakeCase,
            prefix_with_name: true,
            ..EnumConfig::default()
        },
        ..Config::default()
    };
    let mut builder = Builder::new()
        .with_config(config)
        .with_header(HEADER)
        .with_trailer(TRAILER)
        .with_src(format!("{folder}/src/fault.rs"))
        .with_src(format!("{folder}/src/types.rs"))
        .with_src(format!("{folder}/src/abi.rs"))
        .with_src(format!("{folder}/src/tokens.rs"))
        .with_src(format!("{folder}/src/support.rs"))
        // No function has them in its signature: C can pass any number.
        .include_item("Part")
        .include_item("Number")
        .include_item("Failure")
        .include_item("Verdict");
    for (name, in_c) in [
        ("ABI_VERSION", "OTP_GRANT_ABI_VERSION"),
        ("EngineHandle", "otp_grant_engine"),
        ("ExchangeHandle", "otp_grant_exchange"),
        ("Bytes", "otp_grant_bytes"),
        ("Header", "otp_grant_header"),
        ("Request", "otp_grant_request"),
        ("ApiRequest", "otp_grant_api_request"),
        ("Record", "otp_grant_record"),
        ("CodeToVerify", "otp_grant_code"),
        ("Options", "otp_grant_options"),
        ("Status", "otp_grant_status"),
        ("Kind", "otp_grant_kind"),
        ("Part", "otp_grant_part"),
        ("Number", "otp_grant_number"),
        ("Failure", "otp_grant_failure"),
        ("Verdict", "otp_grant_verdict"),
    ] {
        builder = builder.rename_item(name, in_c);
    }
    let mut header = Vec::new();
    builder.generate().unwrap().write(&mut header);
    let header = String::from_utf8(header).unwrap();
    let file = format!("{folder}/include/otp_grant.h");
    if std::env::var_os("OTP_GRANT_WRITE_HEADER").is_some() {
        std::fs::write(&file, &header).unwrap();
    }
    assert!(std::fs::read_to_string(&file).unwrap_or_default() == header, "{file} is not that of the sources");
}

const HEADER: &str = "\
// otp-grant for C: one-time-code logins, OAuth 2.0 and OpenID Connect tokens.
//
// This file is made from the sources. Do not edit it.
//
// An engine is made from a JSON document. `otp_grant_begin` begins to answer a request, and gives an exchange. An
// exchange is at a question, which the host answers, or it is over. Each answer gives the exchange its next handle:
//
//     otp_grant_exchange exchange = 0;
//     otp_grant_status status = otp_grant_begin(engine, &request, &exchange);
//     if (status == OTP_GRANT_STATUS_NOT_AN_ENDPOINT) ... answer 404 and return ...
//     while (status == OTP_GRANT_STATUS_OK && otp_grant_exchange_kind(exchange) != OTP_GRANT_KIND_REPLY) {
//         switch (otp_grant_exchange_kind(exchange)) {
//         case OTP_GRANT_KIND_LOAD: status = otp_grant_answer_record(exchange, ..., &exchange); break;
//         ...
//         default: status = otp_grant_refuse(exchange, &exchange);
//         }
//     }
//     if (status == OTP_GRANT_STATUS_OK) ... write the reply out ...
//     else ... answer 503 ...
//     otp_grant_exchange_free(exchange);
//
// Memory. The caller owns the bytes that it passes in, and the library reads them during the call alone. The library
// owns the bytes that it passes out. They stay as they are until their exchange is freed. There is one function that
// frees an engine, and one that frees an exchange. Nothing else is to be freed.
//
// Threads. Every function can be called on any thread. An engine is for any number of threads at once. An exchange is
// for one thread at a time, and can move between threads. A second call at the same time returns BUSY.
//
// Errors. Every function that can fail returns a status, and `otp_grant_last_error` has a text for it. A handle that
// was freed or answered, NULL, an answer of the wrong kind and a number that means nothing are errors, and change
// nothing. What the library can't find out is a pointer to memory that is not there, or a length that is too large:
// that is for the caller to guarantee, also for the bytes of an exchange that was freed.

#ifndef OTP_GRANT_H
#define OTP_GRANT_H
";

const TRAILER: &str = "\
// The bytes of a text that ends with a zero byte. NULL is `{NULL, 0}`.
static inline otp_grant_bytes otp_grant_text(const char *text)
{
    otp_grant_bytes bytes = {(const uint8_t *)text, text ? strlen(text) : 0};
    return bytes;
}

#endif // OTP_GRANT_H";
