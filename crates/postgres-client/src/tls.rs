use std::{path::Path, sync::Arc, time::SystemTime};

use endpoint_api::{Error, ErrorKind, Result};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    time_provider::TimeProvider,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio_postgres_rustls::MakeRustlsConnect;

/// Whether a connection is encrypted, and what is demanded of the server's certificate; as in libpq.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// Never encrypted.
    Disable,
    /// Encrypted when the server can, with any certificate. The default.
    Prefer,
    /// Always encrypted, with any certificate.
    Require,
    /// Always encrypted, with a certificate that a trusted authority has signed.
    VerifyCa,
    /// Always encrypted, with a certificate that a trusted authority has signed for this host.
    VerifyFull,
}

impl TlsMode {
    pub(crate) fn read(text: &str) -> Option<Self> {
        Some(match text {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }
}

/// A connector that demands of the server's certificate what `mode` says.
pub(crate) fn connector(mode: TlsMode, root_cert: Option<&Path>) -> Result<MakeRustlsConnect> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_details(Arc::clone(&provider), Arc::new(Clock))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(ErrorKind::Internal, "set up TLS", "no protocol version").caused_by(error))?
        .dangerous();
    let verifier: Arc<dyn ServerCertVerifier> = match mode {
        TlsMode::Disable | TlsMode::Prefer | TlsMode::Require => Arc::new(AnyCertificate(provider)),
        TlsMode::VerifyCa => Arc::new(AnyHost(trusted(root_cert, provider)?)),
        TlsMode::VerifyFull => trusted(root_cert, provider)?,
    };
    Ok(MakeRustlsConnect::new(builder.with_custom_certificate_verifier(verifier).with_no_client_auth()))
}

/// The time by which certificates are judged. The library's own panics where the clock is before 1970; to this one it
/// is then 1970, when no certificate was valid yet.
#[derive(Debug)]
struct Clock;

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(at(SystemTime::now()))
    }
}

fn at(time: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// Accepts what one of the trusted authorities has signed: those in the file, else the system's.
fn trusted(root_cert: Option<&Path>, provider: Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    match root_cert {
        Some(file) => {
            let wrong = |message: &str| {
                Error::new(ErrorKind::Config, "set up TLS", message)
                    .with("key", "ssl_root_cert")
                    .with("file", file.display())
            };
            let unreadable = |error| wrong(&format!("the file cannot be read: {error}"));
            let pem = local_files::read_small(file).map_err(unreadable)?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|_| wrong("the file is no list of certificates in PEM"))?;
                roots.add(certificate).map_err(|_| wrong("the file holds something that is no certificate"))?;
            }
            if roots.is_empty() {
                return Err(wrong("the file holds no certificate"));
            }
        }
        None => {
            local_files::refuse_special_certificates()
                .map_err(|error| Error::new(ErrorKind::Config, "set up TLS", error.to_string()))?;
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().map_err(|error| {
        let message = "this system has no certificate to trust; name a file of them in `ssl_root_cert`, or in the \
                       environment variable SSL_CERT_FILE";
        Error::new(ErrorKind::Config, "set up TLS", message).caused_by(error)
    })
}

/// Accepts any certificate: the connection is encrypted, but with whom nobody knows.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Accepts a trusted certificate whatever host it was made for.
#[derive(Debug)]
struct AnyHost(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyHost {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.0.verify_server_cert(certificate, intermediates, host, ocsp_response, now) {
            // The host is looked at last: all else about the certificate is good.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_before_1970_is_1970_to_certificates() {
        let second = Duration::from_secs(1);
        assert_eq!(at(SystemTime::UNIX_EPOCH - second).as_secs(), 0);
        assert_eq!(at(SystemTime::UNIX_EPOCH + second).as_secs(), 1);
    }
}
