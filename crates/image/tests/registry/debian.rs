//! Debian's docker-registry, on loopback.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

/// A registry that runs; it ends with this.
pub(crate) struct Registry {
    pub(crate) host: String,
    child: Child,
    _dir: tempfile::TempDir,
}

/// The user and the password of one that asks for them.
pub(crate) const USER: (&str, &str) = ("robot", "hunter2");
/// The same, as the registry keeps it.
const HTPASSWD: &str = "robot:$2b$05$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8.\n";

impl Registry {
    /// Starts one, which asks for a password if it should; `None` if there is none to be had.
    pub(crate) fn start(asks: bool) -> Option<Self> {
        Self::start_with(asks, None)
    }

    /// Starts one, with TLS if it has a certificate and a key, in PEM.
    pub(crate) fn start_with(asks: bool, tls: Option<(&str, &str)>) -> Option<Self> {
        let Some(program) = program() else {
            assert!(
                std::env::var_os("CI").is_none(),
                "there is no docker-registry: scripts/fetch-registry.sh fetches one"
            );
            println!("skipped: there is no docker-registry");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let passwords = dir.path().join("htpasswd");
        std::fs::write(&passwords, HTPASSWD).unwrap();
        let tls = tls.map_or_else(String::new, |(certificate, key)| {
            let paths = [("cert.pem", certificate), ("key.pem", key)].map(|(name, pem)| {
                let path = dir.path().join(name);
                std::fs::write(&path, pem).unwrap();
                path.display().to_string()
            });
            format!(", tls: {{certificate: {}, key: {}}}", paths[0], paths[1])
        });
        let data = dir.path().join("data");
        let auth = match asks {
            true => format!(
                "auth: {{htpasswd: {{realm: r, path: {}}}}}\n",
                passwords.display()
            ),
            false => String::new(),
        };
        let config = dir.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\nhttp: {{addr: '127.0.0.1:0'{tls}}}\n{auth}",
            data.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut child = Command::new(program)
            .arg("serve")
            .arg(&config)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let (found, host) = channel();
        // Reads on, so that the registry never waits for somebody to read.
        let reader = std::thread::Builder::new().spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("listening on ") {
                    let host: String = rest
                        .chars()
                        .take_while(|c| c.is_ascii_digit() || *c == '.' || *c == ':')
                        .collect();
                    let _ = found.send(host);
                }
            }
        });
        reader.unwrap();
        let host = host.recv_timeout(Duration::from_secs(30));
        if host.is_err() {
            let _ = child.kill();
        }
        Some(Self {
            host: host.expect("the registry does not say where it listens"),
            child,
            _dir: dir,
        })
    }

    /// A file as `docker login` writes it.
    pub(crate) fn login(&self) -> String {
        let (user, password) = USER;
        format!(
            r#"{{"auths": {{"{}": {{"username": "{user}", "password": "{password}"}}}}}}"#,
            self.host
        )
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program: on `PATH`, fetched before, or fetched now.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|dir| dir.join("docker-registry"));
    if let Some(found) = installed.into_iter().find(|program| program.is_file()) {
        return Some(found);
    }
    // Of several tests that look, one fetches.
    let target = std::env::current_exe()
        .ok()?
        .ancestors()
        .nth(3)?
        .join("registry");
    std::fs::create_dir_all(&target).ok()?;
    let lock = std::fs::File::create(target.join("lock")).ok()?;
    lock.lock().ok()?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/fetch-registry.sh");
    let output = Command::new("bash")
        .arg(script)
        .arg(&target)
        .output()
        .ok()?;
    let found = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(found.trim()))
}
