//! Images that are files: relative to the manifest here, absolute for the daemon.
//!
//! A daemon does not know where a manifest was, and runs in a directory of its own.

use std::path::Path;

use serde_json::Value;

/// Where kinds have the specification of their pods.
const POD_SPECS: [&str; 3] = [
    "/spec",
    "/spec/template/spec",
    "/spec/jobTemplate/spec/template/spec",
];

/// Makes the images of `object` that are relative paths absolute, from `dir` on.
pub(crate) fn resolve(object: &mut Value, dir: &Path) {
    for pointer in POD_SPECS {
        for list in ["containers", "initContainers"] {
            let containers = object
                .pointer_mut(pointer)
                .and_then(|spec| spec.get_mut(list));
            let containers = containers.and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten() {
                if let Some(image) = container.get_mut("image")
                    && let Some(path) = image.as_str().and_then(|image| absolute(image, dir))
                {
                    *image = path.into();
                }
            }
        }
    }
}

fn absolute(image: &str, dir: &Path) -> Option<String> {
    let path = image
        .strip_prefix("file://")
        .or_else(|| image.strip_prefix("file:"));
    let path = match path {
        Some(path) if !path.starts_with('/') => path,
        None if image.starts_with("./") || image.starts_with("../") => image,
        _ => return None,
    };
    let path = std::path::absolute(dir.join(path)).ok()?;
    path.to_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::resolve;
    use serde_json::json;
    use std::path::Path;

    #[test]
    fn relative_files_become_absolute_and_nothing_else_changes() {
        let mut object = json!({"spec": {"jobTemplate": {"spec": {"template": {"spec": {
            "initContainers": [{"image": "file:a.wasm"}],
            "containers": [{"image": "./b.wasm"}, {"image": "busybox"}, {"image": "/c.wasm"}, {}],
        }}}}}});
        resolve(&mut object, Path::new("/dir"));
        let spec = &object["spec"]["jobTemplate"]["spec"]["template"]["spec"];
        assert_eq!(spec["initContainers"], json!([{"image": "/dir/a.wasm"}]));
        assert_eq!(
            spec["containers"],
            json!([{"image": "/dir/b.wasm"}, {"image": "busybox"}, {"image": "/c.wasm"}, {}])
        );
    }
}
