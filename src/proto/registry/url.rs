//! Where a registry is: `http://HOST[:PORT][/PATH]`, or the same with `https://`.

use std::fmt;
use std::str::FromStr;

/// The address of a registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegistryUrl {
    /// Whether TLS is spoken there.
    pub tls: bool,
    /// A name or an address, without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// What comes before `/method`: empty, or begins with a slash and does not end with one.
    pub path: String,
}

/// Why a text is not the address of a registry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UrlError {
    /// Another scheme.
    #[error("a registry's address begins with http:// or https://")]
    Scheme,
    /// No host, or one with characters that no host has.
    #[error("a registry's address is http://HOST[:PORT][/PATH]")]
    Host,
    /// Not 1 to 65535.
    #[error("the port in a registry's address is a number from 1 to 65535")]
    Port,
}

impl RegistryUrl {
    /// What the Host header says.
    pub fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == self.usual_port() { host } else { format!("{host}:{}", self.port) }
    }
}

impl RegistryUrl {
    const fn usual_port(&self) -> u16 {
        if self.tls { 443 } else { 80 }
    }
}

impl fmt::Display for RegistryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}/", self.authority(), self.path)
    }
}

impl FromStr for RegistryUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (tls, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(UrlError::Scheme),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let visible = |c: char| c.is_ascii_graphic() && !matches!(c, '@' | '?' | '#' | '\\');
        if !authority.chars().all(visible) || !path.chars().all(visible) {
            return Err(UrlError::Host);
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(bracketed) => bracketed.split_once(']').ok_or(UrlError::Host)?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        // Brackets are for addresses with colons, and for nothing else.
        let is_bracketed = authority.starts_with('[');
        if host.is_empty() || host.contains(['[', ']']) || host.contains(':') != is_bracketed {
            return Err(UrlError::Host);
        }
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => {
                if tls {
                    443
                } else {
                    80
                }
            }
            None => return Err(UrlError::Host),
            Some(port) => port.parse().ok().filter(|&port| port != 0).ok_or(UrlError::Port)?,
        };
        Ok(Self { tls, host: host.into(), port, path: path.trim_end_matches('/').into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_forms_are_read() {
        for (text, host, port, path, shown) in [
            ("http://re6st.example/", "re6st.example", 80, "", "http://re6st.example/"),
            ("http://10.0.0.1:8080", "10.0.0.1", 8080, "", "http://10.0.0.1:8080/"),
            ("http://[::1]:81/a/b/", "::1", 81, "/a/b", "http://[::1]:81/a/b/"),
            ("https://re6st.example", "re6st.example", 443, "", "https://re6st.example/"),
            ("https://[::1]:80/", "::1", 80, "", "https://[::1]:80/"),
        ] {
            let url: RegistryUrl = text.parse().unwrap();
            assert_eq!((url.host.as_str(), url.port, url.path.as_str()), (host, port, path));
            assert_eq!(url.to_string(), shown);
            assert_eq!(shown.parse(), Ok(url));
        }
    }

    #[test]
    fn what_is_no_address_says_why() {
        let error = |text: &str| text.parse::<RegistryUrl>().unwrap_err();
        assert_eq!(error("ftp://host/"), UrlError::Scheme);
        assert_eq!(error("host"), UrlError::Scheme);
        assert_eq!(error("http:///path"), UrlError::Host);
        assert_eq!(error("http://a b/"), UrlError::Host);
        assert_eq!(error("http://user@host/"), UrlError::Host);
        assert_eq!(error("http://[::1"), UrlError::Host);
        assert_eq!(error("http://[::1]x"), UrlError::Host);
        assert_eq!(error("http://[[]"), UrlError::Host);
        assert_eq!(error("http://[name]"), UrlError::Host);
        assert_eq!(error("http://host:0/"), UrlError::Port);
        assert_eq!(error("http://host:99999/"), UrlError::Port);
    }
}
