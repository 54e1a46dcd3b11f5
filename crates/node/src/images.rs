//! The images of pods: who loads them, and what is said while one is not there.
//!
//! Images that are here are loaded by the workers; those for which a registry must be
//! asked, by threads of their own. Words, reasons and times are the kubelet's
//! (`pkg/kubelet/images/image_manager.go`): `ErrImagePull` when a pull has failed, soon
//! after that `ImagePullBackOff`, and the next pull 10 s later, then 20 s, up to five minutes.
//! As there, one look-up serves all pods of a template that wait for it; unlike there, a
//! container that is restarted keeps the image that its pod began with.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use wasmjob_api::k8s_openapi::api::core::v1::Secret;
use wasmjob_api::{ContainerState, Event, PodTemplate, Uid};
use wasmjob_image::{Fetched, Image, ImageError, Images, Keyring, Source};

use crate::node::{News, Node, TemplateKey, template_key};
use crate::pod::{Ending, Stage};
use crate::template::{ContainerSpec, Prepared, TemplateImages};
use crate::timers::Timer;

/// How long a failure is shown before it is called a back-off: a kubelet comes back to a
/// pod about so soon.
const SHOWN: Duration = Duration::from_secs(1);

/// Secrets of one pod that are looked at; each may hold a thousand registries.
const SECRETS_MAX: usize = 64;

/// The annotation of pods that says what becomes of one whose image cannot be had: `fail`
/// or `wait`.
const TERMINAL: &str = "wasmjob.dev/image-pull-terminal";

impl Node {
    /// Gets the images of the pod's template: from the last pod of it, or from a worker.
    pub(crate) fn want_images(&mut self, uid: Uid) {
        let Some(run) = self.pods.get(&uid) else {
            return;
        };
        if run.stage != Stage::Images {
            return;
        }
        let key = template_key(&run.pod.template);
        let Some(entry) = self.templates.get_mut(&key) else {
            return;
        };
        if let Some(images) = entry.images.clone() {
            return self.images_ready(uid, images);
        }
        entry.waiting.push(uid);
        if entry.waiting.len() > 1 {
            return;
        }
        let prepared = Arc::clone(&entry.prepared);
        let secrets = self.pull_secrets(uid, &prepared);
        let (images, inbox) = (Arc::clone(&self.images), Arc::clone(&self.inbox));
        let pullers = self.pullers.queue();
        self.workers.submit(move || {
            let keys = keyring(&secrets);
            let pulled = to_pull(&images, &prepared, &keys);
            if pulled.is_empty() {
                let loaded = load(&images, &prepared, &keys);
                return inbox.push(News::Images(prepared, Arc::new(loaded)));
            }
            pullers.submit(move || {
                inbox.push(News::Pulling(Arc::clone(&prepared), pulled));
                let loaded = load(&images, &prepared, &keys);
                inbox.push(News::Images(prepared, Arc::new(loaded)));
            });
        });
    }

    /// The secrets that the pod names for its registries, of its own namespace. Says so
    /// where one is not there.
    fn pull_secrets(&mut self, uid: Uid, prepared: &Prepared) -> Vec<Arc<Secret>> {
        let Some(run) = self.pods.get_mut(&uid) else {
            return Vec::new();
        };
        let wanted = prepared.template.spec.image_pull_secrets.iter().flatten();
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for name in wanted.take(SECRETS_MAX).map(|wanted| wanted.name.as_str()) {
            match self.objects.secret(&run.pod.namespace, name) {
                Some(secret) => found.push(secret),
                None => missing.push(name),
            }
        }
        let (base, none) = (&prepared.template.base, Keyring::default());
        let mut containers = prepared.init.iter().chain(&prepared.containers);
        let is_remote = |container: &ContainerSpec| {
            let source = self
                .images
                .resolve(container.wanted(base, &none).reference, base);
            matches!(source, Ok(Source::Registry(_)))
        };
        if !missing.is_empty() && containers.any(is_remote) {
            let text = format!(
                "Unable to retrieve some image pull secrets ({}); attempting to pull the image may not succeed.",
                missing.join(", ")
            );
            let reason = "FailedToRetrieveImagePullSecret";
            run.events.push(Event::warning(reason, text));
            self.touch(uid);
        }
        found
    }

    /// A registry is asked for the images `names` of a template.
    pub(crate) fn images_pulling(&mut self, key: TemplateKey, names: &[Arc<str>]) {
        let Some(entry) = self.templates.get(&key) else {
            return;
        };
        for uid in entry.waiting.clone() {
            if let Some(run) = self.pods.get_mut(&uid) {
                let told = names.iter().map(|name| format!("Pulling image \"{name}\""));
                run.events
                    .extend(told.map(|text| Event::normal("Pulling", text)));
                self.touch(uid);
            }
        }
    }

    pub(crate) fn images_loaded(&mut self, key: TemplateKey, images: &Arc<TemplateImages>) {
        let Some(entry) = self.templates.get_mut(&key) else {
            return;
        };
        // What failed to be had may be had later; what was had stays.
        if !images.moving && images.images.iter().all(|image| !is_missing(image)) {
            entry.images = Some(Arc::clone(images));
        }
        for uid in std::mem::take(&mut entry.waiting) {
            self.tell_of_pulls(uid, images);
            self.images_ready(uid, Arc::clone(images));
        }
    }

    /// Says which images were pulled; of others it is said when a container begins.
    fn tell_of_pulls(&mut self, uid: Uid, images: &TemplateImages) {
        let Some(run) = self.pods.get_mut(&uid) else {
            return;
        };
        if run.stage != Stage::Images || run.ending.is_some() {
            return;
        }
        for slot in run.slots() {
            let Ok(image) = &images.images[run.image_index(slot)] else {
                continue;
            };
            let Fetched::Pulled { took, bytes } = image.fetched else {
                continue;
            };
            let name = run.spec(slot).object.image.as_deref().unwrap_or_default();
            let took = human(took);
            let text = format!(
                "Successfully pulled image \"{name}\" in {took} ({took} including waiting). Image size: {bytes} bytes."
            );
            run.tell(slot, Event::normal("Pulled", text));
            run.run(slot).told_pull = true;
        }
    }

    /// Some image is not there: says so, and tries again later or fails the pod.
    pub(crate) fn images_missing(&mut self, uid: Uid, images: &TemplateImages) {
        let Some(run) = self.pods.get_mut(&uid) else {
            return;
        };
        let delay = run.image_backoff.next();
        let mut terminal = None;
        for slot in run.slots() {
            let Err(error) = &images.images[run.image_index(slot)] else {
                continue;
            };
            // A module that cannot run says so when its container is started.
            if matches!(**error, ImageError::Module { .. }) {
                continue;
            }
            let container = Arc::clone(&run.spec(slot).name);
            let name = run.spec(slot).object.image.clone().unwrap_or_default();
            let reason = error.reason();
            let message = match **error {
                ImageError::NeverPull => {
                    format!("Container image \"{name}\" is not present with pull policy of Never")
                }
                _ => error.to_string(),
            };
            let (event, text) = match reason {
                "InvalidImageName" => ("InspectFailed", message.clone()),
                "ErrImageNeverPull" => (reason, message.clone()),
                _ => (
                    "Failed",
                    format!("Failed to pull image \"{name}\": {message}"),
                ),
            };
            let status = run.container_status(slot);
            status.state = ContainerState::Waiting {
                reason: reason.into(),
                message: Arc::from(&*message),
            };
            run.tell(slot, Event::warning(event, text));
            let error_text = format!("Error: {reason}");
            run.tell(slot, Event::warning("Failed", error_text));
            if error.is_terminal() && terminal.is_none() {
                let message = format!("container \"{container}\": {message}");
                terminal = Some(Ending::Image { reason, message });
            }
        }
        let fails = fails(&run.pod.template, self.config.fail_on_terminal_pull);
        self.touch(uid);
        if let Some(ending) = terminal.filter(|_| fails) {
            return self.end_pod(uid, ending, Duration::ZERO);
        }
        let now = self.clock.monotonic();
        self.timers.at(now + SHOWN, Timer::ImageBackoff(uid));
        self.timers.at(now + delay, Timer::Images(uid));
    }

    /// Says of images that could not be pulled that they will be tried again.
    pub(crate) fn images_back_off(&mut self, uid: Uid) {
        let Some(run) = self.pods.get_mut(&uid) else {
            return;
        };
        if run.stage != Stage::Images || run.ending.is_some() {
            return;
        }
        for slot in run.slots() {
            let name = run.spec(slot).object.image.clone().unwrap_or_default();
            let status = run.container_status(slot);
            let ContainerState::Waiting { reason, message } = &mut status.state else {
                continue;
            };
            // A wrong name does not become right, and what must not be pulled is not.
            if !matches!(&**reason, "ErrImagePull" | "SignatureValidationFailed") {
                continue;
            }
            let text = format!("Back-off pulling image \"{name}\"");
            *message = Arc::from(format!("{text}: {reason}: {message}"));
            *reason = Cow::Borrowed("ImagePullBackOff");
            run.tell(slot, Event::normal("BackOff", text));
            run.tell(slot, Event::warning("Failed", "Error: ImagePullBackOff"));
        }
        self.touch(uid);
    }
}

/// What secrets say about registries. One that cannot be read is as good as none, and its
/// pull says that it is not allowed.
fn keyring(secrets: &[Arc<Secret>]) -> Keyring {
    let mut keys = Keyring::default();
    for secret in secrets {
        let data = |key| {
            secret
                .data
                .as_ref()?
                .get(key)
                .map(|value| value.0.as_slice())
        };
        let read = match secret.type_.as_deref() {
            Some("kubernetes.io/dockerconfigjson") => {
                data(".dockerconfigjson").map(Keyring::docker_config_json)
            }
            Some("kubernetes.io/dockercfg") => data(".dockercfg").map(Keyring::docker_cfg),
            _ => None,
        };
        let name = secret.metadata.name.as_deref().unwrap_or_default();
        match read {
            Some(Ok(read)) => keys.add(read),
            Some(Err(error)) => tracing::warn!(secret = name, %error, "no image pull secret"),
            None => tracing::warn!(
                secret = name,
                "no image pull secret: its type is neither kubernetes.io/dockerconfigjson nor kubernetes.io/dockercfg"
            ),
        }
    }
    keys
}

/// Whether a pod of the template fails if an image cannot be had, however often one tries.
fn fails(template: &PodTemplate, default: bool) -> bool {
    let annotations = template.metadata.annotations.as_ref();
    match annotations
        .and_then(|all| all.get(TERMINAL))
        .map(String::as_str)
    {
        Some("fail") => true,
        Some("wait") => false,
        _ => default,
    }
}

/// Whether an image could not be had at all (which may change), as opposed to
/// being no module that can run (which will not).
pub(crate) fn is_missing(image: &Result<Image, Arc<ImageError>>) -> bool {
    image
        .as_ref()
        .is_err_and(|error| !matches!(**error, ImageError::Module { .. }))
}

/// The images of a template for which a registry may have to be asked. Looks at the disk.
fn to_pull(images: &Images, prepared: &Prepared, keys: &Keyring) -> Vec<Arc<str>> {
    let base = &prepared.template.base;
    let containers = prepared.init.iter().chain(&prepared.containers);
    let pulled = containers.map(|container| container.wanted(base, keys));
    let pulled = pulled.filter(|wanted| images.must_pull(wanted));
    pulled.map(|wanted| Arc::from(wanted.reference)).collect()
}

/// Loads the images of a template. Blocks.
fn load(images: &Images, prepared: &Prepared, keys: &Keyring) -> TemplateImages {
    let base = &prepared.template.base;
    let containers = || prepared.init.iter().chain(&prepared.containers);
    let wanted = || containers().map(|container| container.wanted(base, keys));
    TemplateImages {
        images: wanted()
            .map(|wanted| images.get(&wanted).map_err(Arc::new))
            .collect(),
        moving: wanted().any(|wanted| images.is_moving(&wanted)),
    }
}

/// A duration as Go prints it, to the millisecond: `15ms`, `1.5s`, `2m3.25s`.
fn human(took: Duration) -> String {
    let fraction = |millis: u128| {
        let text = format!("{}.{:03}", millis / 1000, millis % 1000);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match took.as_millis() {
        0 => "0s".to_owned(),
        millis @ 1..1_000 => format!("{millis}ms"),
        millis @ 1_000..60_000 => format!("{}s", fraction(millis)),
        millis => format!("{}m{}s", millis / 60_000, fraction(millis % 60_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::human;
    use std::time::Duration;

    #[test]
    fn durations_are_told_as_go_tells_them() {
        let check = |millis, expected| {
            assert_eq!(human(Duration::from_millis(millis)), expected);
        };
        check(0, "0s");
        check(15, "15ms");
        check(1_500, "1.5s");
        check(2_000, "2s");
        check(123_250, "2m3.25s");
        check(600_000, "10m0s");
    }
}
