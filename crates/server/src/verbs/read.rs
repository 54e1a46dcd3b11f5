//! Reading: one object, and lists with their pages.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use wasmjob_machinery::status::Status;

use crate::api::Api;
use crate::body::Reply;
use crate::cache::{Entry, Listed, Scope};
use crate::call::{Call, cause, invalid_options, number, why_no_number};
use crate::housekeeping;
use crate::request::Query;
use crate::select::{Selection, kept_as};
use crate::show::{self, Page};

/// How long the rest of a list that was cut into pages is kept as it was.
const SNAPSHOT_TIME: Duration = Duration::from_secs(300);

/// Lists that are kept at most, the oldest are dropped first.
const SNAPSHOTS_MAX: usize = 64;

/// Objects that all kept lists have together at most.
const SNAPSHOT_OBJECTS_MAX: usize = 1_000_000;

/// How long a read waits for a revision that is not there yet.
const FUTURE_WAIT: Duration = Duration::from_secs(3);

/// What Kubernetes says when the rest of a list is not kept any more.
const EXPIRED_CONTINUE: &str = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.";

/// What Kubernetes says when a list is asked for as it was too long ago.
const EXPIRED_LIST: &str = "The resourceVersion for the provided list is too old.";

/// Lists as they were, for clients that read them in pages.
#[derive(Default)]
pub(crate) struct Snapshots(Mutex<VecDeque<Snapshot>>);

struct Snapshot {
    /// What it is a list of.
    of: String,
    made: Instant,
    listed: Arc<Listed>,
}

/// What a continue token says: where to go on, in the list of which revision. Which
/// list that is follows from the request, and not from what a client could write here.
#[derive(Serialize, Deserialize)]
struct Token {
    /// The revision of the list.
    rv: u64,
    /// The resource and namespace that the list is about.
    of: String,
    /// How many of its objects were seen.
    seen: usize,
}

impl Snapshots {
    fn keep(&self, of: &str, listed: &Arc<Listed>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.iter().any(|snapshot| snapshot.is(of, listed.revision)) {
            return;
        }
        let is_old = |snapshot: &Snapshot| snapshot.made.elapsed() > SNAPSHOT_TIME;
        kept.retain(|snapshot| !is_old(snapshot));
        kept.push_back(Snapshot {
            of: of.to_owned(),
            made: Instant::now(),
            listed: Arc::clone(listed),
        });
        let mut objects: usize = kept.iter().map(|it| it.listed.entries.len()).sum();
        while kept.len() > SNAPSHOTS_MAX || objects > SNAPSHOT_OBJECTS_MAX {
            let Some(dropped) = kept.pop_front() else {
                break;
            };
            objects -= dropped.listed.entries.len();
        }
    }

    fn find(&self, of: &str, revision: u64) -> Option<Arc<Listed>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().find(|snapshot| snapshot.is(of, revision))?;
        Some(Arc::clone(&found.listed))
    }
}

impl Snapshot {
    fn is(&self, of: &str, revision: u64) -> bool {
        self.listed.revision == revision && self.of == of
    }
}

impl Api {
    /// The object that a request names.
    pub(crate) fn entry(&self, call: &Call) -> Result<Arc<Entry>, Status> {
        let target = &call.target;
        self.cache
            .get(&kept_as(target.resource), &target.namespace, call.name())
            .ok_or_else(|| Status::not_found(target.resource, call.name()))
    }

    pub(crate) async fn get(&self, call: &Call) -> Result<Reply, Status> {
        if is_of_usage(call) {
            return self.usage(call).await;
        }
        self.renew(call).await;
        let revision = call.query.get("resourceVersion").unwrap_or_default();
        self.await_revision(revision_of(revision)?).await?;
        show::entry(call, &*self.entry(call)?, self.now())
    }

    /// Brings up to date what is about to be read.
    async fn renew(&self, call: &Call) {
        if call.target.resource.kind == "Lease" {
            housekeeping::renew_lease(self).await;
        }
    }

    /// Waits for a while until a revision is there that a client has heard of.
    pub(crate) async fn await_revision(&self, wanted: Option<u64>) -> Result<(), Status> {
        let Some(wanted) = wanted.filter(|wanted| *wanted > self.cache.revision()) else {
            return Ok(());
        };
        let store = self.host.store();
        let reached = tokio::time::timeout(FUTURE_WAIT, store.changed(wanted - 1)).await;
        let current = self.cache.revision();
        if reached.is_err() || current < wanted {
            return Err(Status::too_large_resource_version(wanted, current));
        }
        Ok(())
    }

    pub(crate) async fn list(&self, call: &Call) -> Result<Reply, Status> {
        if is_of_usage(call) {
            return self.usage(call).await;
        }
        self.renew(call).await;
        let query = &call.query;
        let limit = limit(query.get("limit"))?;
        check_options(query)?;
        let selection = Selection::of(&call.target, query)?;
        let matching = query.get("resourceVersionMatch");
        let revision = query.get("resourceVersion").unwrap_or_default();
        if let Some(token) = query.get("continue") {
            if !revision.is_empty() && revision != "0" {
                return Err(Status::bad_request(
                    "specifying resource version is not allowed when using continue",
                ));
            }
            return self.list_on(call, &selection, token, limit);
        }
        let wanted = revision_of(revision)?;
        self.await_revision(wanted).await?;
        let resource = kept_as(call.target.resource);
        let listed = self.cache.list(&resource, &selection.scope);
        if matching == Some("Exact") && wanted != Some(listed.revision) {
            let of = list_of(call, &selection.scope);
            let exact = wanted.and_then(|wanted| self.snapshots.find(&of, wanted));
            let exact = exact.ok_or_else(|| Status::expired(EXPIRED_LIST))?;
            return self.page(call, &selection, &exact, 0, limit);
        }
        self.page(call, &selection, &Arc::new(listed), 0, limit)
    }

    /// The next page of a list.
    fn list_on(
        &self,
        call: &Call,
        selection: &Selection,
        token: &str,
        limit: Option<usize>,
    ) -> Result<Reply, Status> {
        let invalid = |why: &str| Status::bad_request(format!("invalid continue token: {why}"));
        let not_valid = |why: &str| invalid(&format!("continue key is not valid: {why}"));
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|error| {
            let at = match error {
                base64::DecodeError::InvalidByte(at, _)
                | base64::DecodeError::InvalidLastSymbol(at, _) => at,
                _ => token.len(),
            };
            not_valid(&format!("illegal base64 data at input byte {at}"))
        })?;
        let token: Token = serde_json::from_slice(&bytes).map_err(|error| {
            let first = bytes.first().map_or(' ', |byte| char::from(*byte));
            not_valid(&match (error.classify(), first) {
                (serde_json::error::Category::Syntax, _) => {
                    format!("invalid character {first:?} looking for beginning of value")
                }
                (serde_json::error::Category::Eof, _) => "unexpected end of JSON input".to_owned(),
                _ => "server does not recognize this encoded version".to_owned(),
            })
        })?;
        let of = list_of(call, &selection.scope);
        if token.of != of {
            return Err(invalid("it is about another list"));
        }
        let listed = self
            .snapshots
            .find(&of, token.rv)
            .ok_or_else(|| Status::expired(EXPIRED_CONTINUE))?;
        self.page(call, selection, &listed, token.seen, limit)
    }

    /// A page of `listed`, of which the first `seen` objects were looked at.
    fn page(
        &self,
        call: &Call,
        selection: &Selection,
        listed: &Arc<Listed>,
        seen: usize,
        limit: Option<usize>,
    ) -> Result<Reply, Status> {
        let limit = limit.unwrap_or(usize::MAX);
        let mut page = Page {
            revision: listed.revision,
            entries: Vec::new(),
            continues: None,
            remaining: None,
        };
        let rest = listed.entries.iter().enumerate().skip(seen);
        for (place, entry) in rest {
            if !selection.covers(entry) {
                continue;
            }
            if page.entries.len() == limit {
                let of = list_of(call, &selection.scope);
                self.snapshots.keep(&of, listed);
                page.continues = Some(token(listed.revision, of, place));
                // As in Kubernetes: only known where everything is asked for.
                page.remaining = selection
                    .is_everything()
                    .then_some(listed.entries.len() - place);
                break;
            }
            page.entries.push(Arc::clone(entry));
        }
        show::page(call, page, self.now())
    }
}

/// Whether it asks for what is measured, not kept.
fn is_of_usage(call: &Call) -> bool {
    call.target.resource.group == "metrics.k8s.io"
}

fn token(revision: u64, of: String, seen: usize) -> String {
    let token = Token {
        rv: revision,
        of,
        seen,
    };
    // Numbers and text always have a form as JSON.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default())
}

/// What a list is about.
fn list_of(call: &Call, scope: &Scope) -> String {
    let part = |part: &Option<Arc<str>>| part.as_deref().unwrap_or_default().to_owned();
    let resource = kept_as(call.target.resource);
    format!(
        "{resource}/{}/{}",
        part(&scope.namespace),
        part(&scope.name)
    )
}

/// As in Kubernetes, nothing and less than nothing are no limit.
fn limit(text: Option<&str>) -> Result<Option<usize>, Status> {
    let limit = text.map(number).transpose()?.unwrap_or(0);
    Ok(usize::try_from(limit).ok().filter(|limit| *limit > 0))
}

/// The revision that a client names; none where any will do.
pub(crate) fn revision_of(text: &str) -> Result<Option<u64>, Status> {
    match text {
        "" | "0" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            let why = why_no_number(text);
            Status::bad_request(format!(
                "invalid resource version: resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: {why}"
            ))
        }),
    }
}

/// Whether the parameters of a list or a watch go together.
pub(crate) fn check_options(query: &Query) -> Result<(), Status> {
    let matching = query.get("resourceVersionMatch");
    let wants_initial = query.get("sendInitialEvents").is_some();
    let is_watch = query.is_set("watch");
    let mut causes = Vec::new();
    let mut wrong = |field: &str, text: &str| causes.push(cause(field, text));
    if is_watch && wants_initial && matching != Some("NotOlderThan") {
        wrong(
            "resourceVersionMatch",
            "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        );
    }
    if let Some(matching) = matching {
        let revision = query.get("resourceVersion");
        let mut wrong = |text: &str| wrong("resourceVersionMatch", text);
        if is_watch && !wants_initial {
            wrong(
                "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            );
        }
        if is_watch && matching != "NotOlderThan" {
            wrong(&format!(
                "Unsupported value: {matching:?}: supported values: \"NotOlderThan\""
            ));
        }
        if !is_watch && revision.is_none() {
            wrong(
                "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
            );
        }
        if query.get("continue").is_some() {
            wrong("Forbidden: resourceVersionMatch is forbidden when continue is provided");
        }
        if !is_watch && !matches!(matching, "Exact" | "NotOlderThan") {
            wrong(&format!(
                "Unsupported value: {matching:?}: supported values: \"Exact\", \"NotOlderThan\", \"\""
            ));
        }
        if !is_watch && matching == "Exact" && revision == Some("0") {
            wrong(
                "Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            );
        }
    }
    if !is_watch && wants_initial {
        wrong(
            "sendInitialEvents",
            "Forbidden: sendInitialEvents is forbidden for list",
        );
    }
    invalid_options("ListOptions", causes)
}
