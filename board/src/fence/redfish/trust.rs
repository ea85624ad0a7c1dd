//! Decides which certificate of a BMC is trusted: the one that is pinned, or one that an authority has signed.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};
use toml::de::DeValue;

use crate::config::table::{Source, Value};

/// What the BMC is known by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum CertificateTrust {
    /// Its own certificate.
    Certificate(CertificateFingerprint),
    /// A file with those of who may have signed it (PEM).
    Authority(PathBuf),
}

impl CertificateTrust {
    /// The side of a connection that believes nobody else.
    ///
    /// # Errors
    ///
    /// When the file of the authority is none.
    pub(super) fn client(&self) -> io::Result<Arc<ClientConfig>> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let builder = match self {
            Self::Certificate(fingerprint) => {
                let verifier = Pinned { fingerprint: *fingerprint, provider };
                builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
            }
            Self::Authority(file) => {
                let failed = |error: &dyn fmt::Display| {
                    io::Error::other(format!("{}: {error}", file.display()))
                };
                let mut roots = RootCertStore::empty();
                let found = CertificateDer::pem_file_iter(file).map_err(|error| failed(&error))?;
                for certificate in found {
                    let certificate = certificate.map_err(|error| failed(&error))?;
                    roots.add(certificate).map_err(|error| failed(&error))?;
                }
                if roots.is_empty() {
                    return Err(failed(&"there is no certificate in it"));
                }
                builder.with_root_certificates(roots)
            }
        };
        Ok(Arc::new(builder.with_no_client_auth()))
    }
}

/// The SHA-256 of a certificate (DER).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct CertificateFingerprint([u8; 32]);

impl CertificateFingerprint {
    fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

/// As `openssl x509 -fingerprint -sha256` writes it.
impl fmt::Display for CertificateFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            let colon = if place == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl Value for CertificateFingerprint {
    const EXAMPLE: &'static str = "what openssl x509 -noout -fingerprint -sha256 -in FILE tells";

    fn read(value: &DeValue<'_>, source: &Source<'_>) -> Result<Self, String> {
        let text = String::read(value, source)?;
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
        let pairs = digits.chunks(2).map(|pair| {
            let pair = str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
            u8::from_str_radix(pair, 16).ok()
        });
        let bytes = pairs.collect::<Option<Vec<_>>>().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| format!("is no fingerprint: say {}", Self::EXAMPLE))
    }
}

/// Believes one certificate, with any signature, names and dates.
#[derive(Debug)]
struct Pinned {
    fingerprint: CertificateFingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = CertificateFingerprint::of(certificate);
        if shown == self.fingerprint {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::General(format!(
            "it shows another certificate than the one of the BMC: if that was renewed, say certificate = \"{shown}\""
        )))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
