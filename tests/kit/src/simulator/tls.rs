//! A certificate authority of the simulator's own, and a server certificate from it.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

/// What the server's certificate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Good for `localhost` and the address that the simulator listens on.
    Valid,
    /// The same, but run out in 2021.
    Expired,
    /// Good for another host only.
    OtherHost,
}

/// Makes the authority and the server's end; returns the authority's certificate as PEM.
pub(super) fn acceptor(tls: Tls, address: IpAddr) -> Result<(TlsAcceptor, String), Box<dyn std::error::Error>> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let name = "sarvam-simulator CA";
    authority.distinguished_name.push(DnType::CommonName, name);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let names = match tls {
        Tls::Valid | Tls::Expired => vec!["localhost".to_owned(), address.to_string()],
        Tls::OtherHost => vec!["other-host.invalid".to_owned()],
    };
    let mut server = CertificateParams::new(names)?;
    if tls == Tls::Expired {
        server.not_before = date_time_ymd(2020, 1, 1);
        server.not_after = date_time_ymd(2021, 1, 1);
    }
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &authority)?;

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der())?)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((TlsAcceptor::from(Arc::new(config)), authority.pem()))
}
