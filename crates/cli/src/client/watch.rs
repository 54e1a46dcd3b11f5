//! `get --watch`: what is there, and every change from then on.

use serde_json::Value;
use wasmjob_machinery::resource::Resource;

use super::api::{Api, TABLE, name, selected, text};
use super::failure::{Failure, Refusal, Result};
use super::get::{look, show, strip};
use super::kinds::{Wanted, called};
use super::output::{line, print};
use super::socket::Answer;
use super::table::Table;
use super::uri::Uri;
use crate::args::{Form, GetArgs};
use crate::exit::Exit;

/// A stream of changes.
pub(crate) struct Changes(Answer);

impl Changes {
    /// Watches what `list` lists, from a revision on.
    pub(crate) async fn open(api: &Api, list: Uri, accept: &str, revision: &str) -> Result<Self> {
        let uri = list.with("watch", "true").with("resourceVersion", revision);
        api.open(&uri, accept).await.map(Self)
    }

    /// The next change: its type and its object. None once the daemon has ended it.
    pub(crate) async fn next(&mut self) -> Result<Option<(String, Value)>> {
        let Some(line) = self.0.line().await? else {
            return Ok(None);
        };
        let mut event: Value = serde_json::from_slice(&line).map_err(|error| {
            Failure::other(format!("an event of the watch is no JSON: {error}"))
        })?;
        let object = event["object"].take();
        match text(&event, "/type") {
            "ERROR" => {
                let code = object["code"]
                    .as_u64()
                    .and_then(|code| u16::try_from(code).ok());
                let refusal = Refusal::read(code.unwrap_or(500), object.to_string().as_bytes());
                Err(Failure::Refused(Box::new(refusal)))
            }
            kind => Ok(Some((kind.to_owned(), object))),
        }
    }
}

pub(crate) async fn get(api: &Api, args: &GetArgs, wanted: &Wanted) -> Result<Exit> {
    let namespace = args.daemon.namespace();
    let (resource, first, list) = match wanted {
        Wanted::Every(resources) => {
            let [resource] = resources.as_slice() else {
                return Err(Failure::usage("only one resource is watched at a time"));
            };
            let list = selected(resource, namespace, &args.select);
            (*resource, list.clone(), list)
        }
        Wanted::Named(named) => {
            let [(resource, name)] = named.as_slice() else {
                return Err(Failure::usage(
                    "only one object, or all of a resource, is watched at a time",
                ));
            };
            let object = Uri::object(resource, namespace, name);
            // One that is not there is an error, and not an empty list.
            api.read(&object).await?;
            let list = Uri::list(resource, Some(namespace))
                .with("fieldSelector", &format!("metadata.name={name}"));
            // The list's revision is now, and the object's may be long forgotten.
            (*resource, list.clone(), list)
        }
    };
    let mut screen = Screen::new(resource, args);
    let accept = screen.accept();
    let current = api.read_as(&first, accept).await?;
    let revision = text(&current, "/metadata/resourceVersion").to_owned();
    screen.show(current)?;
    let mut changes = Changes::open(api, list, accept, &revision).await?;
    while let Some((kind, object)) = changes.next().await? {
        if kind != "BOOKMARK" {
            screen.show(object)?;
        }
    }
    Ok(Exit::Complete)
}

/// Where objects are printed as they come.
struct Screen<'a> {
    resource: &'static Resource,
    args: &'a GetArgs,
    table: Table,
    /// Whether something was printed, from which what comes is to be told apart.
    begun: bool,
}

impl<'a> Screen<'a> {
    fn new(resource: &'static Resource, args: &'a GetArgs) -> Self {
        Self {
            resource,
            args,
            table: Table::new(resource, look(resource, args)),
            begun: false,
        }
    }

    const fn accept(&self) -> &'static str {
        match self.args.output {
            None | Some(Form::Wide) => TABLE,
            Some(_) => "application/json",
        }
    }

    fn show(&mut self, object: Value) -> Result<()> {
        let form = match &self.args.output {
            None | Some(Form::Wide) => {
                self.table.add(&object);
                return match self.table.is_empty() {
                    true => Ok(()),
                    false => print(&self.table.take()),
                };
            }
            Some(form) => form,
        };
        let items = match object {
            Value::Object(mut list) if list.contains_key("items") => match list.remove("items") {
                Some(Value::Array(items)) => items,
                _ => Vec::new(),
            },
            object => vec![object],
        };
        items
            .into_iter()
            .try_for_each(|object| self.show_one(form, object))
    }

    fn show_one(&mut self, form: &Form, mut object: Value) -> Result<()> {
        if *form == Form::Name {
            return line(&format!("{}/{}", called(self.resource), name(&object)));
        }
        object["apiVersion"] = self.resource.api_version().into();
        object["kind"] = self.resource.kind.into();
        strip(&mut object, self.args);
        if *form == Form::Yaml && self.begun {
            line("---")?;
        }
        self.begun = true;
        show(form, &object)
    }
}
