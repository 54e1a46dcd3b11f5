//! Opening the database, and reading all of it once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use foldhash::HashMap;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable};
use wasmjob_api::{PodTemplate, Uid};

use super::disk::Backend;
use super::record::{self, ChangeIn, CommitRow, PodIn, PodSpecs, Row, RowError, RowKey};
use super::rows::{RowChange, Rows, Unfolded};
use super::seal::{self, SecretKey};
use super::{Disk, FORMAT, JOURNAL, META, Medium, OBJECTS, OpenError};
use crate::state::State;
use crate::{Object, Stored};

/// Pages that the database keeps in memory. It is read at opening only, after
/// which just the upper pages of its trees are needed.
const CACHE_BYTES: usize = 4 << 20;

/// A store that was read.
pub(crate) struct Loaded {
    pub(super) database: Database,
    pub(super) rows: Rows,
    pub(super) unfolded: Unfolded,
    pub(super) sync_failed: Arc<AtomicBool>,
    pub(crate) state: State,
    /// What should be encrypted and is not.
    pub(crate) plain: Vec<Object>,
}

/// Opens and reads the store on `disk`, and begins it where there is none.
pub(crate) fn load(disk: &dyn Disk, key: Option<SecretKey>) -> Result<Loaded, OpenError> {
    let sync_failed = Arc::new(AtomicBool::new(false));
    // A damaged file may make the database panic, which is damage, too.
    catch_unwind(AssertUnwindSafe(|| {
        let database = match open(disk, &sync_failed, true)? {
            Some(database) => database,
            None => begin(disk, &sync_failed)?,
        };
        read(disk, database, &sync_failed, key)
    }))
    .unwrap_or_else(|_| Err(OpenError::Damaged("the database cannot be read".to_owned())))
}

/// Opens the database, if there is one; `verify` reads every page and holds it
/// against its checksum.
pub(super) fn open(
    disk: &dyn Disk,
    sync_failed: &Arc<AtomicBool>,
    verify: bool,
) -> Result<Option<Database>, OpenError> {
    disk.open()?
        .map(|medium| database(medium, sync_failed, verify))
        .transpose()
}

fn database(
    medium: Arc<dyn Medium>,
    sync_failed: &Arc<AtomicBool>,
    verify: bool,
) -> Result<Database, OpenError> {
    Database::builder()
        .set_cache_size(CACHE_BYTES)
        .set_check_integrity_on_open(verify)
        .create_with_backend(Backend::new(medium, sync_failed))
        .map_err(|error| match error {
            DatabaseError::Storage(error) => storage_error(error),
            DatabaseError::UpgradeRequired(version) => {
                OpenError::Damaged(format!("its file has the unknown version {version}"))
            }
            error => OpenError::Damaged(error.to_string()),
        })
}

/// Makes the database with its tables. It appears at once: no power cut leaves
/// half of it.
fn begin(disk: &dyn Disk, sync_failed: &Arc<AtomicBool>) -> Result<Database, OpenError> {
    if let Some(marked) = disk.marked().filter(|marked| *marked > 0) {
        return Err(missing(marked, 0));
    }
    let new = database(disk.create()?, sync_failed, false)?;
    let transaction = new.begin_write().map_err(storage_error)?;
    {
        let mut meta = transaction.open_table(META).map_err(storage_error)?;
        meta.insert("format", FORMAT).map_err(storage_error)?;
        transaction.open_table(JOURNAL).map_err(storage_error)?;
        transaction.open_table(OBJECTS).map_err(storage_error)?;
    }
    transaction.commit().map_err(storage_error)?;
    drop(new);
    disk.publish()?;
    open(disk, sync_failed, false)?
        .ok_or_else(|| OpenError::Damaged("the database that was made is gone".to_owned()))
}

fn missing(marked: u64, found: u64) -> OpenError {
    OpenError::Damaged(format!(
        "revision {marked} was acknowledged, and the last one on the disk is {found}"
    ))
}

/// What an error of the database means for who opens it.
fn storage_error(error: impl Into<redb::Error>) -> OpenError {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    match error.into() {
        redb::Error::Io(source) if source.kind() == InvalidData => {
            OpenError::Damaged(source.to_string())
        }
        redb::Error::Io(source) if source.kind() == UnexpectedEof => {
            OpenError::Damaged("its file is too short".to_owned())
        }
        redb::Error::Io(source) => OpenError::Io {
            step: "open the store".to_owned(),
            source,
        },
        error => OpenError::Damaged(error.to_string()),
    }
}

/// The rows as they are, the journal applied on the table.
#[derive(Default)]
struct Read {
    rows: HashMap<RowKey, (u64, Vec<u8>)>,
    unfolded: Unfolded,
    revision: u64,
}

fn read(
    disk: &dyn Disk,
    database: Database,
    sync_failed: &Arc<AtomicBool>,
    key: Option<SecretKey>,
) -> Result<Loaded, OpenError> {
    let found = format(&database)?;
    if found > FORMAT {
        return Err(OpenError::Newer {
            found,
            known: FORMAT,
        });
    }
    let read = tables(&database)?;
    if let Some(marked) = disk.marked().filter(|marked| *marked > read.revision) {
        return Err(missing(marked, read.revision));
    }
    let mut rows = Rows::new(key);
    let mut plain = Vec::new();
    let objects = objects(&read, &mut rows, &mut plain).map_err(|error| match error {
        RowError::NoKey => OpenError::NoKey,
        RowError::OtherKey => OpenError::OtherKey,
        error => OpenError::Damaged(error.to_string()),
    })?;
    if found < FORMAT {
        take_over(&database, found)?;
    }
    Ok(Loaded {
        database,
        rows,
        unfolded: read.unfolded,
        sync_failed: Arc::clone(sync_failed),
        state: State::recovered(read.revision, objects),
        plain,
    })
}

/// From now on it is this format's: a version that knows only `found` must not
/// open it any more. Rows are read in either form and written in the new one.
fn take_over(database: &Database, found: u64) -> Result<(), OpenError> {
    let transaction = database.begin_write().map_err(storage_error)?;
    {
        let mut meta = transaction.open_table(META).map_err(storage_error)?;
        meta.insert("format", FORMAT).map_err(storage_error)?;
    }
    transaction.commit().map_err(storage_error)?;
    tracing::info!(
        from = found,
        to = FORMAT,
        "the store was taken over from an older version"
    );
    Ok(())
}

fn format(database: &Database) -> Result<u64, OpenError> {
    let transaction = database.begin_read().map_err(storage_error)?;
    let meta = transaction.open_table(META).map_err(storage_error)?;
    let format = meta.get("format").map_err(storage_error)?;
    let format = format.map(|format| format.value());
    format.ok_or_else(|| OpenError::Damaged("its format is missing".to_owned()))
}

fn tables(database: &Database) -> Result<Read, OpenError> {
    let damaged = |error: RowError| OpenError::Damaged(error.to_string());
    let mut read = Read::default();
    let transaction = database.begin_read().map_err(storage_error)?;
    let objects = transaction.open_table(OBJECTS).map_err(storage_error)?;
    for row in objects.iter().map_err(storage_error)? {
        let (place, value) = row.map_err(storage_error)?;
        let short = || OpenError::Damaged("a row is too short".to_owned());
        let (revision, rest) = value.value().split_first_chunk().ok_or_else(short)?;
        let (key, bytes) = rest.split_first_chunk::<17>().ok_or_else(short)?;
        let revision = u64::from_le_bytes(*revision);
        read.revision = read.revision.max(revision);
        read.unfolded.know_place(place.value(), *key);
        if read.rows.insert(*key, (revision, bytes.to_vec())).is_some() {
            return Err(OpenError::Damaged("a row is there twice".to_owned()));
        }
    }
    let journal = transaction.open_table(JOURNAL).map_err(storage_error)?;
    for row in journal.iter().map_err(storage_error)? {
        let (last, value) = row.map_err(storage_error)?;
        let bytes = value.value();
        let commits: Vec<CommitRow<ChangeIn>> = record::from_bytes(bytes).map_err(damaged)?;
        for CommitRow { revision, changes } in commits {
            for ChangeIn { key, value } in changes {
                let value: Option<Vec<u8>> = value.map(serde_bytes::ByteBuf::into_vec);
                read.unfolded.add(
                    revision,
                    RowChange {
                        key,
                        value: value.as_deref().map(Arc::from),
                    },
                );
                match value {
                    Some(value) => read.rows.insert(key, (revision, value)),
                    None => read.rows.remove(&key),
                };
            }
        }
        read.unfolded.add_journal(last.value(), bytes.len());
        read.revision = read.revision.max(last.value());
    }
    Ok(read)
}

/// The objects that the rows are, Jobs first, and events in their order.
fn objects(
    read: &Read,
    known: &mut Rows,
    plain: &mut Vec<Object>,
) -> Result<Vec<Stored>, RowError> {
    let mut specs = PodSpecs::default();
    for (key, (_, bytes)) in &read.rows {
        if let Some((Row::PodSpec, id)) = Row::of(key) {
            specs.insert(number(id), Arc::new(serde_json::from_slice(bytes)?));
        }
    }
    let mut templates: HashMap<u64, Arc<PodTemplate>> = HashMap::default();
    let mut template_specs: HashMap<u64, Option<u64>> = HashMap::default();
    // The newest template of each Job that has pods: its pods to come share it.
    let mut jobs = Vec::new();
    let mut pods = Vec::new();
    let mut events = Vec::new();
    let mut others = Vec::new();
    for (key, (revision, bytes)) in &read.rows {
        match Row::of(key) {
            Some((Row::Template, id)) => {
                let (template, pod_spec) = record::template_from_bytes(bytes, &specs)?;
                templates.insert(number(id), Arc::new(template));
                template_specs.insert(number(id), pod_spec);
            }
            Some((Row::Job, id)) => {
                let uid = Uid::from_random(id);
                let (changed, status) = read
                    .rows
                    .get(&Row::JobStatus.key(id))
                    .ok_or_else(|| missing_row(&format!("the status of Job {uid}")))?;
                let revision = (*revision).max(*changed);
                let (job, pod_spec) = record::job_from_bytes(uid, bytes, status, revision, &specs)?;
                known.know_job(&job, pod_spec);
                jobs.push((revision, job));
            }
            Some((Row::CronJob, id)) => {
                let uid = Uid::from_random(id);
                let (changed, status) = read
                    .rows
                    .get(&Row::CronJobStatus.key(id))
                    .ok_or_else(|| missing_row(&format!("the status of CronJob {uid}")))?;
                let revision = (*revision).max(*changed);
                let cron_job = record::cron_job_from_bytes(uid, bytes, status, revision)?;
                known.know_cron_job(&cron_job);
                others.push(Stored {
                    revision,
                    object: Object::CronJob(Arc::new(cron_job)),
                });
            }
            Some((Row::Manifest, _)) => others.push(Stored {
                revision: *revision,
                object: Object::Manifest(Arc::new(record::manifest_from_bytes(bytes)?)),
            }),
            Some((Row::Generic, _)) => {
                let read = seal::unseal(record::from_bytes(bytes)?, known.key())?;
                let object = Object::Generic(Arc::new(read.object));
                if read.is_plain {
                    plain.push(object.clone());
                }
                others.push(Stored {
                    revision: *revision,
                    object,
                });
            }
            Some((Row::JobStatus | Row::CronJobStatus | Row::PodMetadata | Row::PodSpec, _)) => {}
            Some((Row::Pod, id)) => {
                let row: PodIn = record::from_bytes(bytes)?;
                pods.push((*revision, Uid::from_random(id), row));
            }
            Some((Row::Event, id)) => {
                let event = record::event_from_bytes(Uid::from_random(id), bytes)?;
                events.push((*revision, event));
            }
            None => {
                return Err(RowError::Kind);
            }
        }
    }
    share_templates(&jobs, &mut templates);
    let mut objects = others;
    for (revision, job) in jobs {
        objects.push(Stored {
            revision,
            object: Object::Job(Arc::new(job)),
        });
    }
    for (number, template) in &templates {
        let pod_spec = template_specs.get(number).copied().flatten();
        known.know_template(template, *number, pod_spec);
    }
    for (revision, uid, row) in pods {
        let number = row.template;
        let template = templates
            .get(&number)
            .ok_or_else(|| missing_row(&format!("the template of pod {uid}")))?;
        let metadata = read.rows.get(&Row::PodMetadata.key(uid.bits()));
        let metadata = metadata
            .map(|(_, bytes)| serde_json::from_slice(bytes).map(Arc::new))
            .transpose()?;
        let pod = row.into_pod(uid, Arc::clone(template), metadata);
        known.know_pod(uid, number);
        if let Some(metadata) = &pod.metadata {
            known.know_pod_metadata(uid, metadata);
        }
        objects.push(Stored {
            revision,
            object: Object::Pod(Arc::new(pod)),
        });
    }
    events.sort_by_key(|(revision, event)| (*revision, event.time, event.uid));
    objects.extend(events.into_iter().map(|(revision, event)| Stored {
        revision,
        object: Object::Event(Arc::new(event)),
    }));
    Ok(objects)
}

/// What the store numbers itself has small numbers.
fn number(id: u128) -> u64 {
    u64::try_from(id).unwrap_or(u64::MAX)
}

fn missing_row(what: &str) -> RowError {
    RowError::Missing(what.to_owned())
}

/// Lets templates that are their Job's own be the Job's own: one copy in memory,
/// and one number for the pods that come.
fn share_templates(
    jobs: &[(u64, wasmjob_api::Job)],
    templates: &mut HashMap<u64, Arc<PodTemplate>>,
) {
    let of_job: HashMap<Uid, &Arc<PodTemplate>> = jobs
        .iter()
        .map(|(_, job)| (job.uid, &job.spec.template))
        .collect();
    let mut shared = foldhash::HashSet::default();
    let mut numbers: Vec<u64> = templates.keys().copied().collect();
    // One address has one number: the newest.
    numbers.sort_unstable_by_key(|number| std::cmp::Reverse(*number));
    for number in numbers {
        let Some(template) = templates.get_mut(&number) else {
            continue;
        };
        let Some(owner) = template.owner.as_ref().map(|owner| owner.uid) else {
            continue;
        };
        if let Some(own) = of_job.get(&owner)
            && ***own == **template
            && shared.insert(owner)
        {
            *template = Arc::clone(own);
        }
    }
}

/// The last revision in the journal of `database`.
pub(super) fn last_revision(database: &Database) -> Result<u64, OpenError> {
    let transaction = database.begin_read().map_err(storage_error)?;
    let journal = transaction.open_table(JOURNAL).map_err(storage_error)?;
    let last = journal.last().map_err(storage_error)?;
    Ok(last.map_or(0, |(last, _)| last.value()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Directory, Store};

    fn set_format(dir: &std::path::Path, format: u64) {
        let disk = Directory::lock(dir).unwrap();
        let database = open(&disk, &Arc::default(), false).unwrap().unwrap();
        let transaction = database.begin_write().unwrap();
        let mut meta = transaction.open_table(META).unwrap();
        meta.insert("format", format).unwrap();
        drop(meta);
        transaction.commit().unwrap();
    }

    #[test]
    fn an_older_format_is_taken_over_and_a_newer_one_refused() {
        let dir = tempfile::tempdir().unwrap();
        let open_store = || Store::open(Directory::lock(dir.path()).unwrap());
        drop(open_store().unwrap());
        set_format(dir.path(), 1);
        drop(open_store().unwrap());
        let disk = Directory::lock(dir.path()).unwrap();
        let database = open(&disk, &Arc::default(), false).unwrap().unwrap();
        assert_eq!(format(&database).unwrap(), FORMAT);
        drop((database, disk));
        set_format(dir.path(), FORMAT + 1);
        let error = open_store().err().unwrap();
        assert!(matches!(error, OpenError::Newer { found, .. } if found == FORMAT + 1));
    }
}
