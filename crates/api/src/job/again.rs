//! The next Job of the same template.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Job, JobSpec, JobStatus};
use crate::Uid;
use crate::defaults::{
    CONTROLLER_UID_LABEL, CONTROLLER_UID_LABEL_LEGACY, JOB_NAME_LABEL, JOB_NAME_LABEL_LEGACY,
};

impl Job {
    /// What creation would make of this Job's object under another name: with a UID,
    /// a selector and labels of its own, and all else as it was validated already.
    /// Both share the pod spec.
    #[must_use]
    pub fn again(&self, name: &Arc<str>, uid: Uid, created: Timestamp) -> Self {
        let new_uid = uid.to_string();
        let generated = Generated {
            old: [&self.name, &*self.uid.to_string()],
            new: [name, &new_uid],
        };
        let mut metadata = (*self.metadata).clone();
        let mut object = self.spec.object.clone();
        if !object.manual_selector.unwrap_or(false) {
            let selector = object.selector.as_mut();
            let template = object.template.metadata.as_mut();
            let all = [
                metadata.labels.as_mut(),
                template.and_then(|metadata| metadata.labels.as_mut()),
                selector.and_then(|selector| selector.match_labels.as_mut()),
            ];
            for labels in all.into_iter().flatten() {
                generated.replace(labels);
            }
        }
        metadata.name = Some(name.to_string());
        metadata.uid = Some(new_uid.clone());
        let template = &self.spec.template;
        let spec = JobSpec::assemble(
            object,
            Arc::clone(&self.spec.pod_spec),
            Some(&template.spec),
            name,
            uid,
            &template.base,
        );
        Self {
            uid,
            namespace: Arc::clone(&self.namespace),
            name: Arc::clone(name),
            created,
            deletion: None,
            generation: 1,
            resource_version: 0,
            metadata: Arc::new(metadata),
            spec: Arc::new(spec),
            status: JobStatus::default(),
        }
    }
}

/// Name and UID of two Jobs.
struct Generated<'a> {
    old: [&'a str; 2],
    new: [&'a str; 2],
}

impl Generated<'_> {
    /// Gives the new Job's labels in place of those that the old one was given.
    fn replace(&self, labels: &mut BTreeMap<String, String>) {
        let keys = [
            (JOB_NAME_LABEL, 0),
            (JOB_NAME_LABEL_LEGACY, 0),
            (CONTROLLER_UID_LABEL, 1),
            (CONTROLLER_UID_LABEL_LEGACY, 1),
        ];
        for (key, which) in keys {
            if let Some(value) = labels.get_mut(key)
                && value == self.old[which]
            {
                self.new[which].clone_into(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::batch::v1 as batch;
    use serde_json::json;

    use super::*;
    use crate::defaults;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// By way of the object, as creation does it.
    fn create(spec: &serde_json::Value, name: &str, uid: u128, created: Timestamp) -> Job {
        let mut object: batch::Job = serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "n", "annotations": {"a": "b"}},
            "spec": spec,
        }))
        .unwrap();
        let uid = Uid::from_random(uid);
        defaults::job(&mut object);
        defaults::prepare_job(&mut object, uid);
        Job::new(object, uid, created)
    }

    #[test]
    fn it_is_what_creation_makes_of_the_object() {
        let pod = json!({"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"});
        let specs = [
            json!({"template": {"spec": pod}}),
            json!({"template": {"spec": pod, "metadata": {"labels": {"app": "x"}}}}),
            json!({"template": {"spec": pod}, "completionMode": "Indexed", "completions": 3}),
            json!({
                "template": {"spec": pod, "metadata": {"labels": {"job-name": "first"}}},
                "manualSelector": true, "selector": {"matchLabels": {"job-name": "first"}},
            }),
        ];
        for spec in specs {
            let mut first = create(&spec, "first", 1, at(1));
            first.status.active = 1;
            let again = first.again(&"second".into(), Uid::from_random(2), at(2));
            let wanted = create(&spec, "second", 2, at(2));
            assert_eq!(format!("{again:?}"), format!("{wanted:?}"));
            assert!(Arc::ptr_eq(
                &again.spec.template.spec,
                &first.spec.template.spec
            ));
        }
    }
}
