//! Images that must be signed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use wasmjob_image::{
    Digest, Keyring, PullErrorKind, PullPolicy, Registries, RegistriesConfig, Signatures,
};

use crate::server::{MANIFEST, Server, Shelf};
use crate::{config, pull, wasm};

const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

struct Signer(EcdsaKeyPair);

impl Signer {
    fn new() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random);
        Self(pair.unwrap())
    }

    /// The public key as `cosign generate-key-pair` writes it.
    fn pem(&self) -> String {
        let head = STANDARD
            .decode("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgA=")
            .unwrap();
        let der = [&head[..], self.0.public_key().as_ref()].concat();
        format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(der)
        )
    }

    /// Signs, as cosign does, that `digest` is in `repository`; kept beside `of`.
    fn sign(&self, shelf: &mut Shelf, of: &str, digest: &str, repository: &str) {
        let payload = json!({"critical": {"identity": {"docker-reference": repository},
            "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature"}, "optional": null});
        let payload = payload.to_string().into_bytes();
        let signature = self.0.sign(&SystemRandom::new(), &payload).unwrap();
        let config = shelf.blob("application/vnd.oci.image.config.v1+json", b"{}");
        let mut layer = shelf.blob(SIMPLE, &payload);
        layer["annotations"] =
            json!({"dev.cosignproject.cosign/signature": STANDARD.encode(signature)});
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST,
            "config": config, "layers": [layer]});
        let tag = format!("{}.sig", of.replace(':', "-"));
        shelf.manifest(&tag, MANIFEST, &manifest);
    }
}

#[test]
fn only_what_the_key_has_signed_for_this_repository_comes() {
    let (signer, other) = (Signer::new(), Signer::new());
    let shelf = std::sync::Arc::new(std::sync::Mutex::new(Shelf::default()));
    let shown = std::sync::Arc::clone(&shelf);
    let server = Server::start(move |asked, to| shown.lock().unwrap().serve(asked, to));
    let top: Value = shelf.lock().unwrap().wasm("1", &wasm());
    let digest = top["digest"].as_str().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let plain = Registries::new(config(dir.path(), &[&server.host]));
    let image = server.image("team/x:1");
    pull(&plain, &image).unwrap();

    let mut signatures = Signatures::default();
    signatures
        .require(&server.image("team"), &signer.pem())
        .unwrap();
    let strict = Registries::new(RegistriesConfig {
        signatures,
        ..config(dir.path(), &[&server.host])
    });
    let refused = |text: &str| {
        // Also what came when nobody asked for a signature.
        for policy in [PullPolicy::IfNotPresent, PullPolicy::Always] {
            let error = strict
                .pull(&image, policy, &Keyring::default())
                .unwrap_err();
            assert_eq!(error.kind(), Some(PullErrorKind::Unsigned), "{error}");
            assert_eq!(error.reason(), "SignatureValidationFailed");
            assert!(
                error.is_terminal() && error.to_string().contains(text),
                "{error}"
            );
        }
    };
    refused("there is no signature");
    let repository = server.image("team/x");
    let sign = |by: &Signer, digest: &str, repository: &str| {
        by.sign(
            &mut shelf.lock().unwrap(),
            top["digest"].as_str().unwrap(),
            digest,
            repository,
        );
    };
    sign(&other, digest, &repository);
    refused("of another key");
    sign(&signer, &Digest::of(b"another").to_string(), &repository);
    refused("another image");
    sign(&signer, digest, &server.image("team/y"));
    refused("it is signed as");
    sign(&signer, digest, &repository);
    pull(&strict, &image).unwrap();
    let asked = server.asked().len();
    pull(&strict, &image).unwrap();
    assert_eq!(
        server.asked().len(),
        asked,
        "it was held against the key before"
    );
    pull(&strict, &server.image("elsewhere/x:1")).unwrap();
}
