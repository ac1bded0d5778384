//! Whom to trust. Certificates are read when the first https address is used, once per
//! process for each set of files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::error::{Code, Error, Result};
use crate::runtime::PerProcess;

/// Files of certificates that stand in the place of the system's own, with the name
/// under which an operator knows each: a variable or a parameter.
pub type Bundles = Vec<(String, PathBuf)>;

/// The variables that every TLS library knows. Set, they stand in the system's place.
const FILE: &str = "SSL_CERT_FILE";
const DIRS: &str = "SSL_CERT_DIR";

type Loaded = BTreeMap<Vec<(String, PathBuf)>, Arc<RootCertStore>>;
static LOADED: PerProcess<Mutex<Loaded>> = PerProcess::new(Mutex::new(Loaded::new()));

/// How connections are to be secured.
pub fn config(bundles: &Bundles, skip_verify: bool) -> Result<ClientConfig> {
    let provider = Arc::new(default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::new(Code::Internal, format!("no TLS: {e}")))?;
    if skip_verify {
        let any = Arc::new(Anybody(provider));
        return Ok(builder.dangerous().with_custom_certificate_verifier(any).with_no_client_auth());
    }
    Ok(builder.with_root_certificates(roots(bundles)?).with_no_client_auth())
}

fn roots(bundles: &Bundles) -> Result<Arc<RootCertStore>> {
    let sources = if bundles.is_empty() { of_environment() } else { bundles.clone() };
    let mut loaded =
        LOADED.get_or(|_| Mutex::default()).lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(roots) = loaded.get(&sources) {
        return Ok(roots.clone());
    }
    let roots = Arc::new(if sources.is_empty() { of_system()? } else { of_files(&sources)? });
    loaded.insert(sources, roots.clone());
    Ok(roots)
}

/// What the variables name, one entry per file or directory.
fn of_environment() -> Bundles {
    let file = std::env::var_os(FILE).filter(|value| !value.is_empty());
    let file = file.map(|file| (FILE.to_string(), PathBuf::from(file)));
    let dirs = std::env::var_os(DIRS).filter(|value| !value.is_empty());
    let dirs =
        dirs.iter().flat_map(std::env::split_paths).filter(|dir| !dir.as_os_str().is_empty());
    file.into_iter().chain(dirs.map(|dir| (DIRS.to_string(), dir))).collect()
}

fn of_files(sources: &Bundles) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let mut missing = None;
    for (name, path) in sources {
        let fault = |what: String| {
            let text = format!("{name}: {}: {what}", path.display());
            Error::new(Code::InvalidParameter, text)
        };
        if name == DIRS {
            // As with other libraries a directory need not be there, nor hold only
            // certificates.
            for file in std::fs::read_dir(path).into_iter().flatten().flatten() {
                let certificates = CertificateDer::pem_file_iter(file.path()).into_iter().flatten();
                roots.add_parsable_certificates(certificates.flatten());
            }
            missing = Some(fault("no certificates in it".to_string()));
            continue;
        }
        let pem =
            std::fs::read(path).map_err(|e| fault(format!("cannot be read: {}", e.kind())))?;
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
            .collect::<std::result::Result<_, _>>()
            .map_err(|_| fault("not a file of PEM certificates".to_string()))?;
        let (added, _) = roots.add_parsable_certificates(certificates);
        if added == 0 {
            return Err(fault("no certificates in it".to_string()));
        }
    }
    match missing {
        Some(fault) if roots.is_empty() => Err(fault),
        _ => Ok(roots),
    }
}

fn of_system() -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let text = "no certificate authorities found on this system: install them \
                    (ca-certificates) or set SSL_CERT_FILE";
        return Err(Error::new(Code::InvalidParameter, text));
    }
    Ok(roots)
}

/// Trusts whoever answers.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

type Verified<T> = std::result::Result<T, rustls::Error>;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Verified<ServerCertVerified> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Verified<HandshakeSignatureValid> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Verified<HandshakeSignatureValid> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
