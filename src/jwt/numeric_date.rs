//! Instants in claims of clients (`NumericDate`, RFC 7519 section 2).

use core::time::Duration;

use serde_json::Value;

use crate::time::Timestamp;

/// Reads an instant, which can have a fraction of a second. Returns `None` for any value but a number from the epoch
/// on.
pub(crate) fn instant(date: &Value) -> Option<Timestamp> {
    match date.as_u64() {
        Some(secs) => Some(Timestamp::from_unix_secs(secs)),
        None => Duration::try_from_secs_f64(date.as_f64()?).ok().map(|since| Timestamp::default().after(since)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn dates_are_numbers_from_the_epoch_on() {
        let millis = |date: Value| instant(&date).map(Timestamp::as_unix_millis);
        assert_eq!(millis(json!(2)), Some(2000));
        assert_eq!(millis(json!(1.0625)), Some(1062));
        assert_eq!(millis(json!(u64::MAX)), Some(u64::MAX));
        for date in [json!(-1), json!(-0.5), json!(1e300), json!("1"), json!(null), json!(true)] {
            assert_eq!(millis(date.clone()), None, "{date}");
        }
    }
}
