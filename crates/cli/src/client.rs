//! The commands for devices without `kubectl`: they speak to the daemon over its socket
//! and print what `kubectl` would.
//!
//! Nothing is decided here. What an object looks like in a table, what is valid and who
//! may do what is the daemon's part; finding it ([`socket`]), naming things ([`kinds`]) and
//! laying text out ([`table`], [`tabs`], [`yaml`]) is the rest. One module is one command.

mod api;
mod apply;
mod delete;
mod describe;
mod failure;
mod get;
mod images;
mod json_path;
mod kinds;
mod logs;
mod manifest;
mod output;
mod socket;
mod suspend;
mod table;
mod tabs;
mod top;
mod tree;
mod trigger;
mod uri;
mod watch;

use anyhow::Context;

use self::api::Api;
use self::failure::{Failure, Result};
use self::socket::Socket;
use crate::args::{ClientCommand, DaemonArgs};
use crate::config::{self, Config};
use crate::exit::Exit;

/// Runs a command that speaks to a daemon.
pub(crate) fn run(command: &ClientCommand) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let done = runtime.block_on(dispatch(command));
    Ok(done.unwrap_or_else(|failure| failure.tell()))
}

async fn dispatch(command: &ClientCommand) -> Result<Exit> {
    let api = &Api::new(socket(command.daemon())?);
    match command {
        ClientCommand::Get(args) => get::get(api, args).await,
        ClientCommand::Describe(args) => describe::describe(api, args).await,
        ClientCommand::Logs(args) => logs::logs(api, args).await,
        ClientCommand::Apply(args) => apply::apply(api, args).await,
        ClientCommand::Delete(args) => delete::delete(api, args).await,
        ClientCommand::Trigger(args) => trigger::trigger(api, args).await,
        ClientCommand::Suspend(args) => suspend::set(api, args, true).await,
        ClientCommand::Resume(args) => suspend::set(api, args, false).await,
        ClientCommand::Tree(args) => tree::tree(api, args).await,
        ClientCommand::Top(args) => top::top(api, args).await,
    }
}

fn socket(daemon: &DaemonArgs) -> Result<Socket> {
    let config = Config::load(None).map_err(|error| Failure::usage(format!("{error:#}")))?;
    let dir = config::data_dir(daemon.data_dir.as_deref(), &config);
    dir.map(Socket::new)
        .ok_or_else(|| Failure::usage("no --data-dir is given, and there is no home directory"))
}
