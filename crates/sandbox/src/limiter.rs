//! The memory limit: one sum over all memories and tables of a guest.

use std::sync::Arc;

use wasmtime::ResourceLimiter;

use crate::Limits;
use crate::executor::Cell;

/// Bytes that a table element is charged: a pointer.
const ELEMENT_BYTES: u64 = 8;

/// Watches one store.
pub(crate) struct Limiter {
    /// Whose it is; told what is held.
    cell: Arc<Cell>,
    /// Beside whom it is, within whose memory.
    main: Option<Arc<Cell>>,
    memory_bytes_max: u64,
    held: u64,
    peak: u64,
    /// What the guest would have held when it was refused.
    refused: Option<u64>,
    /// Guest code runs: growing beyond the limit ends it, as in a container.
    running: bool,
    instances: usize,
    tables: usize,
    memories: usize,
    table_elements: usize,
}

/// The guest wanted more memory than it may have.
#[derive(Debug, thiserror::Error)]
#[error("memory limit exceeded: {wanted} bytes wanted, {limit} allowed")]
pub(crate) struct OutOfMemory {
    pub(crate) wanted: u64,
    limit: u64,
}

impl Limiter {
    pub(crate) fn new(
        cell: Arc<Cell>,
        main: Option<Arc<Cell>>,
        memory_bytes_max: u64,
        limits: &Limits,
    ) -> Self {
        Self {
            cell,
            main,
            memory_bytes_max,
            held: 0,
            peak: 0,
            refused: None,
            running: false,
            instances: limits.instances,
            tables: limits.tables,
            memories: limits.memories,
            table_elements: limits.table_elements,
        }
    }

    /// The most bytes that were held at once.
    pub(crate) fn peak(&self) -> u64 {
        self.peak
    }

    /// What a refused request would have come to.
    pub(crate) fn refused(&self) -> Option<u64> {
        self.refused
    }

    /// From now on a refusal ends the guest.
    pub(crate) fn guest_code_runs(&mut self) {
        self.running = true;
    }

    /// Whether the guest whose memory it shares leaves it that much.
    fn leaves(&self, wanted: u64) -> bool {
        self.main.as_ref().is_none_or(|main| {
            let beside = &main.beside;
            beside.grows(main, &self.cell, wanted, self.memory_bytes_max)
        })
    }

    fn grow(&mut self, current: u64, desired: u64) -> wasmtime::Result<bool> {
        let wanted = self.held.saturating_add(desired.saturating_sub(current));
        if wanted > self.memory_bytes_max || !self.leaves(wanted) {
            self.refused = Some(wanted);
            if self.running {
                return Err(OutOfMemory {
                    wanted,
                    limit: self.memory_bytes_max,
                }
                .into());
            }
            return Ok(false);
        }
        self.held = wanted;
        if self.main.is_none() {
            self.cell
                .beside
                .grown(&self.cell, wanted, self.memory_bytes_max);
        }
        self.peak = self.peak.max(wanted);
        Ok(true)
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // Beyond the module's own maximum, growing fails by the specification
        // and is no reason to end anybody.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow(current as u64, desired as u64)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.table_elements || maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let bytes = |elements: usize| (elements as u64).saturating_mul(ELEMENT_BYTES);
        self.grow(bytes(current), bytes(desired))
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.tables
    }

    fn memories(&self) -> usize {
        self.memories
    }
}
