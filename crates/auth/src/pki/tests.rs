//! Keys made, kept, renewed and damaged; handshakes with them.

mod handshake;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::x509::Fields;

const NOW: &str = "2026-11-25T10:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn names() -> Names {
    Names {
        hostname: Some("build-7".to_owned()),
        extra: Vec::new(),
    }
}

fn open(directory: &TempDir, now: &str) -> (Pki, Vec<Notice>) {
    Pki::open(directory.path(), &names(), at(now)).unwrap()
}

fn error(directory: &TempDir) -> String {
    let error = Pki::open(directory.path(), &names(), at(NOW))
        .err()
        .expect("must fail");
    error
        .to_string()
        .replace(directory.path().to_str().unwrap(), "DATA")
}

fn pki_file(directory: &TempDir, name: &str) -> PathBuf {
    directory.path().join("pki").join(name)
}

#[test]
fn the_first_start_makes_everything_and_later_ones_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (first, notices) = open(&directory, NOW);
    assert_eq!(
        notices,
        [
            Notice::MadeAuthorities,
            Notice::ServerCertificate(Reason::None),
            Notice::AdminCertificate(Reason::None)
        ]
    );
    let mut files: Vec<_> = fs::read_dir(directory.path().join("pki"))
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{entry:?}");
            entry.file_name().into_string().unwrap()
        })
        .collect();
    files.sort();
    assert_eq!(
        files,
        [
            "admin.crt",
            "admin.key",
            "ca.crt",
            "ca.key",
            "client-ca.crt",
            "client-ca.key",
            "sa.key",
            "server.crt",
            "server.key"
        ]
    );
    let mode = fs::metadata(directory.path().join("pki"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);

    let (second, notices) = open(&directory, "2027-10-20T10:00:00Z");
    assert_eq!(notices, []);
    assert_eq!(first.authority(), second.authority());
    assert_eq!(first.admin().certificate(), second.admin().certificate());
    assert_eq!(
        first.server_credential.certificate,
        second.server_credential.certificate
    );
    assert_eq!(
        first.service_account_key().secret_pkcs8_der(),
        second.service_account_key().secret_pkcs8_der()
    );
}

#[test]
fn certificates_say_what_they_are_for() {
    let directory = tempfile::tempdir().unwrap();
    let names = Names {
        hostname: Some("Build-7".to_owned()),
        extra: ["jobs.example.com", "*.example.org", "192.0.2.7", "fd00::7"]
            .map(str::to_owned)
            .into(),
    };
    let (pki, _) = Pki::open(directory.path(), &names, at(NOW)).unwrap();
    let server = Fields::read(&pki.server_credential.certificate).unwrap();
    assert_eq!(
        server.dns_names,
        [
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            "build-7",
            "jobs.example.com",
            "*.example.org"
        ]
    );
    let addresses: Vec<_> = server
        .ip_addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(addresses, ["127.0.0.1", "::1", "192.0.2.7", "fd00::7"]);
    assert!(!server.is_authority);
    let admin = Fields::read(pki.admin().certificate()).unwrap();
    assert_eq!(admin.common_name(), Some("wasmjob-admin"));
    assert_eq!(
        admin.organizations().collect::<Vec<_>>(),
        ["wasmjob:admins"]
    );
    let authority = Fields::read(pki.authority()).unwrap();
    assert!(authority.is_authority);
    let years = (authority.not_after - authority.not_before).as_secs() / (365 * 24 * 60 * 60);
    assert_eq!(years, 10);
    assert_ne!(pki.authority(), pki.client_authority());
}

#[test]
fn names_that_no_certificate_can_have() {
    for name in [
        "",
        "a b",
        "*",
        "a.*.b",
        "*.192.0.2.1",
        "-.",
        "\u{0}",
        "https://x",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let names = Names {
            hostname: None,
            extra: vec![name.to_owned()],
        };
        let error = Pki::open(directory.path(), &names, at(NOW)).err();
        assert!(matches!(error, Some(Error::Name(_))), "{name:?}");
        let names = Names {
            hostname: Some(name.to_owned()),
            extra: Vec::new(),
        };
        let (_, notices) = Pki::open(directory.path(), &names, at(NOW)).unwrap();
        assert!(
            notices.contains(&Notice::HostnameLeftOut(name.to_owned())),
            "{name:?}"
        );
    }
}

#[test]
fn authorities_are_never_replaced() {
    for name in [
        "ca.crt",
        "ca.key",
        "client-ca.crt",
        "client-ca.key",
        "sa.key",
    ] {
        let directory = tempfile::tempdir().unwrap();
        open(&directory, NOW);
        let path = pki_file(&directory, name);
        let good = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let missing = error(&directory);
        assert!(
            missing.starts_with(&format!("`DATA/pki/{name}` is missing; ")),
            "{missing}"
        );
        let half = &good[..good.len() / 2];
        let other = pki_file(
            &directory,
            if name == "ca.key" { "sa.key" } else { "ca.key" },
        );
        let other = fs::read(other).unwrap();
        let mut twice = good.clone();
        twice.extend_from_slice(&good);
        let mut flipped = good.clone();
        flipped[80] ^= 1;
        for bad in [&b""[..], b"\xff\x00", half, &twice, &flipped, &other] {
            // Another key of the right kind is a perfectly good key of service accounts.
            if name == "sa.key" && bad == other {
                continue;
            }
            fs::write(&path, bad).unwrap();
            let damaged = error(&directory);
            assert!(damaged.contains(" cannot be used: "), "{name}: {damaged}");
            assert_eq!(
                fs::read(&path).unwrap(),
                bad,
                "{name} must be left as it is"
            );
        }
        fs::write(&path, &good).unwrap();
        assert_eq!(open(&directory, NOW).1, []);
    }
}

#[test]
fn an_authority_that_is_none_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    open(&directory, NOW);
    for extension in ["crt", "key"] {
        let leaf = pki_file(&directory, &format!("server.{extension}"));
        fs::copy(leaf, pki_file(&directory, &format!("ca.{extension}"))).unwrap();
    }
    assert!(error(&directory).contains("it is not the certificate of an authority"));
}

#[test]
fn keys_of_other_kinds_are_named() {
    let directory = tempfile::tempdir().unwrap();
    open(&directory, NOW);
    let sec1 = "-----BEGIN EC PRIVATE KEY-----\nMAA=\n-----END EC PRIVATE KEY-----\n";
    fs::write(pki_file(&directory, "sa.key"), sec1).unwrap();
    assert!(error(&directory).contains("is not PKCS#8"));
    let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let ed25519 = PrivatePkcs8KeyDer::from(ed25519.serialize_der());
    fs::write(
        pki_file(&directory, "sa.key"),
        pem::private_key(&ed25519).as_bytes(),
    )
    .unwrap();
    assert!(error(&directory).contains("it holds no key of the curve P-256"));
}

#[test]
fn a_crash_of_the_first_start_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let half = directory.path().join("pki.new");
    fs::create_dir(&half).unwrap();
    fs::write(half.join("ca.key"), "half").unwrap();
    fs::create_dir(directory.path().join("pki")).unwrap();
    assert_eq!(open(&directory, NOW).1[0], Notice::MadeAuthorities);
    assert!(!half.exists());
}

#[test]
fn foreign_files_are_not_taken_for_a_first_start() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("pki")).unwrap();
    fs::write(pki_file(&directory, "notes"), "mine").unwrap();
    assert!(error(&directory).starts_with("`DATA/pki/ca.crt` is missing"));
}

#[test]
fn rights_of_others_are_taken_away_and_told() {
    let directory = tempfile::tempdir().unwrap();
    open(&directory, NOW);
    let path = pki_file(&directory, "ca.key");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(open(&directory, NOW).1, [Notice::MadePrivate(path)]);
    assert_eq!(open(&directory, NOW).1, []);
}

#[test]
fn certificates_are_renewed_when_needed() {
    type Case = (&'static str, fn(&Path), &'static str, Option<Reason>);
    let cases: [Case; 8] = [
        ("31 days left", |_| {}, "2027-10-25T10:00:00Z", None),
        (
            "29 days left",
            |_| {},
            "2027-10-27T10:00:00Z",
            Some(Reason::ExpiresSoon),
        ),
        (
            "expired",
            |_| {},
            "2030-01-01T00:00:00Z",
            Some(Reason::ExpiresSoon),
        ),
        (
            "clock set back",
            |_| {},
            "2026-11-20T00:00:00Z",
            Some(Reason::NotYetValid),
        ),
        (
            "removed",
            |path| fs::remove_file(path).unwrap(),
            NOW,
            Some(Reason::None),
        ),
        (
            "garbage",
            |path| fs::write(path, "x").unwrap(),
            NOW,
            Some(Reason::Damaged),
        ),
        (
            "empty",
            |path| fs::write(path, "").unwrap(),
            NOW,
            Some(Reason::Damaged),
        ),
        (
            "another key",
            |path| {
                let key = path.parent().unwrap().join("sa.key");
                fs::copy(key, path.with_extension("key")).map(drop).unwrap();
            },
            NOW,
            Some(Reason::Damaged),
        ),
    ];
    for (case, damage, now, reason) in cases {
        let directory = tempfile::tempdir().unwrap();
        let (old, _) = open(&directory, NOW);
        damage(&pki_file(&directory, "server.crt"));
        damage(&pki_file(&directory, "admin.crt"));
        let (new, notices) = open(&directory, now);
        let wanted: Vec<_> = reason
            .into_iter()
            .flat_map(|reason| {
                [
                    Notice::ServerCertificate(reason),
                    Notice::AdminCertificate(reason),
                ]
            })
            .collect();
        let told: Vec<_> = notices
            .into_iter()
            .filter(|notice| !matches!(notice, Notice::AuthorityNotValid(_)))
            .collect();
        assert_eq!(told, wanted, "{case}");
        let kept = old.admin().certificate() == new.admin().certificate();
        assert_eq!(kept, reason.is_none(), "{case}");
        assert_eq!(old.authority(), new.authority(), "{case}");
    }
}

#[test]
fn a_running_server_renews_what_it_shows() {
    let directory = tempfile::tempdir().unwrap();
    let (mut pki, _) = open(&directory, NOW);
    let old = pki.server_credential.certificate.clone();
    assert_eq!(pki.renew(at("2027-01-01T00:00:00Z")).unwrap(), []);
    let notices = pki.renew(at("2027-11-01T00:00:00Z")).unwrap();
    assert_eq!(
        notices,
        [
            Notice::ServerCertificate(Reason::ExpiresSoon),
            Notice::AdminCertificate(Reason::ExpiresSoon)
        ]
    );
    assert_ne!(pki.server_credential.certificate, old);
    assert_eq!(pki.renew(at("2027-11-01T00:00:00Z")).unwrap(), []);
    assert_eq!(open(&directory, "2027-11-01T00:00:00Z").1, []);
}

#[test]
fn a_new_name_means_a_new_certificate_and_fewer_names_do_not() {
    let directory = tempfile::tempdir().unwrap();
    open(&directory, NOW);
    let more = Names {
        hostname: None,
        extra: vec!["192.0.2.9".to_owned()],
    };
    let (_, notices) = Pki::open(directory.path(), &more, at(NOW)).unwrap();
    assert_eq!(notices, [Notice::ServerCertificate(Reason::NamesChanged)]);
    let (_, notices) = Pki::open(directory.path(), &Names::default(), at(NOW)).unwrap();
    assert_eq!(notices, []);
}

#[test]
fn an_authority_exchanged_by_hand_signs_everything_anew() {
    let (directory, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (old, _) = open(&directory, NOW);
    open(&other, NOW);
    for name in ["ca.crt", "ca.key", "client-ca.crt", "client-ca.key"] {
        fs::copy(pki_file(&other, name), pki_file(&directory, name)).unwrap();
    }
    let (new, notices) = open(&directory, NOW);
    assert_eq!(
        notices,
        [
            Notice::ServerCertificate(Reason::OtherAuthority),
            Notice::AdminCertificate(Reason::OtherAuthority)
        ]
    );
    assert_ne!(old.admin().certificate(), new.admin().certificate());
}

#[test]
fn an_authority_of_another_program_is_taken_up() {
    let directory = tempfile::tempdir().unwrap();
    open(&directory, NOW);
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let mut parameters = rcgen::CertificateParams::default();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    parameters.key_identifier_method = rcgen::KeyIdMethod::Sha512;
    let subject = &mut parameters.distinguished_name;
    *subject = rcgen::DistinguishedName::new();
    let country = rcgen::DnValue::PrintableString("DE".try_into().unwrap());
    subject.push(rcgen::DnType::CountryName, country);
    subject.push(rcgen::DnType::OrganizationName, "Beispiel für Öfen");
    subject.push(rcgen::DnType::CommonName, "root 1");
    let certificate = parameters.self_signed(&key).unwrap().der().clone();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    for name in ["ca", "client-ca"] {
        let path = pki_file(&directory, name);
        fs::write(path.with_extension("crt"), pem::certificate(&certificate)).unwrap();
        fs::write(
            path.with_extension("key"),
            pem::private_key(&key).as_bytes(),
        )
        .unwrap();
    }
    assert_eq!(open(&directory, NOW).1.len(), 2);
    assert_eq!(
        open(&directory, NOW).1,
        [],
        "what it signed must be accepted"
    );
}

#[test]
fn any_clock_is_survived() {
    let times = [
        "-009999-01-02T01:59:59Z",
        "1970-01-01T00:00:00Z",
        "2049-12-31T23:59:59Z",
    ];
    for now in times
        .into_iter()
        .chain(["2106-02-07T06:28:16Z", "9999-12-30T22:00:00Z"])
    {
        let directory = tempfile::tempdir().unwrap();
        let (mut pki, _) = open(&directory, now);
        pki.renew(at(NOW)).unwrap();
        open(&directory, "9999-12-30T22:00:00Z");
        open(&directory, "1970-01-01T00:00:00Z");
    }
}

#[test]
fn an_authority_near_its_end_is_told_and_not_outlived() {
    let directory = tempfile::tempdir().unwrap();
    let (pki, _) = open(&directory, NOW);
    let soon = "2036-11-20T00:00:00Z";
    let (_, notices) = open(&directory, soon);
    let soon_told = Notice::AuthorityExpiresSoon(pki_file(&directory, "ca.crt"));
    assert!(notices.contains(&soon_told), "{notices:?}");
    let (late, notices) = open(&directory, soon);
    assert_eq!(notices.len(), 2, "nothing to gain by renewing: {notices:?}");
    let end = Fields::read(pki.authority()).unwrap().not_after;
    assert_eq!(
        Fields::read(late.admin().certificate()).unwrap().not_after,
        end
    );
}

#[test]
fn a_short_certificate_is_renewed_when_a_third_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let (pki, _) = open(&directory, NOW);
    let mut parameters = rcgen::CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    let subject = &mut parameters.distinguished_name;
    subject.push(rcgen::DnType::OrganizationName, ADMIN_GROUP);
    subject.push(rcgen::DnType::CommonName, ADMIN_USER);
    parameters.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let issued = pki
        .client_authority
        .issue(parameters, 9 * DAY, since_1970(at(NOW)))
        .unwrap();
    let path = pki_file(&directory, "admin.crt");
    fs::write(&path, issued.certificate_pem()).unwrap();
    fs::write(path.with_extension("key"), issued.key_pem().as_bytes()).unwrap();
    assert_eq!(open(&directory, "2026-12-01T09:00:00Z").1, []);
    let renewed = Notice::AdminCertificate(Reason::ExpiresSoon);
    assert_eq!(open(&directory, "2026-12-01T11:00:00Z").1, [renewed]);
}

#[test]
fn a_disk_that_refuses_does_not_end_what_still_counts() {
    let directory = tempfile::tempdir().unwrap();
    let (old, _) = open(&directory, NOW);
    // Where the new file would be written first.
    fs::create_dir(pki_file(&directory, "server.key.tmp")).unwrap();
    let (mut new, notices) = open(&directory, "2027-11-20T10:00:00Z");
    assert!(
        matches!(
            &notices[..],
            [
                Notice::NotRenewed { name: "server", error },
                Notice::AdminCertificate(Reason::ExpiresSoon)
            ] if error.starts_with("failed to write `")
        ),
        "{notices:?}"
    );
    let (was, is) = (&old.server_credential, &new.server_credential);
    assert_eq!(was.certificate, is.certificate);
    assert!(new.renew(at("2027-11-20T10:00:00Z")).is_err());
    let expired = Pki::open(directory.path(), &names(), at("2027-11-26T10:00:00Z"));
    assert!(matches!(expired, Err(Error::Disk { step: "write", .. })));
}
