//! Jobs and CronJobs.

use jiff::Timestamp;
use serde_json::{Value, json};
use wasmjob_api::field::Path;

use super::value::{NONE, UNSET, age, deleting, holds, joined, list, name, or, since, text, time};
use super::{Cells, Column, Printer, human_duration};
use crate::selector::LabelSelector;

const CONTAINERS: Column =
    Column::new("Containers", "Names of each container in the template.").wide();
const IMAGES: Column = Column::new(
    "Images",
    "Images referenced by each container in the template.",
)
.wide();
const SELECTOR: Column = Column::new(
    "Selector",
    "A label query over pods that should match the pod count. Normally, the system sets this field for you. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors",
)
.wide();

pub(super) const JOB: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::new("Status", "Status of the job."),
        Column::new(
            "Completions",
            "The number of pods which reached phase Succeeded. The value increases monotonically for a given spec. However, it may decrease in reaction to scale down of elastic indexed jobs.",
        ),
        Column::new("Duration", "Time required to complete the job."),
        Column::AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    row: job,
};

pub(super) const CRON_JOB: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::new("Schedule", "When jobs start, in Cron format."),
        Column::new("Timezone", "The time zone of the schedule."),
        Column::new("Suspend", "Whether no further jobs start.").typed("boolean"),
        Column::new("Active", "How many jobs run.").typed("integer"),
        Column::new("Last Schedule", "When a job was last due and started."),
        Column::AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    row: cron_job,
};

fn job(job: &Value, now: Timestamp) -> Cells {
    let (spec, status) = (&job["spec"], &job["status"]);
    let succeeded = status["succeeded"].as_i64().unwrap_or(0);
    let completions = match (spec["completions"].as_i64(), spec["parallelism"].as_i64()) {
        (Some(completions), _) => format!("{succeeded}/{completions}"),
        (None, Some(parallelism)) if parallelism > 1 => {
            format!("{succeeded}/1 of {parallelism}")
        }
        _ => format!("{succeeded}/1"),
    };
    // A failed job has no completion time: its duration goes on.
    let duration = time(&status["startTime"]).map(|start| {
        let end = time(&status["completionTime"]).unwrap_or(now);
        human_duration(end.duration_since(start))
    });
    let containers = &spec["template"]["spec"]["containers"];
    vec![
        name(job),
        json!(job_status(job)),
        json!(completions),
        json!(duration.unwrap_or_default()),
        age(job, now),
        json!(joined(containers, "name")),
        json!(joined(containers, "image")),
        json!(selector(&spec["selector"])),
    ]
    .into()
}

fn job_status(job: &Value) -> &'static str {
    match () {
        () if holds(job, "Complete") => "Complete",
        () if holds(job, "Failed") => "Failed",
        () if deleting(job) => "Terminating",
        () if holds(job, "Suspended") => "Suspended",
        () if holds(job, "FailureTarget") => "FailureTarget",
        () if holds(job, "SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

/// A selector as text; one of everything or nothing is `<none>`.
pub(super) fn selector(selector: &Value) -> String {
    match LabelSelector::from_object(Some(selector), &Path::default()) {
        Ok(selector) if selector.requirements().is_empty() => NONE.to_owned(),
        Ok(selector) => selector.to_string(),
        Err(_) => "<error>".to_owned(),
    }
}

fn cron_job(cron_job: &Value, now: Timestamp) -> Cells {
    let (spec, status) = (&cron_job["spec"], &cron_job["status"]);
    let suspend = match spec["suspend"].as_bool() {
        Some(true) => "True",
        Some(false) => "False",
        None => UNSET,
    };
    let last = match &status["lastScheduleTime"] {
        Value::Null => NONE.to_owned(),
        time => since(time, now),
    };
    let template = &spec["jobTemplate"]["spec"];
    let containers = &template["template"]["spec"]["containers"];
    vec![
        name(cron_job),
        json!(text(&spec["schedule"])),
        json!(or(text(&spec["timeZone"]), NONE)),
        json!(suspend),
        json!(list(&status["active"]).len()),
        json!(last),
        age(cron_job, now),
        json!(joined(containers, "name")),
        json!(joined(containers, "image")),
        json!(selector(&template["selector"])),
    ]
    .into()
}

#[cfg(test)]
mod tests {
    use super::{cron_job, job};
    use serde_json::{Value, json};

    fn cells(row: super::Cells) -> Vec<Value> {
        row.cells
    }

    #[test]
    fn jobs_say_how_far_they_are() {
        let now = "2026-01-01T01:00:00Z".parse().unwrap();
        let started = json!({
            "metadata": {"name": "j", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"parallelism": 3, "selector": {"matchLabels": {"b": "2", "a": "1"}},
                "template": {"spec": {"containers": [
                    {"name": "x", "image": "i"}, {"name": "y", "image": "k"}]}}},
            "status": {"succeeded": 1, "startTime": "2026-01-01T00:50:00Z"},
        });
        assert_eq!(
            cells(job(&started, now)),
            [
                "j", "Running", "1/1 of 3", "10m", "60m", "x,y", "i,k", "a=1,b=2"
            ]
        );
        for (conditions, deleted, expected) in [
            (
                json!([{"type": "Suspended", "status": "True"}]),
                false,
                "Suspended",
            ),
            (
                json!([{"type": "Suspended", "status": "True"}]),
                true,
                "Terminating",
            ),
            (
                json!([{"type": "Complete", "status": "True"}]),
                true,
                "Complete",
            ),
            (
                json!([{"type": "Failed", "status": "True"}]),
                true,
                "Failed",
            ),
            (
                json!([{"type": "Failed", "status": "False"}]),
                false,
                "Running",
            ),
            (
                json!([{"type": "FailureTarget", "status": "True"}]),
                false,
                "FailureTarget",
            ),
            (
                json!([{"type": "SuccessCriteriaMet", "status": "True"}]),
                false,
                "SuccessCriteriaMet",
            ),
        ] {
            let mut object = json!({"metadata": {}, "status": {"conditions": conditions}});
            if deleted {
                object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            }
            assert_eq!(cells(job(&object, now))[1], expected);
        }
        let row = cells(job(&json!({}), now));
        assert_eq!(row[2..5], [json!("0/1"), json!(""), json!("<unknown>")]);
    }

    #[test]
    fn cron_jobs_say_when_they_ran() {
        let now = "2026-01-01T01:00:00Z".parse().unwrap();
        let object = json!({
            "metadata": {"name": "c"},
            "spec": {"schedule": "* * * * *", "suspend": false},
            "status": {"active": [{}], "lastScheduleTime": "2026-01-01T00:59:00Z"},
        });
        let row = cells(cron_job(&object, now));
        assert_eq!(row[..3], [json!("c"), json!("* * * * *"), json!("<none>")]);
        assert_eq!(row[3..6], [json!("False"), json!(1), json!("60s")]);
        assert_eq!(row[9], "<none>");
        assert_eq!(cells(cron_job(&json!({}), now))[5], "<none>");
    }
}
