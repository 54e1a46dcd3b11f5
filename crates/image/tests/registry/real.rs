//! A real registry: what we push it takes, what it sends we take.

use serde_json::{Value, json};
use wasmjob_image::{
    Digest, Keyring, NodeCredentials, PullErrorKind, PullPolicy, Registries, RegistriesConfig,
};

use crate::debian::Registry;
use crate::layers::{packed, refs, tar};
use crate::server::{GZIP, INDEX, MANIFEST, Shelf, ZSTD};
use crate::{config, pull, wasm};

/// Puts what is on a shelf into the registry, as `repository`.
fn fill(registry: &Registry, repository: &str, shelf: &Shelf, tags: &[&str]) {
    let base = format!("http://{}/v2/{repository}", registry.host);
    let put = |url: &str, media_type: &str, bytes: &[u8]| {
        let answer = ureq::put(url)
            .header("content-type", media_type)
            .send(bytes);
        assert_eq!(answer.unwrap().status(), 201, "{url}");
    };
    let is_manifest = |media_type: &str| [MANIFEST, INDEX].contains(&media_type);
    for (name, (media_type, bytes)) in &shelf.things {
        if is_manifest(media_type) || !name.starts_with("sha256:") {
            continue;
        }
        let begun = ureq::post(format!("{base}/blobs/uploads/"))
            .send_empty()
            .unwrap();
        let to = begun.headers()["location"].to_str().unwrap();
        put(
            &format!("{to}&digest={name}"),
            "application/octet-stream",
            bytes,
        );
    }
    for tag in tags {
        let (media_type, bytes) = &shelf.things[*tag];
        put(&format!("{base}/manifests/{tag}"), media_type, bytes);
    }
}

#[test]
fn a_module_goes_there_and_comes_back() {
    let Some(registry) = Registry::start(false) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let registries = Registries::new(config(dir.path(), &[&registry.host]));
    let image = format!("{}/team/tool:1", registry.host);
    let push = || registries.push(&image, "tool.wasm", &wasm(), "2026-01-01T00:00:00Z");
    let pushed = push().unwrap();
    assert_eq!(push().unwrap(), pushed, "the same bytes are the same image");
    let (id, _) = pull(&registries, &image).unwrap();
    assert_eq!(id, format!("{}/team/tool@{}", registry.host, pushed.digest));
    let (pinned, _) = pull(&registries, &id).unwrap();
    assert_eq!(pinned, id);
    let missing = pull(&registries, &format!("{}/team/tool:2", registry.host)).unwrap_err();
    assert_eq!(missing.kind(), Some(PullErrorKind::NotFound), "{missing}");
    let missing = pull(&registries, &format!("{}/nobody/here:1", registry.host)).unwrap_err();
    assert_eq!(missing.kind(), Some(PullErrorKind::NotFound), "{missing}");
}

#[test]
fn an_image_of_layers_behind_an_index_comes() {
    let Some(registry) = Registry::start(false) else {
        return;
    };
    let mut shelf = Shelf::default();
    let layers = [
        packed(GZIP, &tar(&[("bin/tool", &wasm()), ("etc/conf", b"a")])),
        packed(ZSTD, &tar(&[("etc/conf", b"b")])),
    ];
    let run = json!({"Entrypoint": ["/bin/tool"]});
    let mut inner: Value = shelf.image("inner", &run, &refs(&layers));
    inner["platform"] = json!({"os": "wasi", "architecture": "wasm"});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [inner]});
    let top = shelf.manifest("1", INDEX, &index);
    fill(&registry, "team/image", &shelf, &["inner", "1"]);
    let dir = tempfile::tempdir().unwrap();
    let registries = Registries::new(config(dir.path(), &[&registry.host]));
    let (id, _) = pull(&registries, &format!("{}/team/image:1", registry.host)).unwrap();
    assert!(id.ends_with(top["digest"].as_str().unwrap()), "{id}");
    let listed = &registries.list().unwrap()[0];
    assert_eq!(listed.config.as_ref().unwrap().entrypoint, ["/bin/tool"]);
    let conf = dir
        .path()
        .join("rootfs")
        .join(&listed.manifest.to_string()[7..])
        .join("etc/conf");
    assert_eq!(std::fs::read(conf).unwrap(), b"b");
}

#[test]
fn a_registry_that_asks_for_a_password_gets_it() {
    let Some(registry) = Registry::start(true) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.json");
    std::fs::write(&file, registry.login()).unwrap();
    let with = |file: Option<std::path::PathBuf>, name: &str| {
        Registries::new(RegistriesConfig {
            credentials: NodeCredentials { file },
            ..config(&dir.path().join(name), &[&registry.host])
        })
    };
    let image = format!("{}/team/tool:1", registry.host);
    let nobody = with(None, "nobody");
    let refused = nobody
        .push(&image, "tool.wasm", &wasm(), "2026-01-01T00:00:00Z")
        .unwrap_err();
    assert_eq!(
        refused.kind(),
        Some(PullErrorKind::Unauthorized),
        "{refused}"
    );
    let host = with(Some(file), "host");
    host.push(&image, "tool.wasm", &wasm(), "2026-01-01T00:00:00Z")
        .unwrap();
    pull(&host, &image).unwrap();
    let error = pull(&nobody, &image).unwrap_err();
    assert_eq!(error.kind(), Some(PullErrorKind::Unauthorized), "{error}");
    // A pod's secrets: the wrong one first, and then the right one.
    let wrong = json!({"auths": {&registry.host: {"username": "robot", "password": "no"}}});
    let mut keys = Keyring::docker_config_json(wrong.to_string().as_bytes()).unwrap();
    let error = nobody.pull(&image, PullPolicy::Always, &keys).unwrap_err();
    assert_eq!(error.kind(), Some(PullErrorKind::Unauthorized), "{error}");
    keys.add(Keyring::docker_config_json(registry.login().as_bytes()).unwrap());
    let (id, _) = nobody
        .pull(&image, PullPolicy::IfNotPresent, &keys)
        .unwrap();
    let digest = id.rsplit('@').next().unwrap().parse::<Digest>();
    assert!(digest.is_ok(), "{id}");
    // It is here now, and still not for everybody.
    assert!(pull(&nobody, &image).is_err());
}
