//! TLS to PostgreSQL by `sslmode`, as libpq understands it:
//!
//! | mode | encrypts | verifies |
//! | --- | --- | --- |
//! | `disable` | no | nothing |
//! | `prefer` (default) | if the server can | nothing |
//! | `require` | always | nothing; with `sslrootcert` as `verify-ca` |
//! | `verify-ca` | always | that `sslrootcert` has signed the certificate |
//! | `verify-full` | always | and that it is for this host; without `sslrootcert` by the system's authorities |
//!
//! `sslrootcert=system` stands for the system's authorities and makes the mode `verify-full`.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;
use url::form_urlencoded;

/// What to demand of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl Mode {
    fn parse(text: &str) -> Result<Self> {
        Ok(match text {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => bail!("sslmode is one of disable, prefer, require, verify-ca and verify-full"),
        })
    }
}

/// Whose signature counts.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Roots {
    System,
    /// A file of certificates in PEM.
    File(PathBuf),
}

/// The parameters of a URL that are about TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wishes {
    mode: Mode,
    roots: Option<Roots>,
}

impl Wishes {
    /// Splits a URL into what the library reads and what we do.
    pub(super) fn take_from(url: &str) -> Result<(String, Self)> {
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut roots, mut rest) = (None, None, Vec::new());
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name {
                "sslmode" => mode = Some(Mode::parse(value)?),
                "sslrootcert" => roots = Some(roots_of(value)?),
                _ => rest.push(parameter),
            }
        }
        let address = match rest.is_empty() {
            true => address.to_owned(),
            false => format!("{address}?{}", rest.join("&")),
        };
        Ok((address, Self::new(mode, roots)?))
    }

    fn new(mode: Option<Mode>, roots: Option<Roots>) -> Result<Self> {
        let is_system = roots == Some(Roots::System);
        let mode = match mode {
            None if is_system => Mode::VerifyFull,
            None => Mode::Prefer,
            Some(Mode::Require) if roots.is_some() && !is_system => Mode::VerifyCa,
            Some(mode) => mode,
        };
        // Anybody can have a certificate of a public authority: only the name in it tells servers apart.
        ensure!(
            !is_system || mode == Mode::VerifyFull,
            "sslrootcert=system goes with sslmode=verify-full only"
        );
        ensure!(mode != Mode::VerifyCa || roots.is_some(), "sslmode=verify-ca needs sslrootcert");
        Ok(Self { mode, roots })
    }
}

fn roots_of(value: &str) -> Result<Roots> {
    // A plus is a plus in these addresses, not a blank.
    let pair = format!("path={}", value.replace('+', "%2B"));
    let path =
        form_urlencoded::parse(pair.as_bytes()).next().map(|(_, path)| path.into_owned()).unwrap_or_default();
    ensure!(!path.is_empty(), "sslrootcert names a file of certificates, or is system");
    Ok(if path == "system" { Roots::System } else { Roots::File(path.into()) })
}

/// How connections are protected; clones share the configuration.
#[derive(Clone)]
pub(super) struct Tls {
    mode: Mode,
    config: Arc<ClientConfig>,
}

impl Tls {
    /// `None` when nothing is to be encrypted.
    pub(super) fn new(wishes: Wishes) -> Result<Option<Self>> {
        if wishes.mode == Mode::Disable {
            return Ok(None);
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = verifier(&wishes, &provider)?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Some(Self { mode: wishes.mode, config: Arc::new(config) }))
    }

    pub(super) fn connector(&self) -> MakeRustlsConnect {
        MakeRustlsConnect::new(ClientConfig::clone(&self.config))
    }

    pub(super) fn library_mode(&self) -> SslMode {
        if self.mode == Mode::Prefer { SslMode::Prefer } else { SslMode::Require }
    }

    /// What an operator can do about a connection that failed; `None` when TLS was not the reason.
    pub(super) fn advice(&self, error: &tokio_postgres::Error, words: &str) -> Option<&'static str> {
        if words.contains("server does not support TLS") {
            return Some(
                "the server offers no TLS and sslmode demands it: set ssl=on there, or sslmode=prefer here",
            );
        }
        match certificate_error(error)? {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                Some("the certificate is of an authority that sslrootcert does not name")
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Some("the certificate is for another host name; only subjectAltName counts")
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                Some("the certificate has expired")
            }
            _ => Some("the certificate of the server cannot be used"),
        }
    }
}

fn certificate_error(error: &tokio_postgres::Error) -> Option<&CertificateError> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let inner = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
        let tls = inner.and_then(|error| error.downcast_ref()).or_else(|| error.downcast_ref());
        if let Some(TlsError::InvalidCertificate(error)) = tls {
            return Some(error);
        }
        cause = error.source();
    }
    None
}

fn verifier(wishes: &Wishes, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>> {
    match (wishes.mode, &wishes.roots) {
        (Mode::VerifyFull, None | Some(Roots::System)) => {
            Ok(Arc::new(rustls_platform_verifier::Verifier::new(Arc::clone(provider))?))
        }
        (Mode::VerifyFull, Some(Roots::File(path))) => Ok(by_file(path, provider)?),
        (Mode::VerifyCa, Some(Roots::File(path))) => Ok(Arc::new(AnyName(by_file(path, provider)?))),
        _ => Ok(Arc::new(Anybody(Arc::clone(provider)))),
    }
}

fn by_file(path: &PathBuf, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>> {
    let failed = || format!("cannot read the certificates of sslrootcert={}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).with_context(failed)? {
        roots.add(certificate.with_context(failed)?).with_context(failed)?;
    }
    ensure!(!roots.is_empty(), "{}: it holds none", failed());
    Ok(WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build()?)
}

/// `verify-ca`: the authority counts, the name does not.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        // The name is looked at after the signatures, so a wrong one means that these are right.
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// `prefer` and `require`: encrypted with whoever answers.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(query: &str) -> Result<(String, Mode, Option<Roots>)> {
        let (address, wishes) = Wishes::take_from(&format!("postgres://u:p@h/d{query}"))?;
        Ok((address, wishes.mode, wishes.roots))
    }

    #[test]
    fn the_parameters_of_tls_are_taken_out_of_the_address() {
        let plain = "postgres://u:p@h/d".to_owned();
        let file = |path: &str| Some(Roots::File(path.into()));
        let table = [
            ("", Mode::Prefer, None),
            ("?sslmode=disable", Mode::Disable, None),
            ("?sslmode=require", Mode::Require, None),
            ("?sslmode=require&sslrootcert=/a%20b/c+d.pem", Mode::VerifyCa, file("/a b/c+d.pem")),
            ("?sslmode=verify-ca&sslrootcert=/ca.pem", Mode::VerifyCa, file("/ca.pem")),
            ("?sslmode=verify-full", Mode::VerifyFull, None),
            ("?sslrootcert=system", Mode::VerifyFull, Some(Roots::System)),
        ];
        for (query, mode, roots) in table {
            assert_eq!(wishes(query).unwrap(), (plain.clone(), mode, roots), "{query}");
        }
        let (address, ..) = wishes("?application_name=x&sslmode=disable&options=-c%20a=b").unwrap();
        assert_eq!(address, format!("{plain}?application_name=x&options=-c%20a=b"));
    }

    #[test]
    fn wishes_that_protect_less_than_they_seem_to_are_refused() {
        for query in [
            "?sslmode=allow",
            "?sslmode=",
            "?sslmode=verify-ca",
            "?sslmode=require&sslrootcert=system",
            "?sslmode=verify-ca&sslrootcert=system",
            "?sslrootcert=",
        ] {
            assert!(wishes(query).is_err(), "{query}");
        }
    }
}
