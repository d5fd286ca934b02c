//! How the remote is reached: the operator's own settings, checked before the first call.

use std::net::IpAddr;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, pem::PemObject};
use url::Url;

/// Where the remote is, unless told otherwise.
pub const DEFAULT_URL: &str = "https://apps.sarvam.ai/api/app-authoring";

const SHORTEST_CALL: Duration = Duration::from_millis(100);
const LONGEST_CALL: Duration = Duration::from_mins(1);

/// How the remote is reached.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `--remote-url`: what all paths of the API begin with, such as [`DEFAULT_URL`].
    pub base_url: String,
    /// `--allow-http-loopback`: plain HTTP is allowed to this machine, for a simulator.
    pub allow_http_loopback: bool,
    /// `--remote-ca-file`: certificates in PEM that are trusted beside those of the operating system.
    pub extra_ca_pem: Option<Vec<u8>>,
    /// `--call-timeout`: the longest one call takes, from the first packet to the last byte of the body.
    pub call_timeout: Duration,
    /// `--use-proxy`: go through the proxy that `HTTPS_PROXY` and `NO_PROXY` name. Never for plain HTTP.
    pub use_proxy: bool,
}

/// A setting that can't be used: which flag, what is wrong, what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSetting {
    /// The base URL can't be parsed, or has no host.
    #[error("--remote-url is not an absolute URL; write it like {DEFAULT_URL}")]
    Url,
    /// The base URL is not https.
    #[error(
        "--remote-url must begin with https://, because the API key is sent there; http:// is for a simulator on this \
         machine, such as http://127.0.0.1:8080 together with --allow-http-loopback"
    )]
    NotHttps,
    /// The base URL has a user or a password.
    #[error("--remote-url must not have a user or password in it; the API key is all that is sent")]
    UserInfo,
    /// The base URL has a query or a fragment.
    #[error("--remote-url must end with its path; take away what follows '?' or '#'")]
    QueryOrFragment,
    /// The extra certificates are none.
    #[error("--remote-ca-file has no valid certificate; it must be PEM text with at least one BEGIN CERTIFICATE")]
    Certificates,
    /// The timeout is out of bounds.
    #[error("--call-timeout must be from 100ms to 60s, such as 10s")]
    CallTimeout,
    /// The TLS library has nothing to trust, or the extra certificates don't suit it.
    #[error(
        "TLS can't be set up; check that this system has CA certificates installed, and what --remote-ca-file holds"
    )]
    Tls,
}

impl Settings {
    /// The base URL without a slash at its end.
    pub(super) fn url(&self) -> Result<Url, InvalidSetting> {
        let mut url = Url::parse(&self.base_url).map_err(|_| InvalidSetting::Url)?;
        match url.scheme() {
            "https" => {}
            "http" if self.allow_http_loopback && is_loopback(&url) => {}
            _ => return Err(InvalidSetting::NotHttps),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidSetting::UserInfo);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidSetting::QueryOrFragment);
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(url)
    }

    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, InvalidSetting> {
        let Some(pem) = &self.extra_ca_pem else {
            return Ok(Vec::new());
        };
        match CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>() {
            Ok(certificates) if !certificates.is_empty() => Ok(certificates),
            _ => Err(InvalidSetting::Certificates),
        }
    }

    pub(super) fn total_timeout(&self) -> Result<Duration, InvalidSetting> {
        if (SHORTEST_CALL..=LONGEST_CALL).contains(&self.call_timeout) {
            Ok(self.call_timeout)
        } else {
            Err(InvalidSetting::CallTimeout)
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(base_url: &str, allow_http_loopback: bool) -> Settings {
        Settings {
            base_url: base_url.into(),
            allow_http_loopback,
            extra_ca_pem: None,
            call_timeout: Duration::from_secs(10),
            use_proxy: false,
        }
    }

    #[test]
    fn only_https_or_loopback_is_a_base_url() {
        use InvalidSetting::{NotHttps, QueryOrFragment, Url, UserInfo};
        for (url, loopback, expected) in [
            (DEFAULT_URL, false, Ok(DEFAULT_URL)),
            ("https://example.com", false, Ok("https://example.com/")),
            ("https://example.com/a//", false, Ok("https://example.com/a")),
            ("http://127.0.0.1:8080", true, Ok("http://127.0.0.1:8080/")),
            ("http://[::1]:8080/x/", true, Ok("http://[::1]:8080/x")),
            ("http://localhost", true, Ok("http://localhost/")),
            ("http://127.0.0.1:8080", false, Err(NotHttps)),
            ("http://example.com", true, Err(NotHttps)),
            ("http://localhost.example.com", true, Err(NotHttps)),
            ("http://127.0.0.1.example.com", true, Err(NotHttps)),
            ("http://10.0.0.1", true, Err(NotHttps)),
            ("ftp://127.0.0.1", true, Err(NotHttps)),
            ("unix:/run/x", true, Err(NotHttps)),
            ("example.com", true, Err(Url)),
            ("https://", false, Err(Url)),
            ("", false, Err(Url)),
            ("https://u@example.com", false, Err(UserInfo)),
            ("https://:p@example.com", false, Err(UserInfo)),
            ("https://example.com?a", false, Err(QueryOrFragment)),
            ("https://example.com#a", false, Err(QueryOrFragment)),
        ] {
            let read = settings(url, loopback).url().map(String::from);
            assert_eq!(read, expected.map(str::to_owned), "{url}");
        }
    }

    #[test]
    fn a_timeout_has_bounds() {
        for (timeout, valid) in [
            (Duration::ZERO, false),
            (Duration::from_millis(99), false),
            (Duration::from_millis(100), true),
            (Duration::from_mins(1), true),
            (Duration::MAX, false),
        ] {
            let read = Settings { call_timeout: timeout, ..settings(DEFAULT_URL, false) }.total_timeout();
            assert_eq!(read.is_ok(), valid, "{timeout:?}");
        }
    }

    #[test]
    fn extra_certificates_are_pem() {
        for pem in ["", "no certificate", "-----BEGIN CERTIFICATE-----\n?\n"] {
            let read = Settings { extra_ca_pem: Some(pem.into()), ..settings(DEFAULT_URL, false) }.certificates();
            assert_eq!(read.err(), Some(InvalidSetting::Certificates), "{pem}");
        }
    }

    #[test]
    fn what_is_wrong_names_the_flag_and_repeats_no_value() {
        for (url, flag) in [
            ("hunter2", "--remote-url"),
            ("http://hunter2.example.com", "--allow-http-loopback"),
            ("https://u:hunter2@example.com", "--remote-url"),
            ("https://example.com?key=hunter2", "--remote-url"),
        ] {
            let message = settings(url, false).url().unwrap_err().to_string();
            assert!(message.contains(flag), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
