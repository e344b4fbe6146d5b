//! TLS, where a certificate is set up.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::TlsAcceptor;

use crate::error::ServeError;
use crate::settings::Tls;
use crate::telemetry::talk::warn;

/// Makes what speaks TLS with the certificate of the settings. One that no caller accepts any more is warned of: the
/// service runs, since it may be behind something that does not look.
///
/// # Errors
/// Fails when a file cannot be read, or the key is another one's.
pub(crate) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, ServeError> {
    let wrong = |path: &std::path::Path, reason: String| {
        ServeError::Setting(format!("`{}`: {reason}", path.display()))
    };
    let read = |path: &std::path::Path| fs_err::read(path);
    let certificates = CertificateDer::pem_slice_iter(&read(&tls.certificate)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(&tls.certificate, format!("it holds no certificate in PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(wrong(&tls.certificate, "it holds no certificate in PEM".to_owned()));
    }
    if let Some(reason) = certificates.first().and_then(|first| outdated(first, UnixTime::now())) {
        warn(&format!("`{}`: {reason}: callers will refuse it", tls.certificate.display()));
    }
    let key = PrivateKeyDer::from_pem_slice(&read(&tls.key)?)
        .map_err(|error| wrong(&tls.key, format!("it holds no private key in PEM: {error}")))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ServeError::Setting(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|error| wrong(&tls.certificate, format!("it does not go with the key: {error}")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Returns why a certificate is of no use at `now`: it has expired, or is not valid yet. What else may be wrong with it
/// depends on whom the caller trusts.
fn outdated(certificate: &CertificateDer<'_>, now: UnixTime) -> Option<&'static str> {
    let parsed = webpki::EndEntityCert::try_from(certificate).ok()?;
    // Its own times are looked at before anything else.
    let usage = webpki::KeyUsage::server_auth();
    let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms.all;
    match parsed.verify_for_usage(algorithms, &[], &[], now, usage, None, None) {
        Err(webpki::Error::CertExpired { .. }) => Some("the certificate has expired"),
        Err(webpki::Error::CertNotValidYet { .. }) => Some("the certificate is not valid yet"),
        _ => None,
    }
}
