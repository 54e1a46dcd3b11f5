//! The shape of code: what makes a compiler slow, beside its size.
//!
//! Compilers are quadratic or worse in more than bytes: 8 KiB of 500 loops in
//! one another around 500 changed variables take five minutes, because every
//! loop merges every variable. So small code is looked at instruction by
//! instruction. The bounds are far above what toolchains emit in small modules
//! and were measured with `examples/compile_cost.rs`; what exceeds one is not
//! refused, it is compiled in a process that can be killed.

use wasmparser::{
    CompositeInnerType, FuncValidatorAllocations, FunctionBody, Operator, Parser, Payload,
    ValidPayload, Validator, WasmFeatures, WasmModuleResources,
};

/// Bytes of all functions.
const CODE_BYTES_MAX: u64 = 512 << 10;
/// Bytes of one function.
const FUNCTION_BYTES_MAX: u64 = 24 << 10;
/// Functions, each of which costs about 40 µs even if it is empty.
const FUNCTIONS_MAX: u32 = 4_000;
/// Function types, of which each may need entries of its own from and to the host.
const TYPES_MAX: u32 = 1_000;
/// Imports.
const IMPORTS_MAX: u32 = 1_000;
/// Parameters and results of one type.
const ARITY_MAX: usize = 64;
/// Locals, parameters included, and values on the stack of one function.
const VALUES_MAX: u32 = 500;
/// Loops in one another.
const LOOPS_MAX: u32 = 24;
/// Blocks in one another: a `switch` of a hundred cases has a hundred.
const BLOCKS_MAX: usize = 600;
/// Variables that are merged where blocks end, all functions together.
const MERGES_MAX: u64 = 60_000;
/// Calls; one through a table, which is machine code for a check, a branch and a
/// slow path, counts as [`INDIRECT`] ones.
const CALLS_MAX: u64 = 60_000;
const INDIRECT: u64 = 8;
/// Values that calls and branches hand over, all functions together.
const MOVES_MAX: u64 = 200_000;

/// Whether `bytes` surely compile in well under a second. What is invalid is
/// cheap: the compiler says so before it compiles.
pub(crate) fn is_cheap(bytes: &[u8]) -> bool {
    look(bytes).unwrap_or(true)
}

fn look(bytes: &[u8]) -> wasmparser::Result<bool> {
    // Whatever the compiler accepts, this does.
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    let mut allocations = FuncValidatorAllocations::default();
    let mut sum = Sum::default();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        sum.payload(&payload)?;
        if !sum.is_cheap() {
            return Ok(false);
        }
        if let ValidPayload::Func(function, body) = validator.payload(&payload)? {
            let mut function = function.into_validator(allocations);
            let shape = Shape::of(&mut function, &body)?;
            allocations = function.into_allocations();
            sum.add(&shape);
            if !shape.is_cheap() || !sum.is_cheap() {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// All functions together.
#[derive(Default)]
struct Sum {
    code_bytes: u64,
    functions: u32,
    types: u32,
    imports: u32,
    merges: u64,
    moves: u64,
    calls: u64,
    wide: bool,
    /// Components that the parser is in.
    depth: u32,
    /// Components that call one another get code of the compiler's own.
    glued: bool,
}

impl Sum {
    fn payload(&mut self, payload: &Payload<'_>) -> wasmparser::Result<()> {
        match payload {
            Payload::TypeSection(types) => {
                self.types = self.types.saturating_add(types.count());
                for group in types.clone() {
                    for ty in group?.types() {
                        if let CompositeInnerType::Func(ty) = &ty.composite_type.inner {
                            self.wide |= ty.params().len() + ty.results().len() > ARITY_MAX;
                        }
                    }
                }
            }
            Payload::ImportSection(imports) => {
                self.imports = self.imports.saturating_add(imports.count());
            }
            Payload::CodeSectionStart { count, .. } => {
                self.functions = self.functions.saturating_add(*count);
            }
            Payload::CodeSectionEntry(body) => {
                let len = body.range().len() as u64;
                self.code_bytes = self.code_bytes.saturating_add(len);
                self.wide |= len > FUNCTION_BYTES_MAX;
            }
            Payload::ComponentSection { .. } => self.depth += 1,
            Payload::ModuleSection { .. } if self.depth > 0 => self.glued = true,
            _ => {}
        }
        Ok(())
    }

    fn add(&mut self, shape: &Shape) {
        self.merges = self.merges.saturating_add(shape.merges);
        self.moves = self.moves.saturating_add(shape.moves);
        self.calls = self.calls.saturating_add(shape.calls);
    }

    fn is_cheap(&self) -> bool {
        !self.wide
            && !self.glued
            && self.code_bytes <= CODE_BYTES_MAX
            && self.functions <= FUNCTIONS_MAX
            && self.types <= TYPES_MAX
            && self.imports <= IMPORTS_MAX
            && self.merges <= MERGES_MAX
            && self.moves <= MOVES_MAX
            && self.calls <= CALLS_MAX
    }
}

/// One function.
#[derive(Default)]
struct Shape {
    values: u32,
    loops: u32,
    blocks: usize,
    merges: u64,
    moves: u64,
    calls: u64,
}

/// A block that has not ended.
struct Block {
    is_loop: bool,
    /// Changes of locals within it.
    changes: u64,
}

impl Shape {
    fn of<T: WasmModuleResources>(
        function: &mut wasmparser::FuncValidator<T>,
        body: &FunctionBody<'_>,
    ) -> wasmparser::Result<Self> {
        let mut reader = body.get_binary_reader();
        function.read_locals(&mut reader)?;
        let locals = function.len_locals();
        let mut shape = Self::default();
        let mut blocks: Vec<Block> = Vec::new();
        let mut loops = 0;
        let mut reader = wasmparser::OperatorsReader::new(reader);
        while !reader.eof() {
            let (operator, offset) = reader.read_with_offset()?;
            let (takes, gives) = operator
                .operator_arity(&function.visitor(offset))
                .unwrap_or((0, 0));
            function.op(offset, &operator)?;
            let targets = match &operator {
                Operator::BrTable { targets } => targets.len(),
                _ => 1,
            };
            let handed_over = u64::from(takes) + u64::from(gives);
            shape.moves += match &operator {
                Operator::BrTable { .. } => u64::from(targets) * handed_over,
                _ if handed_over > 4 => handed_over,
                _ => 0,
            };
            match operator {
                Operator::LocalSet { .. } | Operator::LocalTee { .. } => {
                    if let Some(block) = blocks.last_mut() {
                        block.changes += 1;
                    }
                }
                Operator::CallIndirect { .. } | Operator::ReturnCallIndirect { .. } => {
                    shape.calls += INDIRECT;
                }
                Operator::Call { .. }
                | Operator::ReturnCall { .. }
                | Operator::MemoryGrow { .. } => shape.calls += 1,
                // With the same slow path as a call through one.
                Operator::TableGet { .. } | Operator::TableSet { .. } => {
                    shape.calls += INDIRECT / 2;
                }
                Operator::Loop { .. } => {
                    loops += 1;
                    blocks.push(Block {
                        is_loop: true,
                        changes: 0,
                    });
                }
                Operator::Block { .. } | Operator::If { .. } | Operator::TryTable { .. } => {
                    blocks.push(Block {
                        is_loop: false,
                        changes: 0,
                    });
                }
                Operator::End => {
                    // The last one ends the function.
                    if let Some(block) = blocks.pop() {
                        loops -= u32::from(block.is_loop);
                        shape.merges += block.changes.min(u64::from(locals));
                        if let Some(around) = blocks.last_mut() {
                            around.changes += block.changes;
                        }
                    }
                }
                _ => {}
            }
            shape.loops = shape.loops.max(loops);
            shape.blocks = shape.blocks.max(blocks.len());
            let values = locals.saturating_add(function.operand_stack_height());
            shape.values = shape.values.max(values);
        }
        Ok(shape)
    }

    fn is_cheap(&self) -> bool {
        self.values <= VALUES_MAX && self.loops <= LOOPS_MAX && self.blocks <= BLOCKS_MAX
    }
}
