//! TLS, where a certificate is set up. Its files are looked at again, so that one that was renewed is used without a new
//! start.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use modelgate_core::Digest;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use crate::error::ServeError;
use crate::settings::Tls;
use crate::telemetry::talk::{info, warn};

/// The certificate that callers are shown, and the files that it comes from.
#[derive(Debug)]
pub(crate) struct Certificate {
    files: Tls,
    current: ArcSwap<CertifiedKey>,
    /// What was last seen in the files, used or not: each content is told of once.
    seen: Mutex<[Digest; 2]>,
    /// What was told of the times of the current one, which pass while the service runs.
    told: Mutex<Option<&'static str>>,
}

/// What is in the two files.
struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Pem {
    fn read(files: &Tls) -> std::io::Result<Self> {
        Ok(Self { certificate: fs_err::read(&files.certificate)?, key: fs_err::read(&files.key)? })
    }

    fn digests(&self) -> [Digest; 2] {
        [Digest::of(&self.certificate), Digest::of(&self.key)]
    }

    /// Reads a chain and its key.
    fn parse(&self, files: &Tls) -> Result<CertifiedKey, String> {
        let wrong = |path: &Path, reason: String| format!("`{}`: {reason}", path.display());
        let none =
            |reason: &str| wrong(&files.certificate, format!("it holds no certificate in PEM{reason}"));
        let certificates = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| none(&format!(": {}", in_words(&error))))?;
        if certificates.is_empty() {
            return Err(none(""));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| {
            wrong(&files.key, format!("it holds no private key in PEM: {}", in_words(&error)))
        })?;
        let provider = rustls::crypto::ring::default_provider();
        CertifiedKey::from_der(certificates, key, &provider)
            .map_err(|error| wrong(&files.certificate, format!("it does not go with the key: {error}")))
    }
}

impl Certificate {
    /// Reads the certificate of the settings. One that no caller accepts any more is warned of: the service runs, since it
    /// may be behind something that does not look.
    ///
    /// # Errors
    /// Fails when a file cannot be read, or the key is another one's.
    pub(crate) fn open(files: &Tls) -> Result<Arc<Self>, ServeError> {
        let pem = Pem::read(files)?;
        let found = pem.parse(files).map_err(ServeError::Setting)?;
        let (seen, current) = (Mutex::new(pem.digests()), ArcSwap::from_pointee(found));
        let opened = Self { files: files.clone(), current, seen, told: Mutex::default() };
        opened.warn_if_outdated();
        Ok(Arc::new(opened))
    }

    /// Takes what is in the files now, for connections to come; what does not fit is warned of, once, and the one before
    /// stays. So is one whose time is over meanwhile.
    pub(crate) fn renew(&self) {
        self.take_files();
        self.warn_if_outdated();
    }

    fn take_files(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let pem = match Pem::read(&self.files) {
            Ok(pem) => pem,
            Err(error) => {
                // As unlike any content as nothing is.
                let none = [Digest::of(error.to_string().as_bytes()); 2];
                if *seen != none {
                    kept(&error.to_string());
                }
                *seen = none;
                return;
            }
        };
        let digests = pem.digests();
        if *seen == digests {
            return;
        }
        *seen = digests;
        match pem.parse(&self.files) {
            Ok(found) if found.cert == self.current.load().cert => {}
            Ok(found) => {
                info(&format!(
                    "the certificate in `{}` is new and is used",
                    self.files.certificate.display()
                ));
                self.current.store(Arc::new(found));
                *self.told.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
            Err(reason) => kept(&reason),
        }
    }

    fn warn_if_outdated(&self) {
        if let Some(reason) = self.news_of_its_time(UnixTime::now()) {
            warn(&format!("`{}`: {reason}: callers will refuse it", self.files.certificate.display()));
        }
    }

    /// Returns why the current certificate is of no use at `now`, once for each reason.
    fn news_of_its_time(&self, now: UnixTime) -> Option<&'static str> {
        let reason = self.current.load().cert.first().and_then(|first| outdated(first, now));
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *told, reason);
        reason.filter(|_| before != reason)
    }

    /// Makes what speaks TLS with the certificate.
    ///
    /// # Errors
    /// Fails where there is no version of TLS to speak.
    pub(crate) fn acceptor(self: Arc<Self>) -> Result<TlsAcceptor, ServeError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ServeError::Setting(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(self);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn kept(reason: &str) {
    warn(&format!("the certificate is not renewed, the one before is used on: {reason}"));
}

/// What is wrong with a file of PEM, without the bytes that are.
fn in_words(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => {
            "a section has no end, as in a file that was not written to its end".to_owned()
        }
        pem::Error::IllegalSectionStart { .. } => "a section has a beginning that is none".to_owned(),
        other => other.to_string(),
    }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_certificate_whose_time_ends_while_it_is_used_is_told_of_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = Tls { certificate: folder.path().join("c.pem"), key: folder.path().join("k.pem") };
        let mut parameters = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
        parameters.not_after = rcgen::date_time_ymd(2120, 1, 1);
        let key = rcgen::KeyPair::generate().expect("a key");
        let pem = parameters.self_signed(&key).expect("a certificate").pem();
        fs_err::write(&files.certificate, &pem).expect("written");
        fs_err::write(&files.key, key.serialize_pem()).expect("written");
        let certificate = Certificate::open(&files).expect("a certificate");
        let year = |year: u64| UnixTime::since_unix_epoch(Duration::from_secs((year - 1970) * 31_557_600));
        assert_eq!(certificate.news_of_its_time(year(2100)), None);
        assert_eq!(certificate.news_of_its_time(year(2121)), Some("the certificate has expired"));
        assert_eq!(certificate.news_of_its_time(year(2122)), None);
        // A clock that was wrong is put right.
        assert_eq!(certificate.news_of_its_time(year(2100)), None);
        assert_eq!(certificate.news_of_its_time(year(2121)), Some("the certificate has expired"));
        // Half of a file has no end, which is said without its bytes.
        fs_err::write(&files.certificate, &pem[..pem.len() / 2]).expect("written");
        let error = Pem::read(&files).expect("read").parse(&files).expect_err("torn");
        assert!(error.contains("a section has no end") && !error.contains('['), "{error}");
    }
}
