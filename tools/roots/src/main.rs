//! Prints Mozilla's root certificates as PEM: what the image trusts, because no system lies below it.
//!
//! From a crate rather than from the machine that builds, so that `Cargo.lock` fixes them like all else in the image.

use pem::{EncodeConfig, LineEnding, Pem};
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

fn main() {
    for certificate in TLS_SERVER_ROOT_CERTS {
        let pem = Pem::new("CERTIFICATE", certificate.as_ref());
        print!("{}", pem::encode_config(&pem, EncodeConfig::new().set_line_ending(LineEnding::LF)));
    }
}
