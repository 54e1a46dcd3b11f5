//! A registry that does what a test wants, on loopback.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::{Value, json};
use wasmjob_image::Digest;

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
pub(crate) const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(crate) const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
pub(crate) const TAR: &str = "application/vnd.oci.image.layer.v1.tar";

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

type Handler = dyn Fn(&Asked, &mut TcpStream) + Send + Sync;

/// A server; it ends with this.
pub(crate) struct Server {
    pub(crate) host: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(handler: impl Fn(&Asked, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (asked, stop) = (
            Arc::<Mutex<Vec<Asked>>>::default(),
            Arc::<AtomicBool>::default(),
        );
        let handler: Arc<Handler> = Arc::new(handler);
        let (seen, stopped) = (Arc::clone(&asked), Arc::clone(&stop));
        let thread = std::thread::Builder::new().spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (handler, seen) = (Arc::clone(&handler), Arc::clone(&seen));
                // A client that went away ends its thread by an error of its stream.
                let _ = std::thread::Builder::new()
                    .spawn(move || serve(stream.unwrap(), &*handler, &seen));
            }
        });
        Self {
            host,
            asked,
            stop,
            thread: Some(thread.unwrap()),
        }
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn image(&self, rest: &str) -> String {
        format!("{}/{rest}", self.host)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(&self.host);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(mut stream: TcpStream, handler: &Handler, seen: &Mutex<Vec<Asked>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    if reader.read_line(&mut line).is_err() {
        return;
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return;
    };
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) <= 2 {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    let length: usize = headers
        .get("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length.min(64 << 20)];
    let _ = reader.read_exact(&mut body);
    let asked = Asked {
        method,
        path,
        headers,
    };
    seen.lock().unwrap().push(asked.clone());
    handler(&asked, &mut stream);
}

/// Answers a request.
pub(crate) fn answer(to: &mut TcpStream, status: &str, headers: &[(&str, &str)], body: &[u8]) {
    let mut head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    let _ = to.write_all(head.as_bytes());
    let _ = to.write_all(body);
}

/// What a registry holds.
#[derive(Clone, Default)]
pub(crate) struct Shelf {
    /// Blobs and manifests, by what stands last in their path.
    pub(crate) things: HashMap<String, (String, Vec<u8>)>,
}

impl Shelf {
    /// Puts a blob; its descriptor.
    pub(crate) fn blob(&mut self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes).to_string();
        self.things.insert(
            digest.clone(),
            ("application/octet-stream".to_owned(), bytes.to_vec()),
        );
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    /// Puts a manifest under a tag and its digest; its descriptor.
    pub(crate) fn manifest(&mut self, tag: &str, media_type: &str, manifest: &Value) -> Value {
        let bytes = manifest.to_string().into_bytes();
        let digest = Digest::of(&bytes).to_string();
        let thing = (media_type.to_owned(), bytes.clone());
        self.things.insert(tag.to_owned(), thing.clone());
        self.things.insert(digest.clone(), thing);
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    /// Puts a wasm artifact.
    pub(crate) fn wasm(&mut self, tag: &str, wasm: &[u8]) -> Value {
        let config = self.blob(WASM_CONFIG, b"{}");
        let layer = self.blob("application/wasm", wasm);
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST,
            "config": config, "layers": [layer]});
        self.manifest(tag, MANIFEST, &manifest)
    }

    /// Puts an image of layers: how each is packed, what it is packed, and unpacked.
    pub(crate) fn image(
        &mut self,
        tag: &str,
        run: &Value,
        layers: &[(&str, &[u8], Digest)],
    ) -> Value {
        let diff_ids: Vec<_> = layers.iter().map(|(_, _, diff_id)| diff_id).collect();
        let config = json!({"os": "wasi", "architecture": "wasm", "config": run,
            "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let config = self.blob(CONFIG, config.to_string().as_bytes());
        let layers: Vec<_> = layers
            .iter()
            .map(|(media_type, bytes, _)| self.blob(media_type, bytes))
            .collect();
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST,
            "config": config, "layers": layers});
        self.manifest(tag, MANIFEST, &manifest)
    }

    /// Answers as a registry should.
    pub(crate) fn serve(&self, asked: &Asked, to: &mut TcpStream) {
        let last = asked.path.rsplit('/').next().unwrap_or_default();
        let Some((media_type, bytes)) = self.things.get(last) else {
            let body = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
            return answer(to, "404 Not Found", &[], body);
        };
        let digest = Digest::of(bytes).to_string();
        let headers = [
            ("content-type", media_type.as_str()),
            ("docker-content-digest", digest.as_str()),
        ];
        let from = asked.header("range").strip_prefix("bytes=");
        let from = from.and_then(|range| range.strip_suffix('-')?.parse::<usize>().ok());
        match (asked.method.as_str(), from) {
            ("HEAD", _) => {
                let _ = to.write_all(
                    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: {media_type}\r\ndocker-content-digest: {digest}\r\ncontent-length: {}\r\n\r\n", bytes.len()).as_bytes(),
                );
            }
            (_, Some(from)) if from < bytes.len() => {
                let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
                let headers = [headers[0], headers[1], ("content-range", range.as_str())];
                answer(to, "206 Partial Content", &headers, &bytes[from..]);
            }
            _ => answer(to, "200 OK", &headers, bytes),
        }
    }
}
