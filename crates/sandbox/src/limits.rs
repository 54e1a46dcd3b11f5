//! Every limit of the sandbox, in one place.

use std::time::Duration;

/// What guests may use. Each field is applied to the engine, to the compiler's
/// pre-scan or to every store before instantiation; none is left at Wasmtime's
/// default, which is made for trusted code (a test asserts it).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memories and tables together, in bytes, where a task does not say.
    pub memory_bytes: u64,
    /// The most that a task may ask for, in bytes.
    pub memory_bytes_max: u64,
    /// Elements in one table.
    pub table_elements: usize,
    /// Core instances in one store (a component has several).
    pub instances: usize,
    /// Linear memories in one store.
    pub memories: usize,
    /// Tables in one store.
    pub tables: usize,
    /// Bytes of one instance's own state (globals, imports, functions).
    pub core_instance_bytes: usize,
    /// Bytes of one component instance's own state.
    pub component_instance_bytes: usize,
    /// Bytes that one host call may copy out of the guest.
    pub hostcall_fuel: usize,
    /// Host handles (files, streams, pollables) of one guest.
    pub handles: usize,
    /// Bytes that one call may ask of the random generator.
    pub random_bytes: u64,
    /// Connections for requests (`wasi:http`) of one guest, unused ones included.
    pub http_connections: usize,
    /// Bytes of the header fields of one request, and of one response. The host keeps
    /// them, beside a guest's memory, for each handle that a guest has of such.
    pub http_header_bytes: usize,
    /// How long a name, a connection and its TLS may take together. A guest may ask for
    /// less patience, here and below.
    pub http_connect: Duration,
    /// How long a server may take to answer, from when it last took of the request.
    pub http_first_byte: Duration,
    /// How long a guest that waits for more of a response waits.
    pub http_between_bytes: Duration,
    /// Bytes of the guest's stack.
    pub wasm_stack_bytes: usize,
    /// Bytes of the fiber's stack, which host calls use too; at least 1 MiB more.
    pub async_stack_bytes: usize,
    /// Threads for guests' blocking file operations, all guests together.
    pub blocking_threads: usize,
    /// Frames that a trap's message shows.
    pub backtrace_frames: usize,
    /// Guests at once: slots of the pool.
    pub guests: u32,
    /// Bytes of a module.
    pub module_bytes: usize,
    /// Functions in a module.
    pub functions: u32,
    /// Bytes of one function's code.
    pub function_bytes: u32,
    /// Locals of one function, parameters included.
    pub function_locals: u32,
    /// Types, imports, exports, globals or data and element segments in a module, each.
    pub items: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 256 << 20,
            memory_bytes_max: 4 << 30,
            table_elements: 1 << 20,
            instances: 32,
            memories: 4,
            tables: 16,
            core_instance_bytes: 2 << 20,
            component_instance_bytes: 1 << 20,
            hostcall_fuel: 4 << 20,
            handles: 256,
            random_bytes: 1 << 20,
            http_connections: 8,
            http_header_bytes: 16 << 10,
            http_connect: Duration::from_secs(30),
            http_first_byte: Duration::from_secs(300),
            http_between_bytes: Duration::from_secs(300),
            wasm_stack_bytes: 1 << 20,
            async_stack_bytes: 3 << 20,
            blocking_threads: 32,
            backtrace_frames: 20,
            guests: 1_000,
            module_bytes: 64 << 20,
            functions: 200_000,
            function_bytes: 4 << 20,
            function_locals: 20_000,
            items: 100_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Limits};

    /// Wasmtime 48's own figures, from its documentation.
    #[test]
    fn no_limit_is_left_at_wasmtimes_default() {
        let l = Limits::default();
        // The pattern names every field: a new one must be judged here.
        let Limits {
            memory_bytes,
            memory_bytes_max,
            table_elements,
            instances,
            memories,
            tables,
            core_instance_bytes,
            component_instance_bytes,
            hostcall_fuel,
            handles,
            random_bytes,
            http_connections,
            http_header_bytes,
            http_connect,
            http_first_byte,
            http_between_bytes,
            wasm_stack_bytes,
            async_stack_bytes,
            blocking_threads,
            backtrace_frames,
            guests,
            module_bytes,
            functions,
            function_bytes,
            function_locals,
            items,
        } = l;
        assert!(memory_bytes < memory_bytes_max, "unlimited in Wasmtime");
        assert!(
            memory_bytes_max <= 4 << 30,
            "what a 32-bit memory can address"
        );
        assert!(table_elements != 20_000 && table_elements < 10_000_000);
        assert!(instances < 10_000 && memories < 10_000 && tables < 10_000);
        assert_ne!(core_instance_bytes, 1 << 20);
        assert!(component_instance_bytes < usize::MAX);
        assert!(hostcall_fuel < 128 << 20);
        assert!(handles < 1_000_000);
        assert!(random_bytes < 64 << 20);
        assert!(http_connections < handles, "as many as it has handles");
        assert!(http_header_bytes <= 64 << 10, "128 KiB in Wasmtime");
        assert!(http_header_bytes * handles <= 4 << 20, "memory of the host");
        let patience = http_connect.max(http_first_byte).max(http_between_bytes);
        assert!(patience < Duration::from_secs(600));
        assert_ne!(wasm_stack_bytes, 512 << 10);
        assert_ne!(async_stack_bytes, 2 << 20);
        assert!(async_stack_bytes - wasm_stack_bytes >= 1 << 20);
        assert!(blocking_threads < 512, "tokio's default");
        assert!(backtrace_frames < 64 && guests > 0);
        assert!(module_bytes < 1 << 30 && functions < 1_000_000 && items < 1_000_000);
        assert!(
            function_bytes < 7_654_321 && function_locals < 50_000,
            "wasmparser's own caps"
        );
    }
}
