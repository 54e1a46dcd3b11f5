//! Rows T64 to T71.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;
use tar::EntryType;
use wasmjob_image::{
    Digest, ImageLimits, Keyring, PullErrorKind, PullPolicy, Registries, RegistriesConfig,
};

use crate::layers::{Packed, packed, raw, raw_layer, refs, tar};
use crate::server::{Asked, GZIP, INDEX, MANIFEST, Server, Shelf, TAR, ZSTD, answer};
use crate::{config, fails, pull, registries, wasm};

fn shelf(fill: impl FnOnce(&mut Shelf)) -> Server {
    let mut shelf = Shelf::default();
    fill(&mut shelf);
    Server::start(move |asked, to| shelf.serve(asked, to))
}

/// How pulling an image of these layers fails.
fn layers_fail(layers: &[Packed], limits: ImageLimits) -> (PullErrorKind, String) {
    let server = shelf(|shelf| {
        shelf.image("1", &json!({"Entrypoint": ["/x"]}), &refs(layers));
    });
    let dir = tempfile::tempdir().unwrap();
    let failure = fails(
        &Registries::new(RegistriesConfig {
            limits,
            ..config(dir.path(), &[&server.host])
        }),
        &server.image("x:1"),
    );
    let left = dir.path().join("rootfs").read_dir().unwrap().count();
    assert_eq!(left, 0, "nothing is unpacked");
    assert_eq!(dir.path().join("aside").read_dir().unwrap().count(), 0);
    failure
}

fn refused(layers: &[Packed], text: &str) {
    let (kind, said) = layers_fail(layers, ImageLimits::default());
    assert_eq!(kind, PullErrorKind::Refused, "{said}");
    assert!(said.contains(text), "{said}");
}

/// T64.
#[test]
fn bombs_are_stopped_at_a_size_and_at_a_ratio() {
    let zeros = tar(&[("zeros", &vec![0; 40 << 20])]);
    for media_type in [GZIP, ZSTD] {
        let bomb = packed(media_type, &zeros);
        refused(
            std::slice::from_ref(&bomb),
            "decompressed size exceeds 200 times what was sent",
        );
        let (_, said) = layers_fail(
            &[bomb],
            ImageLimits {
                unpacked_layer_bytes: 4 << 20,
                ..ImageLimits::default()
            },
        );
        assert!(
            said.contains("decompressed size exceeds 4194304 bytes"),
            "{said}"
        );
    }
    // Many members: each is small.
    let member = crate::layers::gzip(&vec![0; 1 << 20]);
    let many = (GZIP, member.repeat(40), Digest::of(b""));
    let (kind, said) = layers_fail(&[many], ImageLimits::default());
    assert_ne!(kind, PullErrorKind::Host, "{said}");
    // A window of 2 GiB (`--ultra --long=31`): magic, a descriptor, a window byte.
    let window = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 1, 0, 0];
    let (kind, said) = layers_fail(&[(ZSTD, window, Digest::of(b""))], ImageLimits::default());
    assert_eq!(kind, PullErrorKind::Corrupt, "{said}");
    // A file that says it is larger than it is, and an image that is.
    let huge = raw_layer(&[(b"x", EntryType::Regular, b"", 1 << 40, b"")]);
    refused(&[huge], "larger than");
}

/// T65.
#[test]
fn nothing_leaves_the_image() {
    let file = |path: &'static [u8]| (path, EntryType::Regular, b"".as_slice(), 1, b"x".as_slice());
    let entry =
        |path: &'static [u8], kind, link: &'static [u8]| (path, kind, link, 0, b"".as_slice());
    refused(&[raw_layer(&[file(b"../x")])], "leads out of the image");
    refused(&[raw_layer(&[file(b"/etc/x")])], "is absolute");
    refused(
        &[raw_layer(&[file(b"a/../../x")])],
        "leads out of the image",
    );
    refused(
        &[raw_layer(&[
            entry(b"a", EntryType::Symlink, b".."),
            file(b"a/x"),
        ])],
        "leads out of the image",
    );
    refused(
        &[raw_layer(&[
            entry(b"a", EntryType::Symlink, b"b"),
            file(b"a/x"),
        ])],
        "which is no directory",
    );
    let link = raw_layer(&[entry(b"a", EntryType::Symlink, b"b")]);
    refused(&[link, raw_layer(&[file(b"a/x")])], "is a symbolic link");
    refused(
        &[raw_layer(&[entry(
            b"a",
            EntryType::Link,
            b"../../etc/passwd",
        )])],
        "leads out",
    );
    refused(
        &[raw_layer(&[entry(b"a", EntryType::Link, b"etc/passwd")])],
        "no file of the image",
    );
    refused(
        &[raw_layer(&[
            entry(b"l", EntryType::Symlink, b"etc"),
            entry(b"a", EntryType::Link, b"l"),
        ])],
        "no file of the image",
    );
    refused(
        &[raw_layer(&[entry(b"dev", EntryType::Block, b"")])],
        "a device",
    );
    refused(
        &[raw_layer(&[entry(b"dev", EntryType::Char, b"")])],
        "a device",
    );
    refused(
        &[raw_layer(&[entry(b"pipe", EntryType::Fifo, b"")])],
        "a FIFO",
    );
    let sparse = (
        b"s".as_slice(),
        EntryType::GNUSparse,
        b"".as_slice(),
        0,
        b"".as_slice(),
    );
    refused(&[raw_layer(&[sparse])], "a sparse file");
}

/// T65: what an extended header says.
#[test]
fn extended_headers_are_bounded_and_believed_only_so_far() {
    let pax = |text: &str| {
        let record = |text: &str| {
            let length = text.len() + 3;
            let digits = (length + 1).to_string().len();
            format!("{} {text}\n", text.len() + 2 + digits)
        };
        record(text)
    };
    let after = |kind, content: &str| {
        packed(
            TAR,
            &raw(&[
                (b"h", kind, b"", content.len() as u64, content.as_bytes()),
                (b"x", EntryType::Regular, b"", 1, b"x"),
            ]),
        )
    };
    refused(&[after(EntryType::XHeader, &pax("size=9"))], "two sizes");
    refused(&[after(EntryType::XHeader, &pax("path=../x"))], "leads out");
    refused(
        &[after(EntryType::XHeader, &pax("GNU.sparse.major=1"))],
        "sparse",
    );
    refused(
        &[after(EntryType::XHeader, &pax("path=a\0b"))],
        "holds a NUL",
    );
    refused(&[after(EntryType::GNULongName, "../../x\0")], "leads out");
    let long = "a".repeat(300 << 10);
    refused(
        &[after(EntryType::GNULongName, &long)],
        "extended header is larger",
    );
    let few = ImageLimits {
        entries: 10,
        ..ImageLimits::default()
    };
    let file = (
        b"x".as_slice(),
        EntryType::Regular,
        b"".as_slice(),
        0,
        b"".as_slice(),
    );
    let (_, said) = layers_fail(&[raw_layer(&[file; 11])], few);
    assert!(said.contains("more than 10 entries"), "{said}");
    // A layer that is no archive, and one that ends early.
    for (bytes, unpacked) in [
        (vec![7; 4096], vec![7; 4096]),
        (tar(&[("x", b"abc")])[..600].to_vec(), vec![]),
    ] {
        let (kind, said) = layers_fail(
            &[(TAR, bytes, Digest::of(&unpacked))],
            ImageLimits::default(),
        );
        assert_eq!(kind, PullErrorKind::Corrupt, "{said}");
    }
}

/// T66.
#[test]
fn what_does_not_agree_with_its_digest_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let good = wasm();
    let mut bad = good.clone();
    bad[8] ^= 1;
    let check = |change: &dyn Fn(&mut Shelf), kind, text: &str| {
        let server = shelf(|shelf| {
            shelf.wasm("1", &good);
            change(shelf);
        });
        let (got, said) = fails(&registries(dir.path(), &server), &server.image("x:1"));
        assert_eq!(got, kind, "{said}");
        assert!(said.contains(text), "{said}");
        let blobs = dir.path().join("blobs").read_dir();
        assert_eq!(blobs.unwrap().count(), 0);
    };
    let layer = Digest::of(&good).to_string();
    let put = |bytes: Vec<u8>| {
        let layer = layer.clone();
        move |shelf: &mut Shelf| {
            _ = shelf
                .things
                .insert(layer.clone(), (String::new(), bytes.clone()))
        }
    };
    check(
        &put(bad.clone()),
        PullErrorKind::Corrupt,
        &format!("digest mismatch: expected {layer} got {}", Digest::of(&bad)),
    );
    let longer = [good.as_slice(), b"more"].concat();
    check(&put(longer), PullErrorKind::Corrupt, "size mismatch");
    // What may have broken off is tried again, and then not called corrupt.
    check(
        &put(good[..20].to_vec()),
        PullErrorKind::Unavailable,
        "ended after 20 of",
    );
    // A manifest that is asked for by digest.
    let server = shelf(|shelf| {
        shelf.wasm("1", &good);
        let digest = Digest::of(b"another").to_string();
        let thing = shelf.things["1"].clone();
        shelf.things.insert(digest, thing);
    });
    let image = server.image(&format!("x@{}", Digest::of(b"another")));
    let (kind, said) = fails(&registries(dir.path(), &server), &image);
    assert_eq!(kind, PullErrorKind::Corrupt, "{said}");
    assert!(said.contains("digest mismatch"), "{said}");
    // A layer whose unpacked digest is another.
    let (media_type, bytes, _) = packed(GZIP, &tar(&[("x", b"x")]));
    let (kind, said) = layers_fail(
        &[(media_type, bytes, Digest::of(b"y"))],
        ImageLimits::default(),
    );
    assert_eq!(kind, PullErrorKind::Corrupt, "{said}");
    // Algorithms and digits.
    for digest in ["md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:ABC", "x"] {
        let manifest =
            json!({"schemaVersion": 2, "config": {"digest": digest, "size": 2}, "layers": []});
        let server = shelf(|shelf| _ = shelf.manifest("1", MANIFEST, &manifest));
        let (kind, said) = fails(&registries(dir.path(), &server), &server.image("x:1"));
        assert_eq!(kind, PullErrorKind::Corrupt, "{said}");
    }
}

/// T67.
#[test]
fn manifests_and_indexes_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let check = |fill: &dyn Fn(&mut Shelf), kind, text: &str| {
        let server = shelf(fill);
        let (got, said) = fails(&registries(dir.path(), &server), &server.image("x:1"));
        assert_eq!(got, kind, "{said}");
        assert!(said.contains(text), "{said}");
    };
    use PullErrorKind::{Corrupt, Refused, Unsupported};
    let put = |media_type: &'static str, bytes: Vec<u8>| {
        move |shelf: &mut Shelf| {
            _ = shelf
                .things
                .insert("1".to_owned(), (media_type.to_owned(), bytes.clone()))
        }
    };
    check(
        &put(MANIFEST, vec![b' '; 5 << 20]),
        Refused,
        "larger than 4194304 bytes",
    );
    check(&put("text/html", b"{}".to_vec()), Unsupported, "text/html");
    check(&put(MANIFEST, b"not json".to_vec()), Corrupt, "not valid");
    let deep = [vec![b'['; 200_000], vec![b']'; 200_000]].concat();
    check(&put(MANIFEST, deep), Corrupt, "not valid");
    let linux = json!({"mediaType": MANIFEST, "digest": Digest::of(b"l"), "size": 1,
        "platform": {"os": "linux", "architecture": "amd64"}});
    let index = |entries: Vec<serde_json::Value>| {
        move |shelf: &mut Shelf| {
            let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
            shelf.manifest("1", INDEX, &index);
        }
    };
    check(
        &index(vec![linux.clone(); 300]),
        Refused,
        "300 entries, 256 are allowed",
    );
    check(&index(vec![linux]), Unsupported, "linux/amd64");
    check(
        &|shelf| {
            let inner = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []});
            let mut inner = shelf.manifest("inner", INDEX, &inner);
            inner["platform"] = json!({"os": "wasi", "architecture": "wasm"});
            index(vec![inner])(shelf);
        },
        Unsupported,
        "leads to another index",
    );
    check(
        &|shelf| {
            let config = shelf.blob(crate::server::CONFIG, b"{}");
            let layer = json!({"mediaType": TAR, "digest": Digest::of(b"l"), "size": 1});
            let manifest =
                json!({"schemaVersion": 2, "config": config, "layers": vec![layer; 200]});
            shelf.manifest("1", MANIFEST, &manifest);
        },
        Refused,
        "200 layers, 128 are allowed",
    );
    check(
        &|shelf| {
            let config = shelf.blob("application/vnd.cncf.helm.config.v1+json", b"{}");
            let layer = shelf.blob("application/vnd.cncf.helm.chart.content.v1.tar+gzip", b"x");
            let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
            shelf.manifest("1", MANIFEST, &manifest);
        },
        Unsupported,
        "helm",
    );
    check(
        &|shelf| {
            let config = shelf.blob(crate::server::WASM_CONFIG, b"{}");
            let layer = json!({"mediaType": "application/wasm", "digest": Digest::of(b"l"), "size": 1u64 << 50});
            let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
            shelf.manifest("1", MANIFEST, &manifest);
        },
        Refused,
        "are allowed",
    );
}

fn redirect(to: &mut std::net::TcpStream, location: &str) {
    answer(to, "307 Temporary Redirect", &[("location", location)], b"");
}

/// T68.
#[test]
fn a_registry_leads_nowhere_that_it_may_not() {
    let dir = tempfile::tempdir().unwrap();
    let inside = Server::start(|_, to| answer(to, "200 OK", &[], b"secret"));
    let check = |location: String, text: &str| {
        let server = Server::start(move |_, to| redirect(to, &location));
        let (kind, said) = fails(&registries(dir.path(), &server), &server.image("x:1"));
        assert_eq!(kind, PullErrorKind::Refused, "{said}");
        assert!(said.contains(text), "{said}");
    };
    check(format!("http://{}/v2/", inside.host), "without TLS");
    check(
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "without TLS",
    );
    check(
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "169.254.169.254",
    );
    check(
        "https://[::ffff:169.254.169.254]/x".to_owned(),
        "no registry has",
    );
    check("file:///etc/passwd".to_owned(), "is no address");
    check(
        "https://user:pw@r.example/".to_owned(),
        "no http or https address",
    );
    check("/v2/again".to_owned(), "redirects more than 5 times");
    assert!(inside.asked().is_empty());

    // A token server inside, and one without TLS.
    let check = |realm: String, text: &str| {
        let server = Server::start(move |_, to| {
            let challenge = format!("Bearer realm=\"{realm}\",service=\"s\"");
            answer(
                to,
                "401 Unauthorized",
                &[("www-authenticate", &challenge)],
                b"",
            );
        });
        let keys = json!({"auths": {&server.host: {"username": "u", "password": "hunter2"}}});
        let keys = Keyring::docker_config_json(keys.to_string().as_bytes()).unwrap();
        let error = registries(dir.path(), &server)
            .pull(&server.image("x:1"), PullPolicy::Always, &keys)
            .unwrap_err();
        assert_eq!(error.kind(), Some(PullErrorKind::Refused), "{error}");
        assert!(error.to_string().contains(text), "{error}");
    };
    check(format!("http://{}/token", inside.host), "without TLS");
    check(
        "https://169.254.169.254/token".to_owned(),
        "169.254.169.254",
    );
    assert!(inside.asked().is_empty());
}

/// T68: passwords go to the registry, and tokens too.
#[test]
fn credentials_stay_with_their_registry() {
    let dir = tempfile::tempdir().unwrap();
    let mut other = Shelf::default();
    other.wasm("1", &wasm());
    let other = Server::start(move |asked, to| other.serve(asked, to));
    let there = other.host.clone();
    let server = Server::start(move |asked, to| match asked.header("authorization") {
        "" => answer(
            to,
            "401 Unauthorized",
            &[("www-authenticate", "Basic realm=\"r\"")],
            b"",
        ),
        _ => redirect(to, &format!("http://{there}{}", asked.path)),
    });
    let keys = json!({"auths": {&server.host: {"username": "u", "password": "hunter2"}}});
    let keys = Keyring::docker_config_json(keys.to_string().as_bytes()).unwrap();
    let registries = Registries::new(config(dir.path(), &[&server.host, &other.host]));
    registries
        .pull(&server.image("x:1"), PullPolicy::IfNotPresent, &keys)
        .unwrap();
    assert!(!other.asked().is_empty());
    let told = |asked: &Asked| asked.header("authorization").to_owned();
    assert!(other.asked().iter().all(|asked| told(asked).is_empty()));
    assert!(
        server
            .asked()
            .iter()
            .any(|asked| told(asked).starts_with("Basic "))
    );
    // Whoever cannot show the secret does not get the image that is here, either.
    let error = pull(&registries, &server.image("x:1")).unwrap_err();
    assert_eq!(error.kind(), Some(PullErrorKind::Unauthorized), "{error}");
    let never = registries.pull(&server.image("x:1"), PullPolicy::Never, &Keyring::default());
    assert_eq!(never.unwrap_err().reason(), "ErrImageNeverPull");
    let never = registries.pull(&server.image("x:1"), PullPolicy::Never, &keys);
    assert!(never.is_ok());
}

/// T68: TLS is asked for unless the registry is listed.
#[test]
fn a_registry_is_spoken_to_with_tls_unless_it_is_listed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|_, to| answer(to, "200 OK", &[], b"{}"));
    let registries = Registries::new(config(dir.path(), &[]));
    let (kind, said) = fails(&registries, &server.image("x:1"));
    assert_eq!(kind, PullErrorKind::Unavailable, "{said}");
    assert!(said.contains("--plain-http"), "{said}");
    assert!(
        server
            .asked()
            .iter()
            .all(|asked| !asked.path.starts_with("/v2"))
    );
}

/// T71, T74: a registry that knows a digest does not get by it what another has sent.
#[test]
fn a_digest_alone_brings_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut owner = Shelf::default();
    let top = owner.wasm("1", &wasm());
    let thief = {
        let mut shelf = owner.clone();
        // It has the manifest, from wherever, and not the module.
        shelf.things.remove(&Digest::of(&wasm()).to_string());
        Server::start(move |asked, to| shelf.serve(asked, to))
    };
    let owner = Server::start(move |asked, to| owner.serve(asked, to));
    let registries = Registries::new(config(dir.path(), &[&owner.host, &thief.host]));
    pull(&registries, &owner.image("x:1")).unwrap();
    let pinned = format!("x@{}", top["digest"].as_str().unwrap());
    for name in ["x:1", "y:1", pinned.as_str()] {
        let error = pull(&registries, &thief.image(name)).unwrap_err();
        assert_eq!(error.kind(), Some(PullErrorKind::NotFound), "{error}");
    }
    // A repository of the same registry is asked, too, and has it.
    pull(&registries, &owner.image("y:1")).unwrap();
    let sent = owner
        .asked()
        .iter()
        .filter(|asked| asked.method == "GET" && asked.path.contains("/blobs/"))
        .count();
    assert_eq!(sent, 2);
    pull(&registries, &owner.image("x:1")).unwrap();
}

/// T69.
#[test]
fn a_registry_that_is_slow_or_never_ends_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let check = |handler: fn(&Asked, &mut std::net::TcpStream), text: &str| {
        let server = Server::start(handler);
        let mut config = config(dir.path(), &[&server.host]);
        config.patience.idle = Duration::from_millis(700);
        config.patience.bytes_per_second_min = 1 << 20;
        config.patience.pull = Duration::from_secs(10);
        let started = Instant::now();
        let (kind, said) = fails(&Registries::new(config), &server.image("x:1"));
        assert_eq!(kind, PullErrorKind::Unavailable, "{said}");
        assert!(said.contains(text), "{said}");
        assert!(started.elapsed() < Duration::from_secs(30));
    };
    // Nothing at all.
    check(|_, _| std::thread::sleep(Duration::from_secs(3)), "timeout");
    // A head, and then a byte now and then.
    check(
        |_, to| {
            let _ = to.write_all(
                b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 100000\r\n\r\n",
            );
            for _ in 0..100 {
                std::thread::sleep(Duration::from_millis(50));
                if to.write_all(b" ").is_err() {
                    return;
                }
            }
        },
        "too slow",
    );
    check(
        |_, to| {
            answer(
                to,
                "429 Too Many Requests",
                &[("retry-after", "1000000000")],
                b"",
            )
        },
        "too many requests",
    );
    check(
        |_, to| answer(to, "503 Service Unavailable", &[], b""),
        "503",
    );
}

/// T69: a body without an end is not read beyond what was promised.
#[test]
fn a_body_that_never_ends_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let mut shelf = Shelf::default();
    shelf.wasm("1", &wasm());
    let layer = Digest::of(&wasm()).to_string();
    let server = Server::start(move |asked, to| {
        if !asked.path.ends_with(&layer) {
            return shelf.serve(asked, to);
        }
        let _ = to.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        let chunk = [b"10000\r\n".as_slice(), &[0; 0x10000], b"\r\n"].concat();
        while to.write_all(&chunk).is_ok() {}
    });
    let (kind, said) = fails(&registries(dir.path(), &server), &server.image("x:1"));
    assert_eq!(kind, PullErrorKind::Corrupt, "{said}");
    assert!(said.contains("more came"), "{said}");
}

/// T69: the host can stop while a registry holds it up.
#[test]
fn stopping_ends_a_pull_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| std::thread::sleep(Duration::from_secs(20)));
    let mut config = config(dir.path(), &[&server.host]);
    config.patience.idle = Duration::from_secs(60);
    let registries = Registries::new(config);
    let started = Instant::now();
    std::thread::scope(|scope| {
        let pulling = scope.spawn(|| pull(&registries, &server.image("x:1")));
        while server.asked().is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        registries.stop();
        assert!(pulling.join().unwrap().is_err());
    });
    assert!(started.elapsed() < Duration::from_secs(15));
}

/// T70: the registry is not asked for what is no name. (The names are in `name.rs`.)
#[test]
fn a_name_that_is_none_asks_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let server = shelf(|_| {});
    let registries = registries(dir.path(), &server);
    let error = pull(&registries, &server.image("x@sha256:short")).unwrap_err();
    assert_eq!(error.reason(), "InvalidImageName");
    assert!(server.asked().is_empty() && !dir.path().join("lock").exists());
}
