//! Handshakes, in memory.

use rustls::RootCertStore;
use rustls::client::{ClientConfig, ClientConnection, Resumption};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::server::ServerConnection;
use rustls::time_provider::TimeProvider;

use super::*;

#[derive(Debug)]
struct Clock(Timestamp);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(since_1970(self.0)))
    }
}

fn server(pki: &Pki, now: &str) -> Arc<ServerConfig> {
    Arc::new(pki.server_config(Arc::new(Clock(at(now)))).unwrap())
}

fn client(
    trusted: &CertificateDer<'_>,
    shown: Option<&Credential>,
    versions: &[&'static rustls::SupportedProtocolVersion],
    now: &str,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone().into_owned()).unwrap();
    let config = ClientConfig::builder_with_details(tls::provider(), Arc::new(Clock(at(now))))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match shown {
        None => config.with_no_client_auth(),
        Some(shown) => config
            .with_client_auth_cert(
                vec![shown.certificate.clone()],
                PrivateKeyDer::Pkcs8(shown.key.clone_key()),
            )
            .unwrap(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::in_memory_sessions(8);
    Arc::new(config)
}

/// What the server knows of the client afterwards, or which side gave up and why.
fn handshake(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
    name: &str,
) -> Result<Option<CertificateDer<'static>>, String> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(client.clone(), name).unwrap();
    let mut server = ServerConnection::new(server.clone()).unwrap();
    for _ in 0..10 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            server.read_tls(&mut wire).unwrap();
            if let Err(error) = server.process_new_packets() {
                return Err(format!("server: {error}"));
            }
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            client.read_tls(&mut wire).unwrap();
            client
                .process_new_packets()
                .map_err(|error| format!("client: {error}"))?;
        }
    }
    assert!(!server.is_handshaking() && !client.is_handshaking());
    assert_eq!(server.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(
        server.handshake_kind(),
        Some(rustls::HandshakeKind::Full),
        "nothing is resumed"
    );
    Ok(server
        .peer_certificates()
        .map(|chain| chain[0].clone().into_owned()))
}

#[test]
fn who_may_shake_hands() {
    let (directory, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (pki, _) = open(&directory, NOW);
    let (other, _) = open(&other, "2026-11-25T09:00:00Z");
    // The server's authority signs no clients, and a server certificate is none.
    let server_as_client = &pki.server_credential;
    let signed_by_wrong_authority = admin().issue(&pki.authority, since_1970(at(NOW))).unwrap();
    let ok = Ok(());
    let admin_der = pki.admin().certificate();
    type Case<'a> = (
        &'a str,
        Option<&'a Credential>,
        &'a str,
        Result<(), &'a str>,
    );
    let late = "2028-01-01T00:00:00Z";
    let cases: [Case<'_>; 7] = [
        ("no certificate", None, NOW, ok),
        ("the administrator", Some(pki.admin()), NOW, ok),
        (
            "another installation",
            Some(other.admin()),
            NOW,
            Err("UnknownIssuer"),
        ),
        (
            "the server's authority",
            Some(&signed_by_wrong_authority),
            NOW,
            Err("UnknownIssuer"),
        ),
        (
            "a server certificate",
            Some(server_as_client),
            NOW,
            Err("extended key usage"),
        ),
        ("expired", Some(pki.admin()), late, Err("expired")),
        (
            "not yet valid",
            Some(pki.admin()),
            "2026-11-01T00:00:00Z",
            Err("not valid yet"),
        ),
    ];
    for versions in [[&rustls::version::TLS13], [&rustls::version::TLS12]] {
        for (case, shown, now, wanted) in &cases {
            let server = server(&pki, now);
            let client = client(pki.authority(), *shown, &versions, NOW);
            // Twice, as a session must not be resumed.
            for _ in 0..2 {
                match (handshake(&server, &client, "localhost"), wanted) {
                    (Ok(seen), Ok(())) => {
                        assert_eq!(seen.as_ref(), shown.map(|_| admin_der), "{case}");
                    }
                    (Err(error), Err(part)) => {
                        assert!(
                            error.starts_with("server: ") && error.contains(part),
                            "{error}"
                        );
                    }
                    (seen, _) => panic!("{case}: {seen:?}"),
                }
            }
        }
    }
}

#[test]
fn clients_trust_this_server_only_by_its_names() {
    let (directory, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (pki, _) = open(&directory, NOW);
    let (other, _) = open(&other, "2026-11-25T09:00:00Z");
    let server = server(&pki, NOW);
    let trusting = client(pki.authority(), None, rustls::ALL_VERSIONS, NOW);
    for name in [
        "localhost",
        "127.0.0.1",
        "::1",
        "build-7",
        "kubernetes.default.svc",
    ] {
        handshake(&server, &trusting, name).unwrap();
    }
    let error = handshake(&server, &trusting, "example.com").unwrap_err();
    assert!(error.contains("not valid for name"), "{error}");
    let stranger = client(other.authority(), None, rustls::ALL_VERSIONS, NOW);
    let error = handshake(&server, &stranger, "localhost").unwrap_err();
    assert!(error.contains("UnknownIssuer"), "{error}");
}

#[test]
fn a_renewed_certificate_reaches_the_next_connection() {
    let directory = tempfile::tempdir().unwrap();
    let (mut pki, _) = open(&directory, NOW);
    let late = "2027-12-01T00:00:00Z";
    let server = server(&pki, late);
    let client = client(pki.authority(), None, rustls::ALL_VERSIONS, late);
    let error = handshake(&server, &client, "localhost").unwrap_err();
    assert!(error.contains("expired"), "{error}");
    pki.renew(at(late)).unwrap();
    handshake(&server, &client, "localhost").unwrap();
}

#[test]
fn no_key_shows_through_debug() {
    let directory = tempfile::tempdir().unwrap();
    let (pki, _) = open(&directory, NOW);
    let server = server(&pki, NOW);
    let shown = format!("{server:?}");
    assert!(
        !shown.contains("private") && shown.contains("ServerCertificate"),
        "{shown}"
    );
}
