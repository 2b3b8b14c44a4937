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

/// How long before its end an authority's certificate is to be renewed: what it issues from then on would
/// outlast it.
pub const AUTHORITY_BEFORE_THE_END: Duration = Duration::from_secs(365 * 86_400);

/// Whether the operator should renew the authority by `now`, in words.
pub fn authority_ends(authority: &Certificate, now: UnixTime) -> Option<String> {
    let end = authority.not_after();
    (now + AUTHORITY_BEFORE_THE_END > end).then(|| {
        format!(
            "its authority's certificate ends on {end}, and the network with it: renew it with \
             `re6st registry renew-ca`"
        )
    })
}
