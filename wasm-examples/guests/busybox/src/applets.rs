//! The applets, by name.

mod date;
mod echo;
mod env;
mod expr;
mod files;
mod find;
mod grep;
mod hash;
mod identity;
mod lines;
mod ls;
mod options;
mod parts;
mod sed;
mod simple;
mod sort;
mod test;
mod tr;

pub(crate) use echo::unescape;
pub(crate) use test::test;

use crate::world::{Stop, World};

/// An applet: its status, or why it ended early.
pub(crate) type Applet = fn(&World, &[String]) -> Result<i32, Stop>;

/// All applets, sorted by name.
const APPLETS: &[(&str, Applet)] = &[
    ("[", test::bracket),
    ("ash", crate::sh::main),
    ("base64", hash::base64),
    ("basename", parts::basename),
    ("bash", crate::sh::main),
    ("cat", files::cat),
    ("cp", files::cp),
    ("cut", parts::cut),
    ("date", date::date),
    ("dirname", parts::dirname),
    ("echo", echo::echo),
    ("egrep", grep::egrep),
    ("env", env::env),
    ("expr", expr::expr),
    ("false", simple::false_),
    ("fgrep", grep::fgrep),
    ("find", find::find),
    ("grep", grep::grep),
    ("head", lines::head),
    ("hostname", identity::hostname),
    ("id", identity::id),
    ("ls", ls::ls),
    ("mkdir", files::mkdir),
    ("mv", files::mv),
    ("nl", lines::nl),
    ("nproc", identity::nproc),
    ("printenv", env::printenv),
    ("printf", echo::printf),
    ("pwd", identity::pwd),
    ("rev", lines::rev),
    ("rm", files::rm),
    ("rmdir", files::rmdir),
    ("sed", sed::sed),
    ("seq", simple::seq),
    ("sh", crate::sh::main),
    ("sha256sum", hash::sha256sum),
    ("sleep", simple::sleep),
    ("sort", sort::sort),
    ("sync", simple::true_),
    ("tac", lines::tac),
    ("tail", lines::tail),
    ("tee", files::tee),
    ("test", test::test),
    ("touch", files::touch),
    ("tr", tr::tr),
    ("true", simple::true_),
    ("uname", identity::uname),
    ("uniq", sort::uniq),
    ("usleep", simple::usleep),
    ("wc", lines::wc),
    ("which", identity::which),
    ("whoami", identity::whoami),
    ("xargs", env::xargs),
    ("yes", simple::yes),
];

/// The applet called `name`.
pub(crate) fn find(name: &str) -> Option<Applet> {
    let index = APPLETS.binary_search_by_key(&name, |(own, _)| own).ok()?;
    Some(APPLETS[index].1)
}

/// A path's last part.
pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// Says what there is.
pub(crate) fn list(world: &World) -> i32 {
    let names: Vec<&str> = APPLETS.iter().map(|(name, _)| *name).collect();
    let text = format!(
        "A shell and the usual applets in one WebAssembly module.\nCall it as one of these, or name one as its \
         first argument:\n{}\n",
        names.join(" ")
    );
    world.print(text).map_or(1, |()| 0)
}

/// Runs the applet that a command names, as `env` and `xargs` do.
fn run(world: &World, command: &[String]) -> Result<i32, Stop> {
    let Some((name, args)) = command.split_first() else {
        return Ok(0);
    };
    match find(base_name(name)) {
        Some(applet) => Ok(world.named(base_name(name)).run(applet, args)),
        None => world.stop(
            127,
            &format!("can't execute '{name}': No such file or directory"),
        ),
    }
}
