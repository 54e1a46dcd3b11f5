//! Pods that ask for more than there is, or for what the operator does not allow: in `run`
//! there is nobody who would change that, so they would wait for ever, or fail in the end.

use wasmjob::Host;
use wasmjob::api::manifest::Manifest;

use crate::host;

/// One error for each pod that can never run here.
pub(crate) fn never(host: &Host, manifest: &Manifest) -> Vec<String> {
    let has = host.capacity();
    let mut texts = Vec::new();
    for loaded in &manifest.objects {
        let Some((path, spec)) = host::pod_spec(&loaded.object) else {
            continue;
        };
        let asks = host.request_of(spec);
        let place = format!("error: {}:{}: {path}", loaded.file, loaded.at);
        for volume in spec.volumes.iter().flatten() {
            let source = volume.host_path.as_ref();
            if let Some(Err(why)) = source.map(|source| host.check_host_path(source)) {
                texts.push(format!("{place}: volume {:?}: {why}", volume.name));
            }
        }
        let mut say = |what: String| {
            texts.push(format!("{place}: the pod would wait for ever: {what}"));
        };
        if asks.memory_bytes > has.memory_bytes {
            say(format!(
                "it asks for {} of memory, and all pods together have {}; lower its requests and limits, or raise --memory (a container that sets neither counts with --default-memory)",
                quantity(asks.memory_bytes),
                quantity(has.memory_bytes)
            ));
        }
        if asks.cpu_milli > has.cpu_milli {
            say(format!(
                "it asks for {}m of cpu, and this machine has {}m; lower requests.cpu",
                asks.cpu_milli, has.cpu_milli
            ));
        }
    }
    texts
}

/// Bytes as a quantity, rounded to what people read.
fn quantity(bytes: u64) -> String {
    let units = [("Gi", 30), ("Mi", 20), ("Ki", 10)];
    let unit = units.iter().find(|(_, shift)| bytes >= 10 << shift);
    match unit {
        Some((unit, shift)) => format!("{}{unit}", bytes >> shift),
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_two_digits_at_least() {
        assert_eq!(quantity(9000 << 30), "9000Gi");
        assert_eq!(quantity((2 << 30) + (5 << 20)), "2053Mi");
        assert_eq!(quantity(1 << 20), "1024Ki");
        assert_eq!(quantity(512), "512");
    }
}
