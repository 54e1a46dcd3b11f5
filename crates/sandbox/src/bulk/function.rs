//! The functions that stand in for bulk instructions.

use wasm_encoder::{BlockType, Encode, Function, InstructionSink};
use wasmparser::Operator;

/// Bytes between two looks at the epoch. Small enough that fresh pages are
/// touched in well under a millisecond, large enough that the loop costs nothing.
pub(super) const CHUNK_BYTES: u32 = 512 << 10;

/// Their type: three numbers, as the instructions take, and no result.
pub(super) const TYPE: [u8; 6] = [0x60, 3, I32, I32, I32, 0];
const I32: u8 = 0x7f;

/// A bulk instruction without its operands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Bulk {
    Fill { mem: u32 },
    Copy { dst: u32, src: u32 },
    Init { mem: u32, data: u32, bytes: u32 },
}

/// Their parameters. `$from` is the byte of a fill.
const TO: u32 = 0;
const FROM: u32 = 1;
const LEN: u32 = 2;

impl Bulk {
    /// What `operator` is, if it may be longer than `chunk` bytes; `data` are the
    /// bytes of the data segments.
    pub(super) fn of(operator: &Operator<'_>, data: &[usize], chunk: u32) -> Option<Self> {
        match *operator {
            Operator::MemoryFill { mem } => Some(Self::Fill { mem }),
            Operator::MemoryCopy { dst_mem, src_mem } => Some(Self::Copy {
                dst: dst_mem,
                src: src_mem,
            }),
            Operator::MemoryInit { data_index, mem } => {
                // From a shorter segment, a longer length is out of bounds.
                let bytes = *data.get(data_index as usize)?;
                let bytes = u32::try_from(bytes).ok()?;
                (bytes > chunk).then_some(Self::Init {
                    mem,
                    data: data_index,
                    bytes,
                })
            }
            _ => None,
        }
    }

    /// The function that does it, encoded with its size:
    ///
    /// ```text
    /// block
    ///   br_if 0 (len <= CHUNK)
    ///   br_if 0 (to + len > bytes of memory)   ;; and the same of `from`
    ///   loop
    ///     instruction(to, from, CHUNK)
    ///     to += CHUNK, from += CHUNK, len -= CHUNK
    ///     br_if 0 (len > CHUNK)
    ///   end
    /// end
    /// instruction(to, from, len)
    /// ```
    ///
    /// So what is short runs at once, and what is out of bounds traps before
    /// anything is written, with the trap that it always had, because it is the
    /// same instruction.
    pub(super) fn function(self, chunk: u32) -> Vec<u8> {
        let chunk = chunk.cast_signed();
        let mut function = Function::new([]);
        let mut code = function.instructions();
        code.block(BlockType::Empty);
        code.local_get(LEN).i32_const(chunk).i32_le_u().br_if(0);
        match self {
            Self::Fill { mem } => leave_if_beyond(&mut code, TO, |code| memory_bytes(code, mem)),
            Self::Copy { dst, src } => {
                leave_if_beyond(&mut code, TO, |code| memory_bytes(code, dst));
                leave_if_beyond(&mut code, FROM, |code| memory_bytes(code, src));
            }
            Self::Init { mem, bytes, .. } => {
                leave_if_beyond(&mut code, TO, |code| memory_bytes(code, mem));
                leave_if_beyond(&mut code, FROM, |code| {
                    code.i64_const(i64::from(bytes));
                });
            }
        }
        match self {
            Self::Fill { .. } => self.upwards(&mut code, chunk, &[TO]),
            Self::Init { .. } => self.upwards(&mut code, chunk, &[TO, FROM]),
            Self::Copy { .. } => {
                // What overlaps must be read before it is overwritten.
                code.local_get(TO).local_get(FROM).i32_gt_u();
                code.if_(BlockType::Empty);
                self.downwards(&mut code, chunk);
                code.else_();
                self.upwards(&mut code, chunk, &[TO, FROM]);
                code.end();
            }
        }
        code.end();
        code.local_get(TO).local_get(FROM).local_get(LEN);
        self.instruction(&mut code);
        code.end();
        let mut encoded = Vec::new();
        function.encode(&mut encoded);
        encoded
    }

    fn instruction(self, code: &mut InstructionSink<'_>) {
        match self {
            Self::Fill { mem } => code.memory_fill(mem),
            Self::Copy { dst, src } => code.memory_copy(dst, src),
            Self::Init { mem, data, .. } => code.memory_init(mem, data),
        };
    }

    /// Chunks from the first one on; what is left is the last. `moving` are the
    /// parameters that are addresses.
    fn upwards(self, code: &mut InstructionSink<'_>, chunk: i32, moving: &[u32]) {
        code.loop_(BlockType::Empty);
        code.local_get(TO).local_get(FROM).i32_const(chunk);
        self.instruction(code);
        for local in moving {
            code.local_get(*local).i32_const(chunk).i32_add();
            code.local_set(*local);
        }
        code.local_get(LEN).i32_const(chunk).i32_sub();
        code.local_tee(LEN).i32_const(chunk).i32_gt_u().br_if(0);
        code.end();
    }

    /// Chunks from the last one on; what is left is the first.
    fn downwards(self, code: &mut InstructionSink<'_>, chunk: i32) {
        code.loop_(BlockType::Empty);
        code.local_get(LEN).i32_const(chunk).i32_sub();
        code.local_set(LEN);
        for local in [TO, FROM] {
            code.local_get(local).local_get(LEN).i32_add();
        }
        code.i32_const(chunk);
        self.instruction(code);
        code.local_get(LEN).i32_const(chunk).i32_gt_u().br_if(0);
        code.end();
    }
}

/// Leaves the block if `start` + the length is beyond `end`, without overflow.
fn leave_if_beyond(
    code: &mut InstructionSink<'_>,
    start: u32,
    end: impl FnOnce(&mut InstructionSink<'_>),
) {
    code.local_get(start).i64_extend_i32_u();
    code.local_get(LEN).i64_extend_i32_u().i64_add();
    end(code);
    code.i64_gt_u().br_if(0);
}

/// Pages have 64 KiB: the engine has no other ones.
fn memory_bytes(code: &mut InstructionSink<'_>, mem: u32) {
    code.memory_size(mem)
        .i64_extend_i32_u()
        .i64_const(16)
        .i64_shl();
}
