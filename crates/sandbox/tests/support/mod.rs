//! A sandbox with its output and its ends collected.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, unreachable_pub, reason = "shared by tests")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use wasmjob_sandbox::{
    Cpu, Engine, Exit, Exits, Limits, Module, Outcome, Output, RunHandle, Stream, Task, Usage,
};

/// Sleeps through one `poll_oneoff` of 10^18 ns.
pub const SLEEP_FOR_EVER: &str = r#"(module
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_start")
        (i32.store8 (i32.const 8) (i32.const 0))
        (i32.store (i32.const 16) (i32.const 1))
        (i64.store (i32.const 24) (i64.const 1000000000000000000))
        (drop (call $poll (i32.const 0) (i32.const 100) (i32.const 1) (i32.const 200)))))"#;

pub fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[derive(Default)]
struct Collected {
    stdout: Mutex<Vec<u8>>,
    stderr: Mutex<Vec<u8>>,
}

impl Output for Collected {
    fn write(&self, stream: Stream, bytes: &[u8]) {
        let to = match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        };
        to.lock().unwrap().extend_from_slice(bytes);
    }
}

struct Ends(SyncSender<Outcome>);

impl Exits for Ends {
    fn exited(&self, _token: u64, outcome: Outcome) {
        self.0.send(outcome).unwrap();
    }
}

pub struct Sandbox {
    pub engine: Engine,
}

pub struct End {
    pub exit: Exit,
    pub usage: Usage,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

pub struct Run {
    pub handle: RunHandle,
    output: Arc<Collected>,
    end: Receiver<Outcome>,
}

impl Run {
    pub fn wait(self) -> End {
        let outcome = self
            .end
            .recv_timeout(std::time::Duration::from_secs(60))
            .expect("the run ends");
        let stdout = std::mem::take(&mut *self.output.stdout.lock().unwrap());
        let stderr = std::mem::take(&mut *self.output.stderr.lock().unwrap());
        End {
            exit: outcome.exit,
            usage: outcome.usage,
            stdout,
            stderr,
        }
    }
}

impl Sandbox {
    pub fn new() -> Self {
        Self::with(Limits {
            guests: 64,
            ..Limits::default()
        })
    }

    /// Guests of one thread.
    pub fn with_threads(threads: usize) -> Self {
        let threads = threads.try_into().unwrap();
        Self {
            engine: Engine::builder().threads(threads).build().unwrap(),
        }
    }

    pub fn with(limits: Limits) -> Self {
        Self {
            engine: Engine::builder().limits(limits).build().unwrap(),
        }
    }

    pub fn module(&self, wasm: &[u8]) -> Module {
        Module::new(&self.engine, wasm, false).unwrap()
    }

    pub fn refused(&self, wasm: &[u8]) -> String {
        Module::new(&self.engine, wasm, false)
            .err()
            .expect("the module is refused")
            .to_string()
    }

    pub fn run(&self, wasm: &[u8]) -> End {
        self.run_with(wasm, |_| {})
    }

    pub fn run_with(&self, wasm: &[u8], change: impl FnOnce(&mut Task)) -> End {
        self.start(wasm, change).wait()
    }

    pub fn run_metered(&self, wasm: &[u8], fuel: u64) -> End {
        let module = Module::new(&self.engine, wasm, true).unwrap();
        self.start_module(module, |task| task.fuel = Some(fuel))
            .wait()
    }

    pub fn start(&self, wasm: &[u8], change: impl FnOnce(&mut Task)) -> Run {
        self.start_module(self.module(wasm), change)
    }

    pub fn start_module(&self, module: Module, change: impl FnOnce(&mut Task)) -> Run {
        let output = Arc::new(Collected::default());
        let (sender, end) = sync_channel(1);
        let mut task = Task {
            module,
            args: Arc::from(["guest".to_owned()]),
            env: Arc::from([]),
            env_own: Vec::new(),
            mounts: Arc::from([]),
            working_dir: None,
            memory_bytes_max: self.engine.limits().memory_bytes,
            fuel: None,
            deadline: None,
            output: Arc::clone(&output) as Arc<dyn Output>,
            input: None,
            beside: None,
            cpu: Cpu::default(),
            network: None,
            extension: None,
        };
        change(&mut task);
        let handle = self.engine.start(task, Arc::new(Ends(sender)), 0);
        Run {
            handle,
            output,
            end,
        }
    }
}
