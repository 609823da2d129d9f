use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// An authority of the test's own, and what it has signed for a server on this machine, as PEM.
pub struct Certificates {
    /// The certificate of the authority, for clients.
    pub authority: String,
    /// The certificate of the server.
    pub server: String,
    /// The key of the server.
    pub key: String,
}

impl Certificates {
    /// Makes them.
    pub fn generate() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let server = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
        Self { authority: authority.pem(), server: server.pem(), key: key.serialize_pem() }
    }
}
