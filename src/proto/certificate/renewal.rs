//! When a certificate is renewed: long before its end, so that a registry may be away for weeks.

use std::time::Duration;

use super::Certificate;
use crate::proto::time::UnixTime;

/// How long before its end a certificate is renewed.
pub const BEFORE_THE_END: Duration = Duration::from_secs(30 * 86_400);

/// From when on `certificate` is to be renewed.
pub fn due(certificate: &Certificate) -> UnixTime {
    let lasts = certificate.not_after().since_1970();
    UnixTime::from_duration(lasts.saturating_sub(BEFORE_THE_END))
}
