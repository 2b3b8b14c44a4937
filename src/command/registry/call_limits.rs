//! How often strangers may call: what each kind of call costs the registry is limited per source and in all.

use std::net::IpAddr;

use crate::proto::limits::{
    REGISTRY_ANONYMOUS, REGISTRY_HELLOS, REGISTRY_SOURCES, REGISTRY_TOKEN_REQUESTS,
    REGISTRY_TOKENS_TRIED,
};
use crate::proto::rate_limit::{Bucket, Rate, SourceLimit, source};
use crate::proto::registry::call::OpenCall;
use crate::proto::time::Instant;

/// The counts of all kinds.
pub(super) struct CallLimits {
    hellos: Limit,
    token_requests: Limit,
    tokens_tried: Limit,
    anonymous: Limit,
}

struct Limit {
    by_source: SourceLimit,
    all: Bucket,
    all_rate: Rate,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            hellos: Limit::new(REGISTRY_HELLOS),
            token_requests: Limit::new(REGISTRY_TOKEN_REQUESTS),
            tokens_tried: Limit::new(REGISTRY_TOKENS_TRIED),
            anonymous: Limit::new(REGISTRY_ANONYMOUS),
        }
    }
}

impl CallLimits {
    /// Whether a call is within the rates.
    pub(super) fn take(&mut self, call: &OpenCall, from: IpAddr, now: Instant) -> bool {
        let limit = match call {
            OpenCall::GetCa => return true,
            OpenCall::Hello { .. } => &mut self.hellos,
            OpenCall::RequestToken { .. } => &mut self.token_requests,
            OpenCall::RequestCertificate { token, .. } if token.is_empty() => &mut self.anonymous,
            OpenCall::RequestCertificate { .. } => &mut self.tokens_tried,
        };
        limit.by_source.take(source(from), now) && limit.all.take(limit.all_rate, now)
    }
}

impl Limit {
    fn new((per_source, all_rate): (Rate, Rate)) -> Self {
        let by_source = SourceLimit::new(per_source, REGISTRY_SOURCES);
        Self { by_source, all: Bucket::default(), all_rate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> OpenCall {
        OpenCall::Hello { prefix: "1/16".parse().unwrap(), nonce: None }
    }

    fn certificate(token: &str) -> OpenCall {
        let (request, location) = (String::new(), String::new());
        OpenCall::RequestCertificate { token: token.into(), request, location }
    }

    #[test]
    fn each_kind_of_call_is_limited_for_each_source() {
        let mut limits = CallLimits::default();
        let host = |number: u8| IpAddr::from([192, 0, 2, number]);
        let token = OpenCall::RequestToken { email: "a@example.com".into() };
        for (call, (rate, _)) in [
            (hello(), REGISTRY_HELLOS),
            (token, REGISTRY_TOKEN_REQUESTS),
            (certificate("abc"), REGISTRY_TOKENS_TRIED),
            (certificate(""), REGISTRY_ANONYMOUS),
        ] {
            let allowed = (0..1_000).filter(|_| limits.take(&call, host(1), Instant::ZERO)).count();
            assert_eq!(allowed, rate.burst as usize, "{call:?}");
            assert!(limits.take(&call, host(2), Instant::ZERO), "{call:?}");
        }
        assert!((0..1_000).all(|_| limits.take(&OpenCall::GetCa, host(1), Instant::ZERO)));
    }

    #[test]
    fn all_sources_together_are_limited_too() {
        let mut limits = CallLimits::default();
        let host = |number: u32| IpAddr::from((0x0a00_0000 + number).to_be_bytes());
        let call = certificate("");
        let allowed = (0..2_000).filter(|&it| limits.take(&call, host(it), Instant::ZERO)).count();
        assert_eq!(allowed, REGISTRY_ANONYMOUS.1.burst as usize);
    }
}
