//! Long bulk instructions in chunks, so that a guest dies within one.
//!
//! Compiled code looks at the epoch in loops and when functions are entered; one
//! `memory.copy` of 256 MiB is a single instruction in between and takes a
//! quarter of a second beside busy guests. So before a module is compiled, its
//! `memory.fill`, `memory.copy` and long `memory.init` become calls of a function
//! that is appended to it (`bulk::function`) and does the same chunk by chunk.
//! An instruction whose length is a small constant stays: it is short, and the
//! compiler expands it in place.
//!
//! Nothing else changes. Functions and their type are appended, so that no index
//! shifts; all other bytes are copied as they are, in components too. This is no
//! validator: what it cannot read it leaves as it is, which the compiler, having
//! the same parser, refuses; and what it writes, the compiler validates. A trap
//! still tells where it happened in the file that its author has (`bulk::places`).
//!
//! What it costs: 2 ns for a short copy that took 6. With a budget of fuel, 9 for
//! a short copy and 19 for each further chunk of a long one, beside one per byte
//! as always: the instructions of the function, the same on every machine.
//!
//! What is not reached: a string that one component gives another is copied in
//! one call of the host, made by the compiler; 80 MiB take a third of a second.
//!
//! Tables are not chunked: they have at most a million elements, which are filled
//! in less than three milliseconds.

mod function;
mod places;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use wasm_encoder::Encode;
use wasmparser::{
    BinaryReader, BinaryReaderError, Chunk, FunctionBody, Operator, Parser, Payload,
    SectionLimited, TypeRef,
};

use crate::CompileError;

use function::{Bulk, CHUNK_BYTES};
use places::Output;
pub(crate) use places::Places;

/// The version of what is done here: compiled code of another is not used.
pub(crate) const VERSION: u32 = 1;

/// Instructions that may be replaced, so that the list of places stays small.
const INSTRUCTIONS_MAX: usize = 1 << 19;

/// Components in one another, each of which is copied once more.
const DEPTH_MAX: u32 = 32;

/// What is compiled in place of a module.
pub(crate) struct Chunked<'a> {
    /// The module, or component.
    pub(crate) bytes: Cow<'a, [u8]>,
    /// Where its code stood.
    pub(crate) places: Places,
}

/// Gives `bytes` with long bulk instructions in chunks.
///
/// # Errors
///
/// When there are more such instructions, or components in one another, than
/// any toolchain emits. That `bytes` are malformed is none.
pub(crate) fn in_chunks(bytes: &[u8]) -> Result<Chunked<'_>, CompileError> {
    in_chunks_of(CHUNK_BYTES, bytes)
}

fn in_chunks_of(chunk_bytes: u32, bytes: &[u8]) -> Result<Chunked<'_>, CompileError> {
    let mut rewriter = Rewriter {
        bytes,
        chunk_bytes,
        replaced: 0,
    };
    match rewriter.binary(0..bytes.len(), 0) {
        Ok(Some(output)) => {
            let (bytes, places) = output.finish();
            Ok(Chunked {
                bytes: Cow::Owned(bytes),
                places,
            })
        }
        Ok(None) | Err(Stop::Malformed) => Ok(Chunked {
            bytes: Cow::Borrowed(bytes),
            places: Places::default(),
        }),
        Err(Stop::Limit(error)) => Err(error),
    }
}

/// Why rewriting stopped.
enum Stop {
    /// The compiler will say what is wrong.
    Malformed,
    Limit(CompileError),
}

impl From<BinaryReaderError> for Stop {
    fn from(_: BinaryReaderError) -> Self {
        Self::Malformed
    }
}

impl Stop {
    fn limit(what: &'static str, limit: u64, offset: usize) -> Self {
        Self::Limit(CompileError::Limit {
            what,
            found: limit + 1,
            limit,
            offset: Some(offset),
        })
    }
}

struct Rewriter<'a> {
    /// The whole file; all ranges and offsets are in it.
    bytes: &'a [u8],
    chunk_bytes: u32,
    replaced: usize,
}

/// A section with a count, to which entries can be appended.
struct Counted {
    /// From its id to its end.
    whole: Range<usize>,
    /// Its entries, after the count.
    entries: Range<usize>,
    count: u32,
}

/// What of a core module decides how its code is rewritten.
#[derive(Default)]
struct Core {
    types: Option<Counted>,
    /// Types, those of recursive groups one by one.
    type_count: u32,
    imported_functions: u32,
    functions: Option<Counted>,
    code: Option<Counted>,
    /// Bytes of each data segment.
    data: Vec<usize>,
}

impl<'a> Rewriter<'a> {
    /// The module or component in `range`; `None` when nothing changes.
    fn binary(&mut self, range: Range<usize>, depth: u32) -> Result<Option<Output>, Stop> {
        if depth > DEPTH_MAX {
            let limit = u64::from(DEPTH_MAX);
            return Err(Stop::limit(
                "too many components in one another",
                limit,
                range.start,
            ));
        }
        let mut parser = Parser::new(range.start as u64);
        let mut core = Core::default();
        let mut output = Output::default();
        let (mut at, mut copied) = (range.start, range.start);
        loop {
            let rest = self.bytes.get(at..range.end).ok_or(Stop::Malformed)?;
            let Chunk::Parsed { consumed, payload } = parser.parse(rest, true)? else {
                return Err(Stop::Malformed);
            };
            let start = at;
            at += consumed;
            match payload {
                Payload::CodeSectionStart { count, range, size } => {
                    // The bodies are read when all else is known.
                    parser.skip_section();
                    at += size as usize;
                    core.code = Some(Counted {
                        whole: start..at,
                        entries: range.end - size as usize..range.end,
                        count,
                    });
                }
                Payload::ModuleSection {
                    unchecked_range: inner,
                    ..
                }
                | Payload::ComponentSection {
                    unchecked_range: inner,
                    ..
                } => {
                    at = inner.end;
                    if let Some(inner) = self.binary(inner, depth + 1)? {
                        output.copy(self.bytes, copied..start);
                        output.section(self.bytes[start], inner);
                        copied = at;
                    }
                }
                Payload::End(_) => break,
                payload => core.payload(&payload, start..at)?,
            }
        }
        if let Some(code) = core.code.take() {
            return self.core(range, &core, &code);
        }
        if copied == range.start {
            return Ok(None);
        }
        output.copy(self.bytes, copied..range.end);
        Ok(Some(output))
    }

    /// The core module in `range`.
    fn core(
        &mut self,
        range: Range<usize>,
        core: &Core,
        code: &Counted,
    ) -> Result<Option<Output>, Stop> {
        let functions = core.functions.as_ref().map_or(0, |counted| counted.count);
        let mut appended = Appended {
            first: core.imported_functions.saturating_add(functions),
            indices: BTreeMap::new(),
        };
        let mut bodies = Output::default();
        let mut copied = code.entries.start;
        let entries = &self.bytes[code.entries.clone()];
        let mut reader = BinaryReader::new(entries, code.entries.start);
        for _ in 0..code.count {
            let start = reader.original_position();
            let body = FunctionBody::new(reader.read_reader()?);
            if let Some(rewritten) = self.body(&body, core, &mut appended)? {
                bodies.copy(self.bytes, copied..start);
                bodies.sized(rewritten);
                copied = body.range().end;
            }
        }
        let (Some(types), Some(functions)) = (&core.types, &core.functions) else {
            return Ok(None);
        };
        let more = appended.indices.len() as u32;
        if more == 0 || !reader.eof() {
            return Ok(None);
        }
        bodies.copy(self.bytes, copied..code.entries.end);
        for bulk in appended.in_order() {
            bodies.ours(&bulk.function(self.chunk_bytes));
        }
        let mut edits = [
            (types, self.more(types, 1, &function::TYPE)),
            (functions, {
                let mut entries = Vec::new();
                for _ in 0..more {
                    core.type_count.encode(&mut entries);
                }
                self.more(functions, more, &entries)
            }),
            (code, {
                let mut section = Output::default();
                section.count(code.count.saturating_add(more));
                section.append(bodies);
                section
            }),
        ];
        edits.sort_by_key(|(section, _)| section.whole.start);
        let mut output = Output::default();
        let mut copied = range.start;
        for (section, content) in edits {
            output.copy(self.bytes, copied..section.whole.start);
            output.section(self.bytes[section.whole.start], content);
            copied = section.whole.end;
        }
        output.copy(self.bytes, copied..range.end);
        Ok(Some(output))
    }

    /// The content of `section` with `count` more `entries`.
    fn more(&self, section: &Counted, count: u32, entries: &[u8]) -> Output {
        let mut content = Output::default();
        content.count(section.count.saturating_add(count));
        content.copy(self.bytes, section.entries.clone());
        content.ours(entries);
        content
    }

    /// A function's body; `None` when nothing changes.
    fn body(
        &mut self,
        body: &FunctionBody<'a>,
        core: &Core,
        appended: &mut Appended,
    ) -> Result<Option<Output>, Stop> {
        // The first byte of all bulk instructions: most functions have none.
        const PREFIX: u8 = 0xfc;
        if !body.as_bytes().contains(&PREFIX) {
            return Ok(None);
        }
        let mut operators = body.get_operators_reader()?;
        let mut output = Output::default();
        let mut copied = body.range().start;
        // The length on the stack is a small constant.
        let mut short = false;
        while !operators.eof() {
            let (operator, start) = operators.read_with_offset()?;
            if let Some(bulk) = Bulk::of(&operator, &core.data, self.chunk_bytes)
                && !short
            {
                if self.replaced == INSTRUCTIONS_MAX {
                    let limit = INSTRUCTIONS_MAX as u64;
                    return Err(Stop::limit(
                        "too many bulk memory instructions",
                        limit,
                        start,
                    ));
                }
                self.replaced += 1;
                output.copy(self.bytes, copied..start);
                output.call(appended.index(bulk), start);
                copied = operators.original_position();
            }
            short = matches!(operator, Operator::I32Const { value } if value.cast_unsigned() <= self.chunk_bytes);
        }
        if copied == body.range().start {
            return Ok(None);
        }
        output.copy(self.bytes, copied..body.range().end);
        Ok(Some(output))
    }
}

impl Core {
    fn payload(&mut self, payload: &Payload<'_>, whole: Range<usize>) -> Result<(), Stop> {
        match payload {
            Payload::TypeSection(types) => {
                self.types = Some(Counted::new(whole, types));
                for group in types.clone() {
                    self.type_count = self.type_count.saturating_add(group?.types().len() as u32);
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.clone().into_imports() {
                    let function = matches!(import?.ty, TypeRef::Func(_) | TypeRef::FuncExact(_));
                    self.imported_functions += u32::from(function);
                }
            }
            Payload::FunctionSection(functions) => {
                self.functions = Some(Counted::new(whole, functions));
            }
            Payload::DataSection(data) => {
                for segment in data.clone() {
                    self.data.push(segment?.data.len());
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Counted {
    fn new<T>(whole: Range<usize>, section: &SectionLimited<'_, T>) -> Self {
        Self {
            entries: section.original_position()..section.range().end,
            whole,
            count: section.count(),
        }
    }
}

/// The functions that are appended to a module.
struct Appended {
    /// The index of the first.
    first: u32,
    indices: BTreeMap<Bulk, u32>,
}

impl Appended {
    /// The index of the function that does what `bulk` does.
    fn index(&mut self, bulk: Bulk) -> u32 {
        let next = self.first.saturating_add(self.indices.len() as u32);
        *self.indices.entry(bulk).or_insert(next)
    }

    fn in_order(&self) -> Vec<Bulk> {
        let mut bulks: Vec<_> = self.indices.iter().collect();
        bulks.sort_by_key(|(_, index)| **index);
        bulks.into_iter().map(|(bulk, _)| *bulk).collect()
    }
}
