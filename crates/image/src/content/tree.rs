//! A file system as layers describe it, before any of it is on the disk.
//!
//! What a layer says is applied to this tree of names, in which nothing can lead anywhere:
//! links are texts. Only the finished tree is written, into a new directory, name by name.
//! So no path of a layer is ever resolved by the system.

use std::collections::BTreeMap;

use crate::registry::PullError;

/// Bytes of a name, and names in a path.
const NAME_BYTES_MAX: usize = 255;
const DEPTH_MAX: usize = 64;
const PATH_BYTES_MAX: usize = 4096;

/// What a layer calls a name that it removes, and a directory whose old content it removes.
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// A name's bytes.
type Name = Vec<u8>;

/// What stands at a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Node {
    Dir(Dir),
    /// The file that was set aside under this number.
    File(usize),
    /// A symbolic link.
    Link(Vec<u8>),
    /// In a layer only: what stood here below is gone.
    Gone,
}

/// A directory.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Dir {
    pub(crate) entries: BTreeMap<Name, Node>,
    /// The layer named it itself, not only something in it.
    named: bool,
    /// What stood in it below is gone.
    opaque: bool,
}

/// A path of a layer: plain names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Path(Vec<Name>);

impl Path {
    /// Reads what a layer calls a path: relative, or absolute and then as seen from the root.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, PullError> {
        let shown = || String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
        let refuse = |why: &str| Err(PullError::refused(format!("the path {:?} {why}", shown())));
        if bytes.len() > PATH_BYTES_MAX {
            return refuse("is too long");
        }
        if bytes.contains(&0) {
            return refuse("holds a NUL");
        }
        if bytes.first() == Some(&b'/') {
            return refuse("is absolute");
        }
        let mut names = Vec::new();
        for part in bytes.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => return refuse("leads out of the image"),
                part if part.len() > NAME_BYTES_MAX => return refuse("has too long a name"),
                part => names.push(part.to_vec()),
            }
        }
        if names.len() > DEPTH_MAX {
            return refuse("is too deep");
        }
        Ok(Self(names))
    }

    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.0.join(&b'/')).into_owned()
    }

    /// How deep the directory of the path is.
    fn parent_depth(&self) -> usize {
        self.0.len().saturating_sub(1)
    }
}

/// The target of a link at `path`, made relative; a link out of the image is refused.
///
/// It is also made plain: `..` stands at its beginning only. There it goes from directory to
/// directory; behind a name it would go from wherever another link leads, and through
/// enough of those out of the image.
pub(crate) fn link_target(path: &Path, target: &[u8]) -> Result<Vec<u8>, PullError> {
    let refuse = |why: &str| {
        Err(PullError::refused(format!(
            "the symbolic link {:?} {why}",
            path.shown()
        )))
    };
    if target.is_empty() || target.len() > PATH_BYTES_MAX || target.contains(&0) {
        return refuse("has no valid target");
    }
    let depth = path.parent_depth();
    let (mut up, mut names) = (0, Vec::new());
    if target[0] == b'/' {
        up = depth;
    }
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if names.pop().is_some() => {}
            b".." if up == depth => return refuse("leads out of the image"),
            b".." => up += 1,
            name => names.push(name),
        }
    }
    let all = std::iter::repeat_n(b"..".as_slice(), up).chain(names);
    let all: Vec<&[u8]> = all.collect();
    Ok(match all.is_empty() {
        true => b".".to_vec(),
        false => all.join(&b'/'),
    })
}

impl Dir {
    /// Puts what a layer has at `path`.
    pub(crate) fn put(&mut self, path: &Path, node: Node) -> Result<(), PullError> {
        let Some((name, parents)) = path.0.split_last() else {
            // The root itself.
            self.named = true;
            return Ok(());
        };
        let mut dir = self;
        for parent in parents {
            if parent.starts_with(WHITEOUT) {
                return Err(PullError::refused(format!(
                    "the path {:?} is in what a layer removes",
                    path.shown()
                )));
            }
            let next = dir.entries.entry(parent.clone());
            let next = next.or_insert_with(|| Node::Dir(Self::default()));
            match next {
                Node::Dir(next) => dir = next,
                Node::Gone => {
                    // Removed, and made anew.
                    *next = Node::Dir(Self {
                        opaque: true,
                        named: true,
                        ..Self::default()
                    });
                    let Node::Dir(next) = next else { return Ok(()) };
                    dir = next;
                }
                Node::File(_) | Node::Link(_) => {
                    return Err(PullError::refused(format!(
                        "the path {:?} leads through {:?}, which is no directory",
                        path.shown(),
                        String::from_utf8_lossy(parent)
                    )));
                }
            }
        }
        if name == OPAQUE {
            dir.opaque = true;
            return Ok(());
        }
        if let Some(name) = name.strip_prefix(WHITEOUT) {
            if name.is_empty() || name == b"." || name == b".." {
                return Err(PullError::refused("a layer removes nothing by name"));
            }
            // It concerns what is below; what the layer itself has stays.
            match dir.entries.get_mut(name) {
                Some(Node::Dir(dir)) => dir.opaque = true,
                Some(_) => {}
                None => _ = dir.entries.insert(name.to_vec(), Node::Gone),
            }
            return Ok(());
        }
        match (dir.entries.get_mut(name), node) {
            (Some(Node::Dir(old)), Node::Dir(_)) => old.named = true,
            (Some(Node::Gone), Node::Dir(new)) => {
                let new = Node::Dir(Self {
                    opaque: true,
                    ..new
                });
                dir.entries.insert(name.clone(), new);
            }
            (_, node) => _ = dir.entries.insert(name.clone(), node),
        }
        Ok(())
    }

    /// A directory that a layer names.
    pub(crate) fn named() -> Node {
        Node::Dir(Self {
            named: true,
            ..Self::default()
        })
    }

    /// What stands at `path`, no link followed.
    pub(crate) fn get(&self, path: &Path) -> Option<&Node> {
        let (name, parents) = path.0.split_last()?;
        let mut dir = self;
        for parent in parents {
            match dir.entries.get(parent) {
                Some(Node::Dir(next)) => dir = next,
                _ => return None,
            }
        }
        dir.entries.get(name)
    }

    /// Lays `layer` over this.
    pub(crate) fn lay(&mut self, layer: Self) -> Result<(), PullError> {
        if layer.opaque {
            self.entries.clear();
        }
        for (name, node) in layer.entries {
            match (self.entries.get_mut(&name), node) {
                (_, Node::Gone) => _ = self.entries.remove(&name),
                (Some(Node::Dir(below)), Node::Dir(over)) => below.lay(over)?,
                (Some(Node::Link(_)), Node::Dir(over)) if !over.named => {
                    return Err(PullError::refused(format!(
                        "a layer has files below {:?}, which is a symbolic link",
                        String::from_utf8_lossy(&name)
                    )));
                }
                (_, Node::Dir(over)) => {
                    // Nothing is below, so nothing is removed.
                    let mut dir = Self::default();
                    dir.lay(over)?;
                    self.entries.insert(name, Node::Dir(dir));
                }
                (_, node) => _ = self.entries.insert(name, node),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        Path::read(text.as_bytes()).unwrap()
    }

    fn layer(entries: &[(&str, Node)]) -> Dir {
        let mut dir = Dir::default();
        for (at, node) in entries {
            dir.put(&path(at), node.clone()).unwrap();
        }
        dir
    }

    fn names(dir: &Dir) -> Vec<String> {
        let mut found = Vec::new();
        for (name, node) in &dir.entries {
            let name = String::from_utf8_lossy(name).into_owned();
            match node {
                Node::Dir(inner) => {
                    found.push(format!("{name}/"));
                    found.extend(names(inner).iter().map(|inner| format!("{name}/{inner}")));
                }
                Node::File(n) => found.push(format!("{name}={n}")),
                Node::Link(_) => found.push(format!("{name}@")),
                Node::Gone => found.push(format!("{name}!")),
            }
        }
        found
    }

    fn laid(layers: &[Dir]) -> Vec<String> {
        let mut root = Dir::default();
        for layer in layers {
            root.lay(layer.clone()).unwrap();
        }
        names(&root)
    }

    #[test]
    fn layers_add_replace_and_remove() {
        let first = layer(&[
            ("a/x", Node::File(1)),
            ("a/y", Node::File(2)),
            ("b", Node::File(3)),
            ("c/z", Node::File(4)),
        ]);
        let second = layer(&[
            ("a/.wh.x", Node::File(9)),
            ("b", Node::File(5)),
            ("c/new", Node::File(6)),
            ("c/.wh..wh..opq", Node::File(9)),
        ]);
        assert_eq!(
            laid(&[first.clone(), second]),
            ["a/", "a/y=2", "b=5", "c/", "c/new=6"]
        );
        let whole = layer(&[(".wh.a", Node::File(9)), ("a/q", Node::File(7))]);
        assert_eq!(
            laid(&[first.clone(), whole]),
            ["a/", "a/q=7", "b=3", "c/", "c/z=4"]
        );
        let alone = layer(&[(".wh.ghost", Node::File(9)), ("d/.wh.e", Node::File(9))]);
        assert_eq!(laid(&[alone]), ["d/"]);
    }

    #[test]
    fn a_directory_named_in_place_of_a_link_replaces_it_and_one_implied_does_not() {
        let link = layer(&[("lib", Node::Link(b"usr/lib".to_vec()))]);
        let named = layer(&[("lib", Dir::named()), ("lib/x", Node::File(1))]);
        assert_eq!(laid(&[link.clone(), named]), ["lib/", "lib/x=1"]);
        let mut root = Dir::default();
        root.lay(link).unwrap();
        let implied = root.lay(layer(&[("lib/x", Node::File(1))]));
        assert!(implied.unwrap_err().to_string().contains("symbolic link"));
    }

    #[test]
    fn paths_and_links_stay_inside() {
        for bad in [
            "../x",
            "a/../../x",
            "/etc/x",
            "a/\u{0}b",
            &"a/".repeat(65),
            &"n".repeat(256),
        ] {
            assert!(Path::read(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert_eq!(path("./a//b/."), path("a/b"));
        let target = |at: &str, to: &str| {
            link_target(&path(at), to.as_bytes()).map(|t| String::from_utf8(t).unwrap())
        };
        assert_eq!(target("bin/sh", "/bin/busybox").unwrap(), "../bin/busybox");
        assert_eq!(target("bin/sh", "busybox").unwrap(), "busybox");
        assert_eq!(target("bin/sh", "../x").unwrap(), "../x");
        assert_eq!(target("root", "/").unwrap(), ".");
        assert_eq!(target("x", "d/l/..").unwrap(), "d");
        assert_eq!(target("a/b/x", "../c/../../d/./e/").unwrap(), "../../d/e");
        assert!(target("bin/sh", "../../etc").is_err());
        assert!(target("sh", "a/../../etc").is_err());
        assert!(target("sh", "/../etc").is_err());
        assert!(target("sh", "").is_err());
        let mut dir = layer(&[("a", Node::Link(b"..".to_vec()))]);
        assert!(dir.put(&path("a/x"), Node::File(1)).is_err());
    }
}
