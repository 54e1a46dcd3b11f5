//! Looking at a module before any compiler does, and compiling it.
//!
//! A compiler's work is not bounded by a module's size: half a megabyte of
//! hostile code buys 18 seconds. So a cheap pass over the bytes refuses what no
//! toolchain emits and says how expensive the rest may be; what is expensive is
//! compiled in a process that can be killed (`image` does that).

use std::borrow::Cow;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use wasmparser::{Encoding, KnownCustom, Name, Parser, Payload, TypeRef};

use crate::bulk::{self, Places, in_chunks};
use crate::executor::panic_text;
use crate::trap::printable;
use crate::{Engine, Limits, ModuleKind, shape};

/// What compiling a module may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileCost {
    /// Core module or component.
    pub kind: ModuleKind,
    /// Bytes of code in all functions.
    pub code_bytes: u64,
    /// Functions with code.
    pub functions: u32,
    /// Bytes of the largest function's code.
    pub largest_function_bytes: u32,
    /// The most locals in one function.
    pub most_locals: u32,
    cheap: bool,
}

impl CompileCost {
    /// Whether compiling surely takes well under a second and little memory, so
    /// that it needs no process of its own.
    #[must_use]
    pub fn is_cheap(&self) -> bool {
        self.cheap
    }
}

/// Why a module cannot be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// Not WebAssembly at all.
    #[error("not WebAssembly: {0}")]
    Magic(String),
    /// Over a limit of the host.
    #[error("{what}: {found}, at most {limit} allowed{}", at(*offset))]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        found: u64,
        /// How much may be.
        limit: u64,
        /// Where in the file, if at one place.
        offset: Option<usize>,
    },
    /// Malformed or invalid; the text names the offset.
    #[error("not a valid WebAssembly module: {0}")]
    Invalid(String),
    /// Valid, and not a command that can be run here.
    #[error("{0}")]
    Unlinkable(String),
}

fn at(offset: Option<usize>) -> String {
    offset.map_or_else(String::new, |offset| format!(" (at offset {offset:#x})"))
}

/// Looks at `bytes` without compiling them.
///
/// # Errors
///
/// When they are not WebAssembly, are malformed, or exceed `limits`.
pub fn scan(bytes: &[u8], limits: &Limits) -> Result<CompileCost, CompileError> {
    check_size(bytes.len(), limits)?;
    check_magic(bytes)?;
    let mut scan = Scan {
        limits,
        memories: 0,
        cost: CompileCost {
            kind: ModuleKind::Core,
            code_bytes: 0,
            functions: 0,
            largest_function_bytes: 0,
            most_locals: 0,
            cheap: false,
        },
    };
    let mut first = true;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload =
            payload.map_err(|error| CompileError::Invalid(printable(&error.to_string())))?;
        if let Payload::Version { encoding, .. } = &payload
            && first
        {
            first = false;
            if *encoding == Encoding::Component {
                scan.cost.kind = ModuleKind::Component;
            }
        }
        scan.payload(&payload)?;
    }
    scan.cost.cheap = shape::is_cheap(bytes) && is_cheap_in_chunks(bytes)?;
    Ok(scan.cost)
}

/// Whether what is compiled in place of `bytes` is cheap too.
fn is_cheap_in_chunks(bytes: &[u8]) -> Result<bool, CompileError> {
    Ok(match in_chunks(bytes)?.bytes {
        Cow::Borrowed(_) => true,
        Cow::Owned(bytes) => shape::is_cheap(&bytes),
    })
}

fn check_size(len: usize, limits: &Limits) -> Result<(), CompileError> {
    if len > limits.module_bytes {
        return Err(CompileError::Limit {
            what: "the module is too large, in bytes",
            found: len as u64,
            limit: limits.module_bytes as u64,
            offset: None,
        });
    }
    Ok(())
}

fn check_magic(bytes: &[u8]) -> Result<(), CompileError> {
    const MAGIC: &[u8] = b"\0asm";
    if bytes.starts_with(MAGIC) {
        return Ok(());
    }
    if bytes.is_empty() {
        return Err(CompileError::Magic("the file is empty".to_owned()));
    }
    let start = bytes[..bytes.len().min(4)].escape_ascii();
    let hint = if bytes.starts_with(b"(module") || bytes.starts_with(b"(component") {
        "; it is the text form: convert it with wat2wasm or `wasm-tools parse`"
    } else if bytes.starts_with(b"\x7fELF") {
        "; it is a native or precompiled program: point at the .wasm file itself"
    } else {
        "; point at the compiled .wasm file"
    };
    Err(CompileError::Magic(format!(
        "it starts with \"{start}\", expected \"\\0asm\"{hint}"
    )))
}

/// Bytes of a function's name that are kept. Mangled names of large C++ and Rust
/// programs stay below; a trap copies the names of all its frames.
const NAME_BYTES_MAX: usize = 16 << 10;

/// `bytes` with name sections that hold longer names hidden from the compiler:
/// names are for people, who would not read those, and every trap would copy
/// them outside of the guest's memory limit.
fn without_long_names(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut bytes = Cow::Borrowed(bytes);
    for at in long_names(&bytes) {
        // A custom section of another name is ignored.
        bytes.to_mut()[at] = b'-';
    }
    bytes
}

/// Where the names of those name sections stand: the last byte of `name`.
fn long_names(bytes: &[u8]) -> Vec<usize> {
    Parser::new(0)
        .parse_all(bytes)
        .filter_map(|payload| match payload {
            Ok(Payload::CustomSection(section)) => Some(section),
            _ => None,
        })
        .filter(|section| match section.as_known() {
            KnownCustom::Name(names) => has_long_name(names),
            _ => false,
        })
        .map(|section| section.data_offset() - 1)
        .collect()
}

fn has_long_name(names: wasmparser::NameSectionReader<'_>) -> bool {
    // What does not read is not used by the compiler either.
    names.flatten().any(|names| match names {
        Name::Module { name, .. } => name.len() > NAME_BYTES_MAX,
        Name::Function(names) => names
            .into_iter()
            .flatten()
            .any(|naming| naming.name.len() > NAME_BYTES_MAX),
        _ => false,
    })
}

struct Scan<'a> {
    limits: &'a Limits,
    cost: CompileCost,
    /// Memories of the core module that is being read.
    memories: u32,
}

impl Scan<'_> {
    fn payload(&mut self, payload: &Payload<'_>) -> Result<(), CompileError> {
        let items = u64::from(self.limits.items);
        let count = |what, count: u32, range: Range<usize>| {
            over(what, u64::from(count), items, Some(range.start))
        };
        match payload {
            Payload::Version { .. } => {
                self.memories = 0;
                Ok(())
            }
            Payload::MemorySection(r) => self.memories(r.count(), r.range().start),
            Payload::TypeSection(r) => count("too many types", r.count(), r.range()),
            Payload::ImportSection(r) => {
                count("too many imports", r.count(), r.range())?;
                let mut memories = 0;
                for import in r.clone().into_imports() {
                    let import = import
                        .map_err(|error| CompileError::Invalid(printable(&error.to_string())))?;
                    memories += u32::from(matches!(import.ty, TypeRef::Memory(_)));
                }
                self.memories(memories, r.range().start)
            }
            Payload::ExportSection(r) => count("too many exports", r.count(), r.range()),
            Payload::GlobalSection(r) => count("too many globals", r.count(), r.range()),
            Payload::ElementSection(r) => count("too many element segments", r.count(), r.range()),
            Payload::DataSection(r) => count("too many data segments", r.count(), r.range()),
            Payload::CodeSectionStart { count, range, .. } => {
                self.cost.functions = self.cost.functions.saturating_add(*count);
                let limit = u64::from(self.limits.functions);
                over(
                    "too many functions",
                    u64::from(self.cost.functions),
                    limit,
                    Some(range.start),
                )
            }
            Payload::CodeSectionEntry(body) => self.function(body),
            _ => Ok(()),
        }
    }

    /// One core module has one memory. The compiler is not told so, because what
    /// it makes itself to join components has two.
    fn memories(&mut self, more: u32, offset: usize) -> Result<(), CompileError> {
        self.memories = self.memories.saturating_add(more);
        over(
            "too many memories in a module",
            u64::from(self.memories),
            1,
            Some(offset),
        )
    }

    fn function(&mut self, body: &wasmparser::FunctionBody<'_>) -> Result<(), CompileError> {
        let range = body.range();
        let len = range.len() as u64;
        let start = Some(range.start);
        over(
            "a function is too long, in bytes",
            len,
            u64::from(self.limits.function_bytes),
            start,
        )?;
        let invalid = |error: wasmparser::BinaryReaderError| {
            CompileError::Invalid(printable(&error.to_string()))
        };
        let mut locals = 0u64;
        for group in body.get_locals_reader().map_err(invalid)? {
            locals = locals.saturating_add(u64::from(group.map_err(invalid)?.0));
        }
        over(
            "a function has too many locals",
            locals,
            u64::from(self.limits.function_locals),
            start,
        )?;
        self.cost.code_bytes = self.cost.code_bytes.saturating_add(len);
        // Both were just found to be below a u32.
        self.cost.largest_function_bytes = self.cost.largest_function_bytes.max(len as u32);
        self.cost.most_locals = self.cost.most_locals.max(locals as u32);
        Ok(())
    }
}

fn over(
    what: &'static str,
    found: u64,
    limit: u64,
    offset: Option<usize>,
) -> Result<(), CompileError> {
    if found > limit {
        return Err(CompileError::Limit {
            what,
            found,
            limit,
            offset,
        });
    }
    Ok(())
}

/// What `compile` makes of `bytes` as they are compiled, and where its code
/// stood. The one way to the compiler.
pub(crate) fn compile<T>(
    bytes: &[u8],
    compile: impl Fn(&[u8]) -> wasmtime::Result<T>,
) -> Result<(T, Places), CompileError> {
    let bytes = without_long_names(bytes);
    let chunked = in_chunks(&bytes)?;
    let error = match unwinding(|| compile(&chunked.bytes)) {
        Ok(compiled) => return Ok((compiled, chunked.places)),
        Err(error) => error,
    };
    if let Cow::Borrowed(_) = chunked.bytes {
        return Err(error);
    }
    // The author's file must be named in the error, with its own offsets. That
    // it compiles does not help: it may hold long instructions.
    Err(unwinding(|| compile(&bytes)).err().unwrap_or(error))
}

/// What `compile` makes. A compiler that panics must not take its caller along.
fn unwinding<T>(compile: impl FnOnce() -> wasmtime::Result<T>) -> Result<T, CompileError> {
    match catch_unwind(AssertUnwindSafe(compile)) {
        Ok(compiled) => {
            compiled.map_err(|error| CompileError::Invalid(printable(&format!("{error:#}"))))
        }
        Err(panic) => Err(CompileError::Invalid(format!(
            "the compiler failed: {}",
            printable(panic_text(&*panic))
        ))),
    }
}

impl Engine {
    /// Compiles `bytes` to machine code for this machine and these limits. This
    /// is bounded only by what [`scan`] let pass; see [`CompileCost::is_cheap`].
    ///
    /// # Errors
    ///
    /// When the module is invalid.
    pub fn compile(&self, bytes: &[u8], metered: bool) -> Result<Vec<u8>, CompileError> {
        let cost = scan(bytes, self.limits())?;
        let realm = self
            .realm(metered)
            .map_err(|error| CompileError::Invalid(error.to_string()))?;
        let (mut code, places) = compile(bytes, |bytes| match cost.kind {
            ModuleKind::Core => realm.engine.precompile_module(bytes),
            ModuleKind::Component => realm.engine.precompile_component(bytes),
        })?;
        places.append_to(&mut code);
        Ok(code)
    }

    /// What compiled code depends on besides the module: the compiler's version,
    /// its settings, the processor's features, and what we change before, as one
    /// number.
    ///
    /// # Errors
    ///
    /// When the engine that counts fuel cannot be made.
    pub fn compatibility(&self, metered: bool) -> Result<u64, crate::EngineError> {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let realm = self.realm(metered)?;
        let mut hasher = DefaultHasher::new();
        realm
            .engine
            .precompile_compatibility_hash()
            .hash(&mut hasher);
        bulk::VERSION.hash(&mut hasher);
        Ok(hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: &[u8]) -> String {
        scan(bytes, &Limits::default()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_wasm_is_named() {
        assert_eq!(
            refused(b"#!/bin/sh"),
            "not WebAssembly: it starts with \"#!/b\", expected \"\\0asm\"; point at the compiled .wasm file"
        );
        assert_eq!(refused(b""), "not WebAssembly: the file is empty");
        assert!(refused(b"(module)").contains("wat2wasm"));
        assert!(refused(b"\x7fELF\x02\x01").contains("precompiled"));
    }

    #[test]
    fn a_function_with_too_many_locals_is_refused_with_its_place() {
        let wasm =
            wat::parse_str(format!("(module (func (local {})))", "i32 ".repeat(20_001))).unwrap();
        let text = refused(&wasm);
        assert!(
            text.starts_with(
                "a function has too many locals: 20001, at most 20000 allowed (at offset"
            ),
            "{text}"
        );
    }

    #[test]
    fn truncation_never_panics() {
        let wasm = wat::parse_str(
            "(module (memory 1) (func (export \"_start\") (local i64) i32.const 1 drop))",
        )
        .unwrap();
        for end in 0..wasm.len() {
            let _ = scan(&wasm[..end], &Limits::default());
        }
    }
}
