//! What is pulled stays, once, and goes when it should; row T71.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use wasmjob_image::{
    Digest, Fetched, ImageError, ImageLimits, Images, Keyring, PullErrorKind, PullPolicy,
    Registries, RegistriesConfig, Wanted,
};
use wasmjob_sandbox::{Engine, Limits};

use crate::layers::{packed, refs, tar};
use crate::server::{GZIP, INDEX, Server, Shelf, TAR, ZSTD, answer};
use crate::{config, pull, registries, wasm};

fn images(registries: Registries) -> Images {
    let limits = Limits {
        guests: 4,
        ..Limits::default()
    };
    let engine = Engine::builder().limits(limits).build().unwrap();
    Images::builder()
        .registries(Arc::new(registries))
        .build(engine)
}

fn is_blob(asked: &crate::server::Asked) -> bool {
    asked.method == "GET" && asked.path.contains("/blobs/")
}

#[test]
fn an_artifact_is_pulled_once_and_has_its_name_and_digest() {
    let mut shelf = Shelf::default();
    let digest = shelf.wasm("1", &wasm())["digest"].clone();
    let server = Server::start(move |asked, to| shelf.serve(asked, to));
    let dir = tempfile::tempdir().unwrap();
    let images = images(registries(dir.path(), &server));
    let reference = server.image("team/tool:1");
    let wanted = Wanted::new(&reference, dir.path());
    assert!(images.must_pull(&wanted));
    let image = images.get(&wanted).unwrap();
    assert_eq!(
        *image.id,
        format!("{}@{}", server.image("team/tool"), digest.as_str().unwrap())
    );
    assert_eq!(image.config.entrypoint, ["tool"]);
    assert!(matches!(image.fetched, Fetched::Pulled { .. }));
    let asked = server.asked().len();
    assert!(!images.must_pull(&wanted));
    assert_eq!(images.get(&wanted).unwrap().fetched, Fetched::Present);
    assert_eq!(
        server.asked().len(),
        asked,
        "nobody is asked for what is here"
    );
    let always = Wanted {
        policy: PullPolicy::Always,
        ..wanted
    };
    images.get(&always).unwrap();
    assert_eq!(
        server.asked().len(),
        asked + 1,
        "only the name is looked up"
    );
}

#[test]
fn an_image_with_files_has_a_program_and_a_config() {
    let base = tar(&[
        ("bin/first", &wasm()),
        ("etc/gone", b"x"),
        ("etc/kept", b"old"),
    ]);
    let upper = tar(&[
        ("etc/.wh.gone", b""),
        ("etc/kept", b"new"),
        ("app/second", &wasm()),
    ]);
    for (lower, over) in [(GZIP, ZSTD), (TAR, GZIP)] {
        let mut shelf = Shelf::default();
        let layers = [packed(lower, &base), packed(over, &upper)];
        let run = json!({"Entrypoint": ["first", "-a"], "Cmd": ["b"], "WorkingDir": "/app",
            "Env": ["PATH=/bin", "A=B=C"]});
        let mut manifest = shelf.image("image", &run, &refs(&layers));
        manifest["platform"] = json!({"os": "wasi", "architecture": "wasm"});
        let other = json!({"mediaType": manifest["mediaType"], "digest": Digest::of(b"o"), "size": 1,
            "platform": {"os": "linux", "architecture": "arm64"}});
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [other, manifest]});
        let top = shelf.manifest("1", INDEX, &index);
        let server = Server::start(move |asked, to| shelf.serve(asked, to));
        let dir = tempfile::tempdir().unwrap();
        let images = images(registries(dir.path(), &server));
        let reference = server.image("x:1");
        let wanted = Wanted::new(&reference, dir.path());
        let image = images.get(&wanted).unwrap();
        assert!(image.id.ends_with(top["digest"].as_str().unwrap()));
        assert_eq!(image.config.entrypoint, ["first", "-a"]);
        assert_eq!(image.config.env[1], ("A".to_owned(), "B=C".to_owned()));
        let root = image.files.as_ref().unwrap().open().unwrap();
        let kept = rustix::fs::openat(
            &root,
            "etc/kept",
            rustix::fs::OFlags::RDONLY,
            rustix::fs::Mode::empty(),
        );
        let mut text = String::new();
        std::io::Read::read_to_string(&mut std::fs::File::from(kept.unwrap()), &mut text).unwrap();
        assert_eq!(text, "new");
        let gone = rustix::fs::statat(&root, "etc/gone", rustix::fs::AtFlags::empty());
        assert!(gone.is_err());
        let mode = rustix::fs::statat(&root, "bin/first", rustix::fs::AtFlags::empty());
        assert_eq!(
            mode.unwrap().st_mode & 0o7777,
            0o444,
            "no setuid, and nobody writes"
        );
        let of = |command| {
            images.get(&Wanted {
                command: Some(command),
                ..wanted
            })
        };
        assert!(of("./second").is_ok() && of("/app/second").is_ok());
        let missing = |command| of(command).err().unwrap().to_string();
        assert!(missing("second").contains("executable file not found in $PATH"));
        assert!(missing("/bin/sh").contains("no such file"));
        assert!(missing("/etc/kept").contains("is not WebAssembly"));
        assert!(missing("../../../../../etc/passwd").contains("no such file"));
    }
}

/// T71.
#[test]
fn a_tag_that_moves_is_followed_only_where_that_is_asked_for() {
    let shelf = Arc::new(Mutex::new(Shelf::default()));
    let first = shelf.lock().unwrap().wasm("1", &wasm())["digest"].clone();
    let shown = Arc::clone(&shelf);
    let server = Server::start(move |asked, to| shown.lock().unwrap().serve(asked, to));
    let dir = tempfile::tempdir().unwrap();
    let registries = registries(dir.path(), &server);
    let image = server.image("x:1");
    let is = |pulled: (String, Fetched), digest: &serde_json::Value| {
        assert!(pulled.0.ends_with(digest.as_str().unwrap()), "{}", pulled.0);
    };
    is(pull(&registries, &image).unwrap(), &first);
    let other = wat::parse_str("(module (func (export \"_start\")))").unwrap();
    let second = shelf.lock().unwrap().wasm("1", &other)["digest"].clone();
    is(pull(&registries, &image).unwrap(), &first);
    let keys = Keyring::default();
    is(
        registries.pull(&image, PullPolicy::Always, &keys).unwrap(),
        &second,
    );
    is(pull(&registries, &image).unwrap(), &second);
    // The digest stands for what it stood for.
    let pinned = server.image(&format!("x@{}", first.as_str().unwrap()));
    is(pull(&registries, &pinned).unwrap(), &first);
    let never = registries.pull(&server.image("y:1"), PullPolicy::Never, &keys);
    assert!(matches!(never, Err(ImageError::NeverPull)));
    let missing = pull(&registries, &server.image("y:2")).unwrap_err();
    assert_eq!(missing.kind(), Some(PullErrorKind::NotFound));
    assert!(
        missing.to_string().contains("manifest unknown"),
        "{missing}"
    );
}

/// T71: what somebody uses stays, what was not used for the longest goes.
#[test]
fn the_budget_takes_the_longest_unused_and_nothing_in_use() {
    let module = |n: u8| {
        let text = format!(
            "(module (memory 1) (data (i32.const 0) \"{}\") (func (export \"_start\")))",
            "x".repeat(1000 + usize::from(n))
        );
        wat::parse_str(text).unwrap()
    };
    let mut shelf = Shelf::default();
    for n in 0..4 {
        shelf.wasm(&n.to_string(), &module(n));
    }
    let server = Server::start(move |asked, to| shelf.serve(asked, to));
    let dir = tempfile::tempdir().unwrap();
    let images = images(Registries::new(RegistriesConfig {
        limits: ImageLimits {
            disk_bytes: 2500,
            ..ImageLimits::default()
        },
        ..config(dir.path(), &[&server.host])
    }));
    let get = |n: u8| {
        images
            .get(&Wanted::new(&server.image(&format!("x:{n}")), dir.path()))
            .unwrap()
    };
    let held = get(0);
    let names = || {
        let all = images.registries().unwrap().list().unwrap();
        let mut names: Vec<_> = all.iter().flat_map(|image| image.names.clone()).collect();
        names.sort();
        names
            .iter()
            .map(|name| name.rsplit(':').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    drop(get(1));
    drop(get(2));
    assert_eq!(
        names(),
        ["0", "2"],
        "the first is in use, the second was used before the third"
    );
    // Another process that cleans up sees the same.
    let other = Registries::new(config(dir.path(), &[]));
    let pruned = other.prune(true).unwrap();
    assert_eq!(pruned.images, [server.image("x:2")]);
    assert!(pruned.bytes > 1000);
    assert_eq!(names(), ["0"]);
    drop(held);
    assert_eq!(other.prune(true).unwrap().images.len(), 1);
    assert!(names().is_empty());
    for left in ["blobs", "names", "images", "partial", "aside"] {
        assert_eq!(
            dir.path().join(left).read_dir().unwrap().count(),
            0,
            "{left}"
        );
    }
}

#[test]
fn pulls_of_one_image_are_joined() {
    let mut shelf = Shelf::default();
    shelf.wasm("1", &wasm());
    let server = Server::start(move |asked, to| {
        if is_blob(asked) {
            std::thread::sleep(std::time::Duration::from_millis(300));
        }
        shelf.serve(asked, to);
    });
    let dir = tempfile::tempdir().unwrap();
    // Two hosts of one directory, as two processes would be.
    let hosts = [
        registries(dir.path(), &server),
        registries(dir.path(), &server),
    ];
    std::thread::scope(|scope| {
        for n in 0..6 {
            let (host, image) = (&hosts[n % 2], server.image("x:1"));
            scope.spawn(move || pull(host, &image).unwrap());
        }
    });
    let blobs = server.asked().iter().filter(|asked| is_blob(asked)).count();
    assert_eq!(blobs, 1);
}

#[test]
fn a_blob_that_broke_off_is_gone_on_with() {
    let module = {
        let text = format!(
            "(module (memory 4) (data (i32.const 0) \"{}\") (func (export \"_start\")))",
            "x".repeat(200_000)
        );
        wat::parse_str(text).unwrap()
    };
    let mut shelf = Shelf::default();
    shelf.wasm("1", &module);
    let (broken, ranged) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
    let (breaks, ranges) = (Arc::clone(&broken), Arc::clone(&ranged));
    let half = module.len() / 2;
    let server = Server::start(move |asked, to| {
        if is_blob(asked) && breaks.fetch_add(1, Ordering::Relaxed) < 3 {
            // Even an honest length does not help when the line is cut.
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
                module.len()
            );
            let _ = to.write_all(head.as_bytes());
            let _ = to.write_all(&module[..half]);
            return;
        }
        if is_blob(asked) {
            ranges.store(
                asked.header("range").starts_with("bytes="),
                Ordering::Relaxed,
            );
        }
        shelf.serve(asked, to);
    });
    let dir = tempfile::tempdir().unwrap();
    pull(&registries(dir.path(), &server), &server.image("x:1")).unwrap();
    assert!(ranged.load(Ordering::Relaxed), "only the rest is asked for");
    assert!(broken.load(Ordering::Relaxed) > 1);
}

#[test]
fn what_came_of_a_broken_pull_outlives_other_pulls_and_no_prune() {
    let mut shelf = Shelf::default();
    shelf.wasm("good", &wasm());
    let layer = wat::parse_str("(module (memory 1) (func (export \"_start\")))").unwrap();
    shelf.wasm("broken", &layer);
    let digest = Digest::of(&layer);
    let server = Server::start(move |asked, to| {
        if asked.path.ends_with(&digest.to_string()) {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", layer.len());
            let _ = to.write_all(head.as_bytes());
            let _ = to.write_all(&layer[..8]);
            return;
        }
        shelf.serve(asked, to);
    });
    let dir = tempfile::tempdir().unwrap();
    let registries = registries(dir.path(), &server);
    assert!(pull(&registries, &server.image("x:broken")).is_err());
    pull(&registries, &server.image("x:good")).unwrap();
    let place = Digest::of(format!("{}@{digest}", server.image("x")).as_bytes());
    let partial = dir.path().join("partial").join(&place.to_string()[7..]);
    assert_eq!(partial.metadata().unwrap().len(), 8);
    registries.prune(false).unwrap();
    assert!(!partial.exists());
    assert_eq!(registries.list().unwrap().len(), 1);
}

#[test]
fn what_a_dead_process_left_is_neither_believed_nor_in_the_way() {
    let mut shelf = Shelf::default();
    let layers = [packed(GZIP, &tar(&[("x", &wasm())]))];
    let manifest = shelf.image("1", &json!({"Entrypoint": ["/x"]}), &refs(&layers));
    let server = Server::start(move |asked, to| shelf.serve(asked, to));
    let dir = tempfile::tempdir().unwrap();
    let digits = manifest["digest"].as_str().unwrap()[7..].to_owned();
    // Half a download of other bytes, half a directory, no record.
    let write = |path: String| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "garbage").unwrap();
    };
    let layer = Digest::of(&layers[0].1);
    let place = format!("{}@{layer}", server.image("x"));
    write(format!(
        "partial/{}",
        &Digest::of(place.as_bytes()).to_string()[7..]
    ));
    write(format!("rootfs/{digits}/garbage"));
    write("aside/left/garbage".to_owned());
    write(format!("images/{digits}.json"));
    let registries = registries(dir.path(), &server);
    pull(&registries, &server.image("x:1")).unwrap();
    let files: Vec<_> = std::fs::read_dir(dir.path().join("rootfs").join(&digits))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(files, ["x"]);
    // A blob that rots on the disk is noticed, and comes anew.
    let mut shelf = Shelf::default();
    shelf.wasm("2", &wasm());
    let server = Server::start(move |asked, to| shelf.serve(asked, to));
    let images = images(Registries::new(config(dir.path(), &[&server.host])));
    let reference = server.image("y:2");
    let wanted = Wanted::new(&reference, dir.path());
    images.get(&wanted).unwrap();
    let blob = Digest::of(&wasm()).to_string();
    std::fs::write(dir.path().join("blobs").join(&blob[7..]), "rotten").unwrap();
    assert!(
        images
            .get(&wanted)
            .err()
            .unwrap()
            .to_string()
            .contains("damaged")
    );
    images.get(&wanted).unwrap();
}

#[test]
fn a_mirror_is_asked_first_and_is_not_the_last_word() {
    let mut shelf = Shelf::default();
    shelf.wasm("1", &wasm());
    let origin = {
        let shelf = shelf.clone();
        Server::start(move |asked, to| shelf.serve(asked, to))
    };
    let mirror = Server::start(move |asked, to| match asked.path.contains("/only-there/") {
        true => Shelf::default().serve(asked, to),
        false => shelf.serve(asked, to),
    });
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), &[&origin.host, &mirror.host]);
    config
        .mirrors
        .insert(origin.host.clone(), vec![mirror.host.clone()]);
    let registries = Registries::new(config);
    let (id, _) = pull(&registries, &origin.image("here:1")).unwrap();
    assert!(id.starts_with(&origin.image("here@sha256:")), "{id}");
    assert!(origin.asked().is_empty());
    pull(&registries, &origin.image("only-there:1")).unwrap();
    assert!(!origin.asked().is_empty());
}

/// T72: a file that is swapped while it is read is one or the other, never a mixture.
#[test]
fn a_local_file_is_read_once_and_is_what_it_was_read_as() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| {
        let text = format!(
            "(module (memory 1) (data (i32.const 0) \"{name}\") (func (export \"_start\")))"
        );
        let bytes = wat::parse_str(text).unwrap();
        std::fs::write(dir.path().join(name), &bytes).unwrap();
        Digest::of(&bytes)
    });
    let images = images(Registries::new(config(&dir.path().join("images"), &[])));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0;
            while !done.load(Ordering::Relaxed) {
                n += 1;
                let aside = dir.path().join("aside");
                std::os::unix::fs::symlink(["first", "second"][n % 2], &aside).unwrap();
                std::fs::rename(&aside, dir.path().join("m.wasm")).unwrap();
            }
        });
        let wanted = Wanted {
            mentions: "first",
            ..Wanted::new("./m.wasm", dir.path())
        };
        for _ in 0..300 {
            // Before the first link there is none.
            let Ok(image) = images.get(&wanted) else {
                continue;
            };
            assert!([first, second].contains(&image.digest));
            assert_eq!(image.mentions, image.digest == first);
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// Docker Hub's way: a token server, for nobody in particular, for a user, for a token of
/// his own.
#[test]
fn tokens_are_fetched_from_where_the_registry_says() {
    let mut shelf = Shelf::default();
    shelf.wasm("1", &wasm());
    let own = Arc::<Mutex<String>>::default();
    let host = Arc::clone(&own);
    let server = Server::start(move |asked, to| {
        let realm = format!("http://{}/token", host.lock().unwrap());
        if asked.path.starts_with("/token") {
            let scoped = asked.path.contains("service=hub&scope=repository:team/");
            let token = match (asked.method.as_str(), asked.header("authorization")) {
                _ if !scoped && asked.method == "GET" => "unscoped",
                ("POST", _) => "of-a-token",
                // robot:hunter2
                (_, "Basic cm9ib3Q6aHVudGVyMg==") => "of-a-user",
                (_, "") => "of-nobody",
                _ => return answer(to, "401 Unauthorized", &[], b""),
            };
            let body = json!({"token": token, "expires_in": 300}).to_string();
            return answer(to, "200 OK", &[], body.as_bytes());
        }
        let wanted: &[&str] = match asked.path.contains("/public/") {
            true => &["Bearer of-nobody", "Bearer of-a-user", "Bearer of-a-token"],
            false => &["Bearer of-a-user", "Bearer of-a-token"],
        };
        if wanted.contains(&asked.header("authorization")) {
            return shelf.serve(asked, to);
        }
        let challenge = format!("Bearer realm=\"{realm}\",service=\"hub\"");
        answer(
            to,
            "401 Unauthorized",
            &[("www-authenticate", &challenge)],
            b"",
        );
    });
    own.lock().unwrap().clone_from(&server.host);
    let dir = tempfile::tempdir().unwrap();
    let registries = registries(dir.path(), &server);
    let login = |auth: serde_json::Value| {
        let keys = json!({"auths": {&server.host: auth}});
        Keyring::docker_config_json(keys.to_string().as_bytes()).unwrap()
    };
    let nobody = Keyring::default();
    let user = login(json!({"username": "robot", "password": "hunter2"}));
    let wrong = login(json!({"username": "robot", "password": "wrong"}));
    let token = login(json!({"identitytoken": "t"}));
    let pull = |name: &str, keys: &Keyring| {
        let image = server.image(&format!("team/{name}/x:1"));
        registries
            .pull(&image, PullPolicy::Always, keys)
            .map_err(|error| error.kind().unwrap())
    };
    assert!(pull("public", &nobody).is_ok());
    assert_eq!(pull("private", &nobody), Err(PullErrorKind::Unauthorized));
    assert_eq!(pull("private", &wrong), Err(PullErrorKind::Unauthorized));
    assert!(pull("private", &user).is_ok() && pull("private", &token).is_ok());
    let mut both = wrong;
    both.add(user);
    assert!(pull("private", &both).is_ok(), "the second of two is tried");
}
