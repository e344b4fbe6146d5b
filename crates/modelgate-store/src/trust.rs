//! Whose certificates are trusted where modelgate asks over HTTPS. One answer for all clients, so that a private authority
//! that one of them trusts is trusted by the others.

use std::sync::{Arc, OnceLock};

use rustls_platform_verifier::Verifier;
use ureq::tls::{RootCerts, TlsConfig};

/// Returns what clients trust: the authorities of the platform, on Linux those of `SSL_CERT_FILE` and `SSL_CERT_DIR` where
/// these are set. A container without any falls back on Mozilla's, which are built in.
pub fn trust() -> TlsConfig {
    static ROOTS: OnceLock<RootCerts> = OnceLock::new();
    TlsConfig::builder().root_certs(ROOTS.get_or_init(roots).clone()).build()
}

fn roots() -> RootCerts {
    // Who names authorities wants these and no others, also where none of them can be read.
    let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| std::env::var_os(name).is_some());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    if named || Verifier::new(provider).is_ok() { RootCerts::PlatformVerifier } else { RootCerts::WebPki }
}
