//! Where a request comes from: what its headers say of proxies and of browsers.
//!
//! Every line of a header counts, as bytes: a header that is present but cannot be read is never taken for
//! an absent one.

use std::net::IpAddr;

/// The headers that tell where a request comes from: every line of each, in order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OriginHeaders<'a> {
    /// `X-Forwarded-For`.
    pub forwarded_for: Vec<&'a [u8]>,
    /// `X-Forwarded-Proto`.
    pub forwarded_proto: Vec<&'a [u8]>,
    /// `Forwarded`, `X-Real-IP` or `Via` is present: a proxy relayed the request.
    pub is_relayed: bool,
    /// `Host`.
    pub host: Vec<&'a [u8]>,
    /// `Origin`.
    pub origin: Vec<&'a [u8]>,
    /// `Referer`.
    pub referer: Vec<&'a [u8]>,
    /// `Sec-Fetch-Site`.
    pub fetch_site: Vec<&'a [u8]>,
}

/// Why a browser's request is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BrowserError {
    /// The Host header is a name that DNS may point anywhere (DNS rebinding).
    #[error(
        "the request is for a host name that is not authorized; use the registry's address, or name it \
         with --authorized-host"
    )]
    Host,
    /// Another site's page made the request (CSRF).
    #[error("the request comes from another site's page")]
    Site,
}

impl OriginHeaders<'_> {
    /// Whether everybody for whom proxies forwarded the request is `authorized`. A request that was relayed
    /// without saying for whom is nobody's.
    pub fn is_forwarded_for(&self, authorized: impl Fn(&IpAddr) -> bool) -> bool {
        if self.forwarded_for.is_empty() {
            return !self.is_relayed;
        }
        self.hops().all(|hop| hop.is_some_and(|address| authorized(&address)))
    }

    /// The client's address: the last one that is no proxy's. What is left of it was written by the client
    /// itself and counts for nothing.
    pub fn client(&self, source: IpAddr, is_proxy: impl Fn(&IpAddr) -> bool) -> IpAddr {
        if !is_proxy(&source) {
            return source;
        }
        let hops: Vec<Option<IpAddr>> = self.hops().collect();
        let mut readable = hops.into_iter().rev().map_while(|hop| hop);
        readable.find(|address| !is_proxy(address)).unwrap_or(source)
    }

    /// Whether the proxy took the request over TLS.
    pub fn is_forwarded_over_tls(&self) -> bool {
        let is_https = |line: &&[u8]| line.trim_ascii().eq_ignore_ascii_case(b"https");
        !self.forwarded_proto.is_empty() && self.forwarded_proto.iter().all(is_https)
    }

    /// The addresses of all lines; `None` for what is no address.
    fn hops(&self) -> impl Iterator<Item = Option<IpAddr>> {
        let words = self.forwarded_for.iter().flat_map(|line| line.split(|&byte| byte == b','));
        words.map(|word| {
            let word = str::from_utf8(word.trim_ascii()).ok()?;
            word.parse::<IpAddr>().ok().map(|address| address.to_canonical())
        })
    }

    /// Refuses what a browser may have been made to send by another site's page. Clients that are no browsers
    /// need not send any of these headers.
    pub fn check_browser(&self, authorized_hosts: &[String]) -> Result<(), BrowserError> {
        if !self.host.is_empty() && !self.is_for_authorized_host(authorized_hosts) {
            return Err(BrowserError::Host);
        }
        // "none": the user typed the address.
        if !self.is_from_own_page(&[b"same-origin", b"none"]) {
            return Err(BrowserError::Site);
        }
        Ok(())
    }

    /// Whether Host is one address, `localhost` or an authorized name. Under any other name, another site's
    /// scripts may ask here.
    pub fn is_for_authorized_host(&self, authorized_hosts: &[String]) -> bool {
        let [host] = self.host[..] else { return false };
        let Ok(host) = str::from_utf8(host) else { return false };
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
            _ => host,
        };
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        name.eq_ignore_ascii_case("localhost")
            || bare.parse::<IpAddr>().is_ok()
            || authorized_hosts.iter().any(|authorized| authorized.eq_ignore_ascii_case(name))
    }

    /// Whether a form that was posted comes from a page of ours.
    pub fn is_own_form(&self) -> bool {
        self.is_from_own_page(&[b"same-origin"])
    }

    fn is_from_own_page(&self, sites: &[&[u8]]) -> bool {
        let place = self.host.first().copied().unwrap_or_default();
        let is_here = |line: &&[u8]| {
            let line = str::from_utf8(line).ok();
            let rest = line.and_then(|line| Some(line.split_once("://")?.1));
            rest.is_some_and(|rest| {
                let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
                authority.as_bytes().eq_ignore_ascii_case(place)
            })
        };
        self.host.len() <= 1
            && self.origin.iter().all(is_here)
            && self.referer.iter().all(is_here)
            && self.fetch_site.iter().all(|site| sites.contains(site))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_authorized(address: &IpAddr) -> bool {
        ["127.0.0.1", "::1", "192.0.2.1"].iter().any(|it| it.parse() == Ok(*address))
    }

    fn forwarded<'a>(lines: &[&'a [u8]]) -> OriginHeaders<'a> {
        OriginHeaders { forwarded_for: lines.to_vec(), ..OriginHeaders::default() }
    }

    #[test]
    fn every_forwarded_address_must_be_authorized() {
        let lines: &[&[&[u8]]] = &[
            &[],
            &[b"127.0.0.1"],
            &[b" ::1 ,192.0.2.1"],
            &[b"::1", b"192.0.2.1"],
            &[b"::ffff:127.0.0.1"],
        ];
        for lines in lines {
            assert!(forwarded(lines).is_forwarded_for(is_authorized), "{lines:?}");
        }
        let lines: &[&[&[u8]]] = &[
            &[b""],
            &[b"\xff"],
            &[b"\xff, 127.0.0.1"],
            &[b"127.0.0.1,"],
            &[b"127.0.0.1", b"203.0.113.9"],
            &[b"127.0.0.1", b"\xff"],
            &[b"203.0.113.9, 127.0.0.1"],
            &[b"unknown"],
            &[b"127.0.0.1:80"],
        ];
        for lines in lines {
            assert!(!forwarded(lines).is_forwarded_for(is_authorized), "{lines:?}");
        }
    }

    #[test]
    fn relayed_request_must_name_its_client() {
        let mut headers = OriginHeaders { is_relayed: true, ..OriginHeaders::default() };
        assert!(!headers.is_forwarded_for(is_authorized));
        headers.forwarded_for.push(b"127.0.0.1");
        assert!(headers.is_forwarded_for(is_authorized));
    }

    #[test]
    fn client_is_the_last_address_that_is_no_proxy() {
        let (proxy, other) = ("127.0.0.1".parse().unwrap(), "203.0.113.1".parse().unwrap());
        for (lines, client) in [
            (&[][..], "127.0.0.1"),
            (&[&b"203.0.113.9"[..]], "203.0.113.9"),
            (&[b"198.51.100.7, 203.0.113.9, 192.0.2.1"], "203.0.113.9"),
            (&[b"198.51.100.7", b"203.0.113.9"], "203.0.113.9"),
            (&[b"\xff, 203.0.113.9"], "203.0.113.9"),
            (&[b"198.51.100.7, \xff"], "127.0.0.1"),
            (&[b"198.51.100.7", b"\xff, ::1"], "127.0.0.1"),
        ] {
            let headers = forwarded(lines);
            assert_eq!(headers.client(proxy, is_authorized).to_string(), client, "{lines:?}");
            assert_eq!(headers.client(other, is_authorized), other, "no proxy is there");
        }
    }

    #[test]
    fn host_must_be_an_address_or_authorized() {
        let names = ["re6st.example".to_owned()];
        let with = |hosts: &[&'static str]| OriginHeaders {
            host: hosts.iter().map(|host| host.as_bytes()).collect(),
            ..OriginHeaders::default()
        };
        for host in
            ["127.0.0.1", "127.0.0.1:80", "[::1]:8080", "[::1]", "localhost:80", "localhost"]
        {
            assert!(with(&[host]).is_for_authorized_host(&[]), "{host}");
        }
        assert!(with(&["RE6ST.example:80"]).is_for_authorized_host(&names));
        for host in ["", "evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.x"]
        {
            assert!(!with(&[host]).is_for_authorized_host(&names), "{host}");
            assert_eq!(with(&[host]).check_browser(&names), Err(BrowserError::Host));
        }
        assert!(!with(&["127.0.0.1", "127.0.0.1"]).is_for_authorized_host(&names));
        assert_eq!(OriginHeaders::default().check_browser(&names), Ok(()), "HTTP/1.0");
    }

    #[test]
    fn other_sites_pages_are_refused() {
        let here = || OriginHeaders { host: vec![b"127.0.0.1"], ..OriginHeaders::default() };
        let ours: &[OriginHeaders<'_>] = &[
            here(),
            OriginHeaders { origin: vec![b"http://127.0.0.1"], ..here() },
            OriginHeaders { referer: vec![b"http://127.0.0.1/web/nodes?x"], ..here() },
            OriginHeaders { fetch_site: vec![b"same-origin"], ..here() },
            OriginHeaders { fetch_site: vec![b"none"], ..here() },
        ];
        for headers in ours {
            assert_eq!(headers.check_browser(&[]), Ok(()), "{headers:?}");
            assert_eq!(headers.is_own_form(), headers.fetch_site != [b"none"]);
        }
        let others: &[OriginHeaders<'_>] = &[
            OriginHeaders { origin: vec![b"http://evil.example"], ..here() },
            OriginHeaders { origin: vec![b"null"], ..here() },
            OriginHeaders { origin: vec![b"\xff"], ..here() },
            OriginHeaders { origin: vec![b"http://127.0.0.1", b"http://evil.example"], ..here() },
            OriginHeaders { referer: vec![b"http://evil.example/127.0.0.1"], ..here() },
            OriginHeaders { fetch_site: vec![b"cross-site"], ..here() },
            OriginHeaders { fetch_site: vec![b"same-site"], ..here() },
            OriginHeaders { fetch_site: vec![b"none\xff"], ..here() },
        ];
        for headers in others {
            assert_eq!(headers.check_browser(&[]), Err(BrowserError::Site), "{headers:?}");
            assert!(!headers.is_own_form(), "{headers:?}");
        }
    }
}
