//! Answers of a real Kubernetes server, which tests compare with. They are not part
//! of this repository; without them the tests say that they skip.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The folder of the answers, if it is there.
pub(crate) fn folder() -> Option<PathBuf> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|parent| parent.join("shared/vectors/kubernetes-1.36"))
        .find(|path| path.is_dir());
    if found.is_none() {
        println!("skipped: no shared/vectors/kubernetes-1.36 above the crate");
    }
    found
}

/// The JSON in one file of that folder.
pub(crate) fn json(name: &str) -> Option<Value> {
    let bytes = std::fs::read(folder()?.join(name)).unwrap();
    Some(serde_json::from_slice(&bytes).unwrap())
}
