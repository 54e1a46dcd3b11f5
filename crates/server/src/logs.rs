//! `pods/log`: what a container has written, and what it still writes.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hyper::StatusCode;
use jiff::{SignedDuration, Timestamp};
use wasmjob::api::{ContainerState, ContainerStatus, Pod};
use wasmjob::{LogBuffer, LogFeed, Object, lost_notice};
use wasmjob_machinery::status::Status;

use crate::api::{Api, LongRunning};
use crate::body::{self, Reply};
use crate::call::Call;
use crate::http;

/// Bytes that are read from a log at once.
const PIECE_BYTES: usize = 256 << 10;

/// Lines from the end that are looked for; who wants more gets all.
const TAIL_LINES_MAX: usize = 1_000_000;

/// What a client asks of a log.
struct Wishes {
    follow: bool,
    timestamps: bool,
    tail: Option<usize>,
    since: Option<Timestamp>,
    bytes_max: Option<u64>,
}

impl Api {
    pub(crate) async fn log(self: &Arc<Self>, call: &Call) -> Result<Reply, Status> {
        let wishes = self.wishes(call)?;
        let entry = self.entry(call)?;
        let Object::Pod(pod) = &entry.object else {
            return Err(Status::not_found(call.target.resource, call.name()));
        };
        let (container, status) = container(pod, call.query.get("container"))?;
        let previous = call.query.is_set("previous");
        // Before the log is read, so that nothing is missed in between.
        let feed = wishes.follow.then(|| match &pod.template.owner {
            Some(owner) => self.host.follow_logs_of(owner.uid),
            None => self.host.follow_logs(),
        });
        let room = match wishes.follow {
            true => Some(self.long_running()?),
            false => None,
        };
        let log = self.run(pod, &container, &status, previous).await?;
        let Some(log) = log else {
            return Ok(body::text(StatusCode::OK, ""));
        };
        let place = begin(&log, &wishes).await?;
        let reading = Reading {
            log,
            place,
            left: wishes.bytes_max,
            wishes,
            feed,
            line_begins: true,
            is_first: true,
            ended: false,
            api: Arc::clone(self),
            _room: room,
        };
        let pieces = futures_util::stream::unfold(reading, async |mut reading| {
            let piece = reading.next().await?;
            Some((piece, reading))
        });
        Ok(body::reply(
            StatusCode::OK,
            "text/plain",
            body::stream(pieces),
        ))
    }

    fn wishes(&self, call: &Call) -> Result<Wishes, Status> {
        let query = &call.query;
        let number = |name: &str, least: i64| match query.get(name) {
            None => Ok(None),
            Some(text) => match crate::call::number(text)? {
                number if number >= least => Ok(Some(number.unsigned_abs())),
                number => {
                    let rule = match least {
                        0 => "must be greater than or equal to 0",
                        _ => "must be greater than 0",
                    };
                    Err(invalid(
                        call,
                        name,
                        &format!("Invalid value: {number}: {rule}"),
                    ))
                }
            },
        };
        let since_seconds = number("sinceSeconds", 1)?;
        let since_time = query.get("sinceTime").map(|text| {
            text.parse::<Timestamp>()
                .map_err(|_| {
                    Status::bad_request(format!(
                        "parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} as \"2006\""
                    ))
                })
        });
        let since_time = since_time.transpose()?;
        if since_seconds.is_some() && since_time.is_some() {
            return Err(invalid(
                call,
                "[]",
                "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified",
            ));
        }
        let since = since_seconds.map(|seconds| {
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            let ago = SignedDuration::from_secs(seconds);
            self.now().checked_sub(ago).unwrap_or(Timestamp::MIN)
        });
        let lines = number("tailLines", 0)?;
        Ok(Wishes {
            follow: query.is_set("follow"),
            timestamps: query.is_set("timestamps"),
            tail: lines.map(|lines| usize::try_from(lines).unwrap_or(usize::MAX)),
            since: since.or(since_time),
            bytes_max: number("limitBytes", 1)?,
        })
    }

    /// The log of a run of a container: the last one, or the one before. None if it
    /// has written nothing that is kept.
    async fn run(
        &self,
        pod: &Arc<Pod>,
        container: &str,
        status: &ContainerStatus,
        previous: bool,
    ) -> Result<Option<Arc<LogBuffer>>, Status> {
        let name = &pod.name;
        if previous && status.last_terminated.is_none() {
            return Err(Status::bad_request(format!(
                "previous terminated container {container:?} in pod {name:?} not found"
            )));
        }
        let never_ran = status.last_terminated.is_none();
        if let (ContainerState::Waiting { reason, message }, true, false) =
            (&status.state, never_ran, previous)
        {
            // As the kubelet words it; the message says why, where there is one.
            let why = match message.is_empty() {
                true => reason.to_string(),
                false => message.to_string(),
            };
            let text = match reason.as_ref() {
                "ErrImagePull"
                | "ImagePullBackOff"
                | "ErrImageNeverPull"
                | "InvalidImageName"
                | "SignatureValidationFailed" => {
                    format!(
                        "container {container:?} in pod {name:?} is waiting to start: {reason}: {why}"
                    )
                }
                _ => {
                    format!("container {container:?} in pod {name:?} is waiting to start: {reason}")
                }
            };
            return Err(Status::bad_request(text));
        }
        let uid = pod.uid;
        let host = Arc::clone(&self.host);
        // A log on the disk is looked for there.
        let runs = tokio::task::spawn_blocking(move || host.logs(uid)).await;
        let mut runs = runs.map_err(Status::internal_error)?;
        runs.retain(|run| *run.container == *container);
        runs.sort_by_key(|run| run.restarts);
        let last = runs.pop();
        let waits = matches!(status.state, ContainerState::Waiting { .. });
        match previous && !waits {
            true => Ok(runs.pop()),
            false => Ok(last),
        }
    }
}

fn invalid(call: &Call, field: &str, text: &str) -> Status {
    let kind = wasmjob_machinery::resource::Qualified {
        name: "PodLogOptions",
        group: "",
    };
    let wrong = crate::call::cause(field, text);
    Status::invalid_kind(kind, call.name(), vec![wrong])
}

/// The container that is meant: its name and its status.
pub(crate) fn container(
    pod: &Pod,
    wanted: Option<&str>,
) -> Result<(String, ContainerStatus), Status> {
    let spec = &pod.template.spec;
    let init = spec.init_containers.as_deref().unwrap_or_default();
    let all = || {
        let own = spec.containers.iter().zip(&pod.status.containers);
        init.iter().zip(&pod.status.init_containers).chain(own)
    };
    let wanted = match (wanted, spec.containers.as_slice()) {
        (Some(wanted), _) => wanted,
        (None, [only]) => &only.name,
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|it| it.name.as_str()).collect();
            let mut text = format!(
                "a container name must be specified for pod {}, choose one of: [{}]",
                pod.name,
                names.join(" ")
            );
            if !init.is_empty() {
                let names: Vec<&str> = init.iter().map(|it| it.name.as_str()).collect();
                text += &format!(" or one of the init containers: [{}]", names.join(" "));
            }
            return Err(Status::bad_request(text));
        }
    };
    let found = all().find(|(container, _)| container.name == wanted);
    if let Some((container, status)) = found {
        return Ok((container.name.clone(), status.clone()));
    }
    let names = init.iter().chain(&spec.containers);
    let is_known = names.into_iter().any(|container| container.name == wanted);
    match is_known {
        // The node has not looked at it yet.
        true => Ok((wanted.to_owned(), ContainerStatus::default())),
        false => Err(Status::bad_request(format!(
            "container {wanted} is not valid for pod {}",
            pod.name
        ))),
    }
}

/// Where to begin: at the first of the last lines.
async fn begin(log: &Arc<LogBuffer>, wishes: &Wishes) -> Result<u64, Status> {
    let Some(lines) = wishes.tail.filter(|lines| *lines <= TAIL_LINES_MAX) else {
        return Ok(0);
    };
    let log = Arc::clone(log);
    let found = tokio::task::spawn_blocking(move || tail(&log, lines)).await;
    found.map_err(Status::internal_error)
}

/// The place of the first of the last `lines` lines.
fn tail(log: &LogBuffer, lines: usize) -> u64 {
    let mut starts: VecDeque<u64> = VecDeque::new();
    let mut place = 0;
    let mut line_begins = true;
    loop {
        let read = log.read_at_most(place, PIECE_BYTES);
        let mut at = place;
        for chunk in &read.chunks {
            at += chunk.lost;
            for byte in &chunk.bytes {
                if std::mem::take(&mut line_begins) {
                    starts.push_back(at);
                    if starts.len() > lines {
                        starts.pop_front();
                    }
                }
                line_begins = *byte == b'\n';
                at += 1;
            }
        }
        if read.next == place {
            return match lines {
                0 => place,
                _ => starts.front().copied().unwrap_or(place),
            };
        }
        place = read.next;
    }
}

/// A log on its way to a client.
struct Reading {
    log: Arc<LogBuffer>,
    place: u64,
    /// Bytes that the client still wants.
    left: Option<u64>,
    wishes: Wishes,
    feed: Option<LogFeed>,
    line_begins: bool,
    is_first: bool,
    ended: bool,
    api: Arc<Api>,
    _room: Option<LongRunning>,
}

impl Reading {
    /// The next piece; none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        while !self.ended && self.left != Some(0) {
            let (log, place) = (Arc::clone(&self.log), self.place);
            let read = tokio::task::spawn_blocking(move || log.read_at_most(place, PIECE_BYTES));
            let read = read.await.ok()?;
            let is_new = read.next > self.place;
            self.place = read.next;
            let piece = self.render(&read);
            if is_new {
                if !piece.is_empty() {
                    return Some(piece);
                }
                continue;
            }
            if read.ended || self.feed.is_none() {
                self.ended = true;
                break;
            }
            self.news().await?;
        }
        None
    }

    /// Waits until the log has grown or ended; none when the server ends.
    async fn news(&mut self) -> Option<()> {
        let feed = self.feed.as_ref()?;
        loop {
            tokio::select! {
                biased;
                () = http::ended(self.api.ending.clone()) => return None,
                fresh = feed.next() => {
                    if fresh.iter().any(|log| Arc::ptr_eq(log, &self.log)) {
                        return Some(());
                    }
                }
            }
        }
    }

    fn render(&mut self, read: &wasmjob::LogRead) -> Bytes {
        let mut piece = BytesMut::new();
        for chunk in &read.chunks {
            let is_first = std::mem::take(&mut self.is_first);
            // What was rotated away before the first line is gone, as in Kubernetes.
            if chunk.lost > 0 && !is_first {
                self.notice(&mut piece, chunk.lost);
            }
            if self.wishes.since.is_some_and(|since| chunk.time < since) {
                self.line_begins = chunk.bytes.last() == Some(&b'\n');
                continue;
            }
            if !self.wishes.timestamps {
                piece.extend_from_slice(&chunk.bytes);
                continue;
            }
            for line in chunk.bytes.split_inclusive(|byte| *byte == b'\n') {
                if self.line_begins {
                    piece.extend_from_slice(format!("{} ", nanoseconds(chunk.time)).as_bytes());
                }
                piece.extend_from_slice(line);
                self.line_begins = line.last() == Some(&b'\n');
            }
        }
        let lost = read.lost_at_end();
        if lost > 0 && !self.is_first {
            self.notice(&mut piece, lost);
        }
        if let Some(left) = &mut self.left {
            let len = usize::try_from(*left).unwrap_or(usize::MAX);
            piece.truncate(len);
            *left -= piece.len() as u64;
        }
        piece.freeze()
    }

    fn notice(&mut self, piece: &mut BytesMut, lost: u64) {
        if piece.last().is_some_and(|last| *last != b'\n') {
            piece.extend_from_slice(b"\n");
        }
        piece.extend_from_slice(lost_notice(lost).as_bytes());
        piece.extend_from_slice(b"\n");
        self.line_begins = true;
    }
}

/// A time with nine digits, as the kubelet stamps lines.
fn nanoseconds(at: Timestamp) -> String {
    format!("{at:.9}")
}
