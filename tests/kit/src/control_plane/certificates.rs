//! Who the API server is, and who signs for service accounts.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use crate::error::{Because, Result};

/// PEM files in the control plane's folder.
pub struct Certificates {
    /// The authority that a client trusts.
    pub ca: PathBuf,
    /// The API server's certificate, for its address and `localhost`.
    pub serving: PathBuf,
    /// The key of that certificate.
    pub serving_key: PathBuf,
    /// The private key that signs service account tokens.
    pub service_account_key: PathBuf,
    /// The public key that checks them.
    pub service_account_public_key: PathBuf,
}

impl Certificates {
    /// Makes new ones, known to nobody else.
    pub fn issue(folder: &Path, address: Ipv4Addr) -> Result<Self> {
        let tried = "the control plane's certificates could not be made";

        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, "sarvam-testkit");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().because(tried)?).because(tried)?;

        let mut server = CertificateParams::new([address.to_string(), "localhost".to_owned()]).because(tried)?;
        server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server_key = KeyPair::generate().because(tried)?;
        let serving = server.signed_by(&server_key, &authority).because(tried)?;

        let service_account = KeyPair::generate().because(tried)?;

        let write = |name: &str, pem: String| {
            let path = folder.join(name);
            std::fs::write(&path, pem).because(path.display()).map(|()| path)
        };
        Ok(Self {
            ca: write("ca.pem", authority.pem())?,
            serving: write("serving.pem", serving.pem())?,
            serving_key: write("serving-key.pem", server_key.serialize_pem())?,
            service_account_key: write("service-account-key.pem", service_account.serialize_pem())?,
            service_account_public_key: write("service-account.pem", service_account.public_key_pem())?,
        })
    }
}
