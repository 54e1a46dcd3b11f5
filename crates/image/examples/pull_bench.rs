//! What pulling costs, against the bare libraries under it: a GET into memory and a
//! SHA-256 of it. From Debian's docker-registry on loopback. With the program as argument
//! also how long `wasmjob run` takes for an image of a registry.
#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark, with what it shares with tests"
)]

#[path = "../tests/registry/debian.rs"]
mod debian;

use std::io::Read as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use wasmjob_image::{Keyring, PullPolicy, Registries, RegistriesConfig};

const ROUNDS: usize = 20;
const CREATED: &str = "2026-01-01T00:00:00Z";

/// A module whose data are `bytes` of noise.
fn module(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = Vec::with_capacity(bytes);
    while noise.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend(state.to_le_bytes());
    }
    let text = "(module (memory (export \"memory\") 1) (func (export \"_start\")))";
    let mut wasm = wat::parse_str(text).unwrap();
    // A custom section called "x".
    wasm.push(0);
    let mut length = noise.len() + 2;
    while length >= 0x80 {
        wasm.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    wasm.push(u8::try_from(length).unwrap());
    wasm.extend([1, b'x']);
    wasm.extend(noise);
    wasm
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all[all.len() / 2]
}

fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn main() {
    let Some(registry) = debian::Registry::start(false) else {
        println!("Pulls were not measured: there is no docker-registry.");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let registries = Registries::new(RegistriesConfig {
        dir: dir.path().join("images"),
        plain_http: vec![registry.host.clone()],
        ..RegistriesConfig::default()
    });
    let agent = ureq::Agent::new_with_defaults();
    println!("| pull from a registry on loopback | ms | MB/s | of the bare GET and SHA-256 |");
    println!("|---|---|---|---|");
    for (what, bytes) in [
        ("64 KiB", 64 << 10),
        ("1 MiB", 1 << 20),
        ("60 MiB", 60 << 20),
    ] {
        let wasm = module(bytes);
        let name = format!("{}/bench/m{bytes}:1", registry.host);
        registries.push(&name, "m.wasm", &wasm, CREATED).unwrap();
        let digest: String = Sha256::digest(&wasm)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        let url = format!(
            "http://{}/v2/bench/m{bytes}/blobs/sha256:{digest}",
            registry.host
        );
        let (mut bare, mut pulls) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            bare.push(timed(|| {
                let mut got = Vec::with_capacity(wasm.len());
                let mut answer = agent.get(&url).call().unwrap();
                answer.body_mut().as_reader().read_to_end(&mut got).unwrap();
                let found: String = Sha256::digest(&got)
                    .iter()
                    .map(|b| format!("{b:02x}"))
                    .collect();
                assert_eq!(found, digest);
            }));
            registries.prune(true).unwrap();
            pulls.push(timed(|| {
                let keys = Keyring::default();
                registries.pull(&name, PullPolicy::Always, &keys).unwrap();
            }));
        }
        let (bare, pull) = (median(bare).as_secs_f64(), median(pulls).as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a size")]
        let rate = bytes as f64 / 1e6 / pull;
        println!(
            "| {what} | {:.1} | {rate:.0} | {:.2}× |",
            pull * 1e3,
            pull / bare
        );
    }
    let Some(program) = std::env::args_os().nth(1) else {
        return;
    };
    println!();
    starts(Path::new(&program), dir.path(), &registry.host, &registries);
}

/// `wasmjob run` of a module that does nothing, from a file and from the registry.
fn starts(program: &Path, home: &Path, host: &str, registries: &Registries) {
    let wasm = wat::parse_str("(module (memory (export \"memory\") 1) (func (export \"_start\")))");
    let wasm = wasm.unwrap();
    let name = format!("{host}/bench/nothing:1");
    registries
        .push(&name, "nothing.wasm", &wasm, CREATED)
        .unwrap();
    std::fs::write(home.join("nothing.wasm"), &wasm).unwrap();
    std::fs::create_dir_all(home.join(".config/wasmjob")).unwrap();
    let config = format!("[images]\nplain-http = [\"{host}\"]\n");
    std::fs::write(home.join(".config/wasmjob/config.toml"), config).unwrap();
    let job = |file: &str, image: &str| {
        let text = format!(
            "{{apiVersion: batch/v1, kind: Job, metadata: {{name: j}}, spec: {{template: {{spec: {{restartPolicy: Never, \
             containers: [{{name: c, image: '{image}'}}]}}}}}}}}"
        );
        std::fs::write(home.join(file), text).unwrap();
        home.join(file)
    };
    let (local, remote) = (
        job("local.yaml", "./nothing.wasm"),
        job("remote.yaml", &name),
    );
    let cache = home.join("cache");
    let run = |file: &Path, cold: bool| {
        median(
            (0..ROUNDS)
                .map(|_| {
                    if cold {
                        let _ = std::fs::remove_dir_all(&cache);
                    }
                    timed(|| {
                        let mut command = Command::new(program);
                        let command = command.arg("run").arg(file).env("HOME", home);
                        let command = command
                            .env("XDG_CACHE_HOME", &cache)
                            .env_remove("XDG_CONFIG_HOME");
                        assert!(command.output().unwrap().status.success());
                    })
                })
                .collect(),
        )
        .as_secs_f64()
            * 1e3
    };
    println!("| `wasmjob run` of a module that does nothing | ms |");
    println!("|---|---|");
    for (what, file, cold) in [
        ("a file, compiled before", &local, false),
        ("a file, the cache empty", &local, true),
        ("an image that is here, compiled before", &remote, false),
        ("an image that is pulled and compiled", &remote, true),
    ] {
        run(file, cold);
        println!("| {what} | {:.1} |", run(file, cold));
    }
}
