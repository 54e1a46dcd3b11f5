//! Where modules are compiled: here, or in a process that can be killed.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use wasmjob_sandbox::{CompileCost, Engine};

/// How what is not cheap to compile is compiled.
#[derive(Clone, Debug, Default)]
pub enum Compiler {
    /// Not at all: a module that may be expensive is refused. The default of
    /// the crate, which has no program of its own to start.
    #[default]
    CheapOnly,
    /// Here, whatever it costs: for modules that are trusted.
    Unbounded,
    /// In a worker process: `program` with `args` ends up in [`serve_compile`].
    Worker {
        /// The program.
        program: PathBuf,
        /// Its arguments.
        args: Vec<OsString>,
        /// What the worker may use.
        limits: WorkerLimits,
    },
}

/// What one compilation may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerLimits {
    /// Processor time, all threads together.
    pub cpu: Duration,
    /// Address space, in bytes.
    pub memory_bytes: u64,
}

impl Default for WorkerLimits {
    fn default() -> Self {
        Self {
            cpu: Duration::from_secs(30),
            memory_bytes: 2 << 30,
        }
    }
}

/// Why there is no machine code.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) text: String,
    /// The same module will be refused again, so it need not be tried.
    pub(crate) lasting: bool,
}

impl Refused {
    pub(crate) fn lasting(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            lasting: true,
        }
    }

    pub(crate) fn passing(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            lasting: false,
        }
    }
}

/// What a worker is told on its command line, after `args`.
const METERED: &str = "--metered";
const PLAIN: &str = "--plain";

impl Compiler {
    /// Machine code for `wasm`, which [`wasmjob_sandbox::scan`] has passed at `cost`.
    pub(crate) fn compile(
        &self,
        engine: &Engine,
        wasm: &[u8],
        cost: &CompileCost,
        metered: bool,
    ) -> Result<Vec<u8>, Refused> {
        let here = || {
            engine
                .compile(wasm, metered)
                .map_err(|error| Refused::lasting(format!("is {error}")))
        };
        if cost.is_cheap() {
            return here();
        }
        match self {
            Self::Unbounded => here(),
            Self::CheapOnly => Err(Refused::lasting(format!(
                "may be expensive to compile ({} functions, {} bytes of code, the largest function has {}); allow it by choosing a compiler",
                cost.functions, cost.code_bytes, cost.largest_function_bytes
            ))),
            Self::Worker {
                program,
                args,
                limits,
            } => {
                let mode = if metered { METERED } else { PLAIN };
                let mut command = Command::new(program);
                command
                    .args(args)
                    .arg(mode)
                    .arg(limits.cpu.as_secs().max(1).to_string())
                    .arg(limits.memory_bytes.to_string());
                run_worker(command, wasm, limits)
            }
        }
    }
}

/// Feeds `wasm` to the worker and takes its answer; kills it when it is late.
fn run_worker(
    mut command: Command,
    wasm: &[u8],
    limits: &WorkerLimits,
) -> Result<Vec<u8>, Refused> {
    let failed = |what: &str, error: std::io::Error| {
        Refused::passing(format!("could not be compiled: {what}: {error}"))
    };
    let mut child = command
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed("the compile worker did not start", error))?;
    // Twice the processor time: the machine may be busy, but it will not wait for ever.
    let patience = limits
        .cpu
        .saturating_mul(2)
        .saturating_add(Duration::from_secs(5));
    let answer = converse(&mut child, wasm, patience);
    // It has ended, or must.
    let _ = child.kill();
    let status = child
        .wait()
        .map_err(|error| failed("the compile worker was lost", error))?;
    // It was too late by the wall's clock: another time the machine may be less busy.
    let late = answer.is_none();
    match answer {
        Some((code, _)) if status.success() && !code.is_empty() => Ok(code),
        Some((_, text)) if status.code() == Some(1) => Err(Refused::lasting(text)),
        _ => Err(Refused {
            text: format!(
                "could not be compiled: compilation exceeded {} s of processor time or {} MiB of memory",
                limits.cpu.as_secs(),
                limits.memory_bytes >> 20
            ),
            lasting: !late,
        }),
    }
}

/// Writes the module and reads both streams at once, so that neither side waits for ever.
fn converse(child: &mut Child, wasm: &[u8], patience: Duration) -> Option<(Vec<u8>, String)> {
    let (mut stdin, mut stdout, mut stderr) = (
        child.stdin.take()?,
        child.stdout.take()?,
        child.stderr.take()?,
    );
    std::thread::scope(|scope| {
        // The worker reads everything before it compiles; if it dies, writing fails and ends.
        scope.spawn(move || stdin.write_all(wasm));
        let (sender, receiver) = sync_channel(1);
        scope.spawn(move || {
            let mut code = Vec::new();
            let read = stdout.read_to_end(&mut code);
            // Nobody listens any more when the worker was late.
            let _ = sender.send(read.map(|_| code));
        });
        let answer = match receiver.recv_timeout(patience) {
            Ok(answer) => answer.ok(),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                let _ = child.kill();
                None
            }
        };
        let mut text = String::new();
        let _ = stderr.by_ref().take(64 << 10).read_to_string(&mut text);
        answer.map(|code| (code, text))
    })
}

/// The worker's side: limits itself, reads a module from `input`, writes machine
/// code to `output`. `args` are what [`Compiler::Worker`] appended.
///
/// # Errors
///
/// The text for the parent, which must be printed to standard error before the
/// process ends with exit code 1.
pub fn serve_compile(
    args: &[OsString],
    input: &mut impl Read,
    output: &mut impl Write,
) -> Result<(), String> {
    let number = |n: usize| args.get(n)?.to_str()?.parse::<u64>().ok();
    let (Some(mode), Some(cpu), Some(memory)) = (args.first(), number(1), number(2)) else {
        return Err("the compile worker is started by wasmjob itself".to_owned());
    };
    let set = |resource, limit: u64| {
        let limit = Rlimit {
            current: Some(limit),
            maximum: Some(limit),
        };
        setrlimit(resource, limit).map_err(|error| format!("could not limit itself: {error}"))
    };
    set(Resource::Cpu, cpu)?;
    set(Resource::As, memory)?;
    set(Resource::Core, 0)?;
    set(Resource::Fsize, 0)?;
    let mut wasm = Vec::new();
    input
        .read_to_end(&mut wasm)
        .map_err(|error| format!("could not be read: {error}"))?;
    let engine = Engine::builder()
        .compile_only()
        .build()
        .map_err(|error| error.to_string())?;
    let code = engine
        .compile(&wasm, mode == METERED)
        .map_err(|error| format!("is {error}"))?;
    output
        .write_all(&code)
        .map_err(|error| format!("could not be handed over: {error}"))
}
