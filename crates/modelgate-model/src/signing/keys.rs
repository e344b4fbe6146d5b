//! ECDSA keys on the three curves of the form, each with the hash that goes with it: SHA-256, SHA-384, SHA-512.

use modelgate_core::Digest;
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _, EncodePublicKey as _, LineEnding};

use super::SigningError;

/// A private key.
pub struct PrivateKey(Private);

/// A public key.
#[derive(Clone)]
pub struct PublicKey(Public);

enum Private {
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    P521(p521::ecdsa::SigningKey),
}

#[derive(Clone)]
enum Public {
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    P521(p521::ecdsa::VerifyingKey),
}

const EC_PRIVATE: &str = "-----BEGIN EC PRIVATE KEY-----";

impl PrivateKey {
    /// Reads a PEM key: PKCS #8 (`BEGIN PRIVATE KEY`) or SEC 1 (`BEGIN EC PRIVATE KEY`), on the curve P-256, P-384 or P-521.
    ///
    /// # Errors
    /// Says why it cannot be used; never what it holds.
    pub fn from_pem(text: &str) -> Result<Self, SigningError> {
        if text.contains("ENCRYPTED") {
            let what =
                "it is encrypted; `openssl pkcs8 -topk8 -nocrypt` makes one that is not, for a secret store";
            return Err(SigningError::Key(what.to_owned()));
        }
        if text.contains("BEGIN PUBLIC KEY") {
            return Err(SigningError::Key("it is a public key; signing needs the private one".to_owned()));
        }
        // `openssl ecparam -genkey` writes the curve's name in front of the key.
        let key = match text.find(EC_PRIVATE) {
            Some(start) => sec1(&text[start..]),
            None => pkcs8(text),
        };
        let wrong = "expected a PEM file with an ECDSA key on P-256, P-384 or P-521, as \
                     `openssl ecparam -name prime256v1 -genkey` makes it";
        key.map(Self).ok_or_else(|| SigningError::Key(wrong.to_owned()))
    }

    /// Returns its public key.
    pub fn public(&self) -> PublicKey {
        PublicKey(match &self.0 {
            Private::P256(key) => Public::P256(*key.verifying_key()),
            Private::P384(key) => Public::P384(*key.verifying_key()),
            Private::P521(key) => Public::P521(*key.verifying_key()),
        })
    }

    /// Returns the signature of `message` in DER.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let failed = |_| SigningError::Key("it signs nothing".to_owned());
        Ok(match &self.0 {
            Private::P256(key) => {
                let signature: p256::ecdsa::Signature = key.try_sign(message).map_err(failed)?;
                signature.to_der().as_bytes().to_vec()
            }
            Private::P384(key) => {
                let signature: p384::ecdsa::Signature = key.try_sign(message).map_err(failed)?;
                signature.to_der().as_bytes().to_vec()
            }
            Private::P521(key) => {
                let signature: p521::ecdsa::Signature = key.try_sign(message).map_err(failed)?;
                signature.to_der().as_bytes().to_vec()
            }
        })
    }

    #[cfg(test)]
    pub(super) fn from_seed(seed: u8) -> Self {
        Self(Private::P256(p256::ecdsa::SigningKey::from_slice(&[seed; 32]).expect("a key")))
    }
}

fn sec1(text: &str) -> Option<Private> {
    let p256 = p256::SecretKey::from_sec1_pem(text).ok();
    if let Some(key) = p256 {
        return Some(Private::P256(key.into()));
    }
    if let Ok(key) = p384::SecretKey::from_sec1_pem(text) {
        return Some(Private::P384(key.into()));
    }
    p521::SecretKey::from_sec1_pem(text).ok().map(|key| Private::P521(key.into()))
}

fn pkcs8(text: &str) -> Option<Private> {
    if let Ok(key) = p256::SecretKey::from_pkcs8_pem(text) {
        return Some(Private::P256(key.into()));
    }
    if let Ok(key) = p384::SecretKey::from_pkcs8_pem(text) {
        return Some(Private::P384(key.into()));
    }
    p521::SecretKey::from_pkcs8_pem(text).ok().map(|key| Private::P521(key.into()))
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("PublicKey").field(&self.hint().unwrap_or_default()).finish()
    }
}

impl PublicKey {
    /// Reads a PEM key (`BEGIN PUBLIC KEY`) on the curve P-256, P-384 or P-521.
    ///
    /// # Errors
    /// Says why it cannot be used.
    pub fn from_pem(text: &str) -> Result<Self, SigningError> {
        if let Ok(key) = p256::ecdsa::VerifyingKey::from_public_key_pem(text) {
            return Ok(Self(Public::P256(key)));
        }
        if let Ok(key) = p384::ecdsa::VerifyingKey::from_public_key_pem(text) {
            return Ok(Self(Public::P384(key)));
        }
        if let Ok(key) = p521::ecdsa::VerifyingKey::from_public_key_pem(text) {
            return Ok(Self(Public::P521(key)));
        }
        let wrong = "expected a PEM file with a public ECDSA key on P-256, P-384 or P-521";
        Err(SigningError::Key(wrong.to_owned()))
    }

    /// Returns the SHA-256 of the key's PEM text in hexadecimal digits, which a signature carries.
    ///
    /// # Errors
    /// Fails for a key that cannot be written, which no key that was read is.
    pub fn hint(&self) -> Result<String, SigningError> {
        let pem = match &self.0 {
            Public::P256(key) => key.to_public_key_pem(LineEnding::LF),
            Public::P384(key) => key.to_public_key_pem(LineEnding::LF),
            Public::P521(key) => key.to_public_key_pem(LineEnding::LF),
        };
        let pem = pem.map_err(|error| SigningError::Key(error.to_string()))?;
        Ok(Digest::of(pem.as_bytes()).hex())
    }

    /// Checks the signature `der` of `message`.
    pub(super) fn verify(&self, message: &[u8], der: &[u8]) -> Result<(), SigningError> {
        let form = |_| SigningError::Form("its signature is not DER of this key's curve".to_owned());
        let holds = match &self.0 {
            Public::P256(key) => key.verify(message, &p256::ecdsa::Signature::from_der(der).map_err(form)?),
            Public::P384(key) => key.verify(message, &p384::ecdsa::Signature::from_der(der).map_err(form)?),
            Public::P521(key) => key.verify(message, &p521::ecdsa::Signature::from_der(der).map_err(form)?),
        };
        holds.map_err(|_| SigningError::OtherKey(", or what it signs was changed".to_owned()))
    }
}
