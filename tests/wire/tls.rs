//! TLS, certificates of clients and tokens of issuers, through a server as its configuration makes it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rapport::rpc::pb::admin_service_client::AdminServiceClient;
use rapport::rpc::pb::privacy_service_client::PrivacyServiceClient;
use rapport::rpc::pb::{GetSettingsRequest, ListAuditEntriesRequest};
use rapport::server::{Config, Refusal, Server};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};

use crate::support::reason;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Somebody who issues certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key in PEM.
struct Leaf {
    certificate: String,
    key: String,
    fingerprint: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority"))
    }

    fn pem(&self) -> String {
        self.0.as_ref().pem()
    }

    fn issue(&self, names: &[&str], uri: Option<&str>, usage: ExtendedKeyUsagePurpose) -> Leaf {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("parameters");
        params.extended_key_usages = vec![usage];
        if let Some(uri) = uri {
            params.subject_alt_names.push(SanType::URI(uri.try_into().expect("a URI")));
        }
        let certificate = params.signed_by(&key, &*self.0).expect("signed");
        let digest = ring::digest::digest(&ring::digest::SHA256, certificate.der());
        let fingerprint = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":");
        Leaf { certificate: certificate.pem(), key: key.serialize_pem(), fingerprint }
    }

    fn server(&self) -> Leaf {
        self.issue(&["localhost"], None, ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn client(&self, names: &[&str], uri: Option<&str>) -> Leaf {
        self.issue(names, uri, ExtendedKeyUsagePurpose::ClientAuth)
    }
}

fn put(home: &Path, name: &str, content: impl AsRef<[u8]>) -> String {
    let path: PathBuf = home.join(name);
    // Whole or not at all, as somebody who renews a certificate does it.
    let unfinished = home.join(format!("{name}.new"));
    fs::write(&unfinished, content).expect("written");
    fs::rename(unfinished, &path).expect("renamed");
    path.to_str().expect("text").to_owned()
}

/// A configuration with TLS, whose data and files are in `home`; `further` is TOML.
fn config(home: &Path, leaf: &Leaf, further: &str) -> Config {
    let (cert, key) = (put(home, "cert.pem", &leaf.certificate), put(home, "key.pem", &leaf.key));
    let data = home.join("data");
    let text = format!(
        "listen = \"127.0.0.1:0\"\ndata_dir = {data:?}\n{further}\n[tls]\ncert_file = {cert:?}\nkey_file = {key:?}\n{}",
        if home.join("clients.pem").exists() {
            format!("client_ca_file = {:?}", home.join("clients.pem"))
        } else {
            String::new()
        },
    );
    let file = put(home, "rapport.toml", text);
    Config::load(Some(Path::new(&file)), std::iter::empty()).expect("valid")
}

async fn start(config: &Config) -> Server {
    Server::start(config, Default::default()).await.expect("starts")
}

fn channel(server: &Server, authority: &Authority, client: Option<&Leaf>) -> Channel {
    let mut tls =
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem())).domain_name("localhost");
    if let Some(leaf) = client {
        tls = tls.identity(Identity::from_pem(&leaf.certificate, &leaf.key));
    }
    let endpoint = Endpoint::from_shared(format!("https://{}", server.address())).expect("an address");
    endpoint.tls_config(tls).expect("a configuration").connect_lazy()
}

async fn ask(channel: &Channel, token: Option<&str>) -> Result<(), Status> {
    let mut request = Request::new(GetSettingsRequest::default());
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("text"));
    }
    AdminServiceClient::new(channel.clone()).get_settings(request).await.map(drop)
}

/// Waits until the audit log has entries of all of these.
async fn are_audited(channel: &Channel, token: Option<&str>, principals: &[String]) {
    let found = async {
        loop {
            let mut request = Request::new(ListAuditEntriesRequest::default());
            if let Some(token) = token {
                request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("text"));
            }
            let listed = PrivacyServiceClient::new(channel.clone()).list_audit_entries(request).await.expect("listed");
            let entries = listed.into_inner().entries;
            if principals.iter().all(|principal| entries.iter().any(|entry| entry.principal == *principal)) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("all of them are in the log");
}

#[track_caller]
fn refused(answer: Result<(), Status>, code: Code) {
    let status = answer.expect_err("refused");
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (code, if code == Code::Unauthenticated { "UNAUTHENTICATED" } else { "PERMISSION_DENIED" })
    );
}

#[tokio::test]
async fn certificates_are_read_again_when_their_files_change() {
    let home = tempfile::tempdir().expect("a folder");
    let (first, second) = (Authority::new(), Authority::new());
    let server = start(&config(home.path(), &first.server(), "")).await;
    ask(&channel(&server, &first, None), None).await.expect("over TLS");
    ask(&channel(&server, &second, None), None).await.expect_err("an authority that did not issue it");
    let plain = Endpoint::from_shared(format!("http://{}", server.address())).expect("an address").connect_lazy();
    ask(&plain, None).await.expect_err("without TLS");

    put(home.path(), "key.pem", "no key");
    let leaf = second.server();
    put(home.path(), "cert.pem", &leaf.certificate);
    put(home.path(), "key.pem", &leaf.key);
    let renewed = async { while ask(&channel(&server, &second, None), None).await.is_err() {} };
    tokio::time::timeout(PATIENCE, renewed).await.expect("the new certificate is served");
    ask(&channel(&server, &first, None), None).await.expect_err("the old one is not");
    server.stop().await.expect("stops");
}

#[tokio::test]
async fn a_certificate_speaks_for_the_workspace_that_the_configuration_says() {
    let home = tempfile::tempdir().expect("a folder");
    let (authority, clients) = (Authority::new(), Authority::new());
    put(home.path(), "clients.pem", clients.pem());
    let by_name = clients.client(&["shop.internal"], None);
    let by_uri = clients.client(&[], Some("spiffe://acme/desk"));
    let by_digest = clients.client(&["other.internal"], None);
    let unknown = clients.client(&["nobody.internal"], None);
    let foreign = Authority::new().client(&["shop.internal"], None);
    let rule = |key: &str, name: &str, scope: &str| {
        format!("[[auth.certificates]]\n{key} = {name:?}\nworkspace = \"acme\"\nscopes = [{scope:?}]\n")
    };
    let rules = [
        rule("san", "shop.internal", "admin"),
        rule("san", "spiffe://acme/desk", "profiles:read"),
        rule("fingerprint", &by_digest.fingerprint, "admin"),
        rule("san", "officer.internal", "privacy:write"),
    ];
    let officer = clients.client(&["officer.internal"], None);
    let server = start(&config(home.path(), &authority.server(), &rules.concat())).await;
    for leaf in [&by_name, &by_digest] {
        ask(&channel(&server, &authority, Some(leaf)), None).await.expect("its scope is enough");
        refused(ask(&channel(&server, &authority, Some(leaf)), Some("nothing")).await, Code::Unauthenticated);
    }
    refused(ask(&channel(&server, &authority, Some(&by_uri)), None).await, Code::PermissionDenied);
    refused(ask(&channel(&server, &authority, Some(&unknown)), None).await, Code::Unauthenticated);
    refused(ask(&channel(&server, &authority, None), None).await, Code::Unauthenticated);
    let digits = by_digest.fingerprint.replace(':', "").to_lowercase();
    let names = ["shop.internal", "spiffe://acme/desk", &digits].map(|name| format!("certificate:{name}"));
    are_audited(&channel(&server, &authority, Some(&officer)), None, &names).await;
    let stranger = ask(&channel(&server, &authority, Some(&foreign)), None).await.expect_err("no handshake");
    assert_ne!(stranger.code(), Code::Unauthenticated, "it came past the handshake");
    server.stop().await.expect("stops");
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// An issuer of tokens with one key, and the name of that.
struct Signer(Ed25519KeyPair, &'static str);

impl Signer {
    fn new(seed: u8, name: &'static str) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("a key"), name)
    }

    fn jwks(&self) -> String {
        let (x, name) = (encode(self.0.public_key().as_ref()), self.1);
        format!("{{\"keys\": [{{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"kid\": \"{name}\", \"x\": \"{x}\"}}]}}")
    }

    fn token(&self, scope: &str, end: i64) -> String {
        let claims = format!(
            "{{\"iss\": \"https://id\", \"aud\": \"rapport\", \"exp\": {end}, \"workspace\": \"acme\", \"scope\": \"{scope}\"}}"
        );
        let header = format!("{{\"alg\": \"EdDSA\", \"kid\": \"{}\"}}", self.1);
        let signed = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
        format!("{signed}.{}", encode(self.0.sign(signed.as_bytes()).as_ref()))
    }
}

// The server reads the clock of the machine: the year 2100, and 1970.
const LATE: i64 = 4_102_444_800;
const EARLY: i64 = 1;

#[tokio::test]
async fn a_token_of_an_issuer_opens_what_its_claims_say_until_its_key_is_withdrawn() {
    let home = tempfile::tempdir().expect("a folder");
    let signer = Signer::new(3, "k");
    let file = put(home.path(), "jwks.json", signer.jwks());
    let issuer = format!("[[auth.issuers]]\nissuer = \"https://id\"\naudience = \"rapport\"\njwks_file = {file:?}\n");
    let authority = Authority::new();
    let server = start(&config(home.path(), &authority.server(), &issuer)).await;
    let channel = channel(&server, &authority, None);
    ask(&channel, Some(&signer.token("openid admin", LATE))).await.expect("its scope is enough");
    refused(ask(&channel, Some(&signer.token("openid", LATE))).await, Code::PermissionDenied);
    refused(ask(&channel, Some(&signer.token("admin", EARLY))).await, Code::Unauthenticated);
    refused(ask(&channel, None).await, Code::Unauthenticated);
    are_audited(&channel, Some(&signer.token("privacy:write", LATE)), &["token:https://id".to_owned()]).await;
    put(home.path(), "jwks.json", Signer::new(4, "k").jwks());
    let withdrawn = async { while ask(&channel, Some(&signer.token("openid admin", LATE))).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, withdrawn).await.expect("the key is withdrawn");
    server.stop().await.expect("stops");
}

/// Serves a JWKS over HTTP and TLS, always the latest.
async fn serve_keys(authority: &Authority, keys: watch::Receiver<String>) -> SocketAddr {
    let Leaf { certificate, key, .. } = authority.server();
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
    let tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a configuration");
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            // Whoever does not trust the certificate hangs up here.
            let Ok(mut stream) = acceptor.accept(socket).await else { continue };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.expect("a request"));
            }
            assert!(head.starts_with(b"GET /keys HTTP/1.1\r\n"), "{}", String::from_utf8_lossy(&head));
            let body = keys.borrow().clone();
            let answer =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.expect("sent");
            stream.shutdown().await.expect("ended");
        }
    });
    address
}

#[tokio::test]
async fn keys_of_an_issuer_are_fetched_and_again_when_a_token_names_a_new_one() {
    let home = tempfile::tempdir().expect("a folder");
    let (authority, first, second) = (Authority::new(), Signer::new(3, "first"), Signer::new(4, "second"));
    let (now, keys) = watch::channel("not yet".to_owned());
    let address = serve_keys(&authority, keys).await;
    let ca = put(home.path(), "issuer-ca.pem", authority.pem());
    let issuer = |path: &str, ca: &str| {
        format!(
            "[[auth.issuers]]\nissuer = \"https://id\"\naudience = \"rapport\"\n\
             jwks_url = \"https://localhost:{}/{path}\"\njwks_ca_file = {ca:?}\n",
            address.port()
        )
    };
    let server = start(&config(home.path(), &authority.server(), &issuer("keys", &ca))).await;
    let channel = channel(&server, &authority, None);
    refused(ask(&channel, Some(&first.token("admin", LATE))).await, Code::Unauthenticated);
    let comes_to_be_accepted = async |signer: &Signer| {
        let accepted = async { while ask(&channel, Some(&signer.token("admin", LATE))).await.is_err() {} };
        tokio::time::timeout(PATIENCE, accepted).await.expect("the key is fetched");
    };
    now.send_replace(first.jwks());
    comes_to_be_accepted(&first).await;
    refused(ask(&channel, Some(&second.token("admin", LATE))).await, Code::Unauthenticated);
    now.send_replace(second.jwks());
    comes_to_be_accepted(&second).await;
    refused(ask(&channel, Some(&first.token("admin", LATE))).await, Code::Unauthenticated);
    server.stop().await.expect("stops");

    // Another authority vouches for nobody: the server starts, and lets nobody in.
    let home = tempfile::tempdir().expect("a folder");
    let other = put(home.path(), "issuer-ca.pem", Authority::new().pem());
    let server = start(&config(home.path(), &authority.server(), &issuer("keys", &other))).await;
    let channel = self::channel(&server, &authority, None);
    for _ in 0..20 {
        refused(ask(&channel, Some(&second.token("admin", LATE))).await, Code::Unauthenticated);
    }
    server.stop().await.expect("stops");
}

#[tokio::test]
async fn a_handshake_has_a_deadline_and_keeps_nobody_waiting() {
    let home = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    let server = start(&config(home.path(), &authority.server(), "[limits]\nhandshake_timeout_ms = 500")).await;
    let mut silent = TcpStream::connect(server.address()).await.expect("connected");
    ask(&channel(&server, &authority, None), None).await.expect("served meanwhile");
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, silent.read_to_end(&mut rest)).await.expect("an end");
    drop(ended);
    assert!(rest.is_empty());
    server.stop().await.expect("stops");
}

#[tokio::test]
async fn a_public_address_needs_a_key_beside_tls() {
    let home = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    let mut config = config(home.path(), &authority.server(), "");
    config.listen = ([0, 0, 0, 0], 0).into();
    let refused = Server::start(&config, Default::default()).await.err().expect("refused");
    assert!(refused.is::<Refusal>() && refused.to_string().contains("rapport keys create"), "{refused}");

    let server = rapport::server::start_in_process(&config, Default::default()).await.expect("starts");
    let request = rapport::rpc::pb::CreateApiKeyRequest { scopes: vec!["admin".to_owned()], ..Default::default() };
    let made =
        AdminServiceClient::new(server.channel.clone()).create_api_key(request).await.expect("made").into_inner();
    server.shut_down().await.expect("closes");
    let server = start(&config).await;
    let port = server.address().port();
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem())).domain_name("localhost");
    let endpoint = Endpoint::from_shared(format!("https://127.0.0.1:{port}")).expect("an address");
    let channel = endpoint.tls_config(tls).expect("a configuration").connect_lazy();
    ask(&channel, Some(&made.api_key)).await.expect("let in");
    self::refused(ask(&channel, None).await, Code::Unauthenticated);
    server.stop().await.expect("stops");
}
