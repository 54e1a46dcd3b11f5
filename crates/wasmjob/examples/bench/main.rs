//! Measures the engine against a bare Wasmtime loop, in one process and one run.
//!
//! `scripts/bench.sh` builds and calls it. The bare loop runs the same module
//! with the same limits on memory and does nothing else, with the fastest
//! settings that we know: a pool whose slots stay mapped and are wiped by page
//! maps. What the engine takes beyond it is what Jobs cost.
//!
//! Usage: `bench MODULE [WASMJOB_BINARY]`
#![expect(clippy::print_stdout, reason = "it prints figures")]
#![expect(clippy::disallowed_methods, reason = "it measures real time")]
#![expect(clippy::unwrap_used, reason = "a benchmark that fails should stop")]

mod cron;
mod durable;
mod measure;

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use measure::{Cost, measure, row, status_kib};
use wasmjob::{Host, JobHandle};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, Linker, Module, PoolingAllocationConfig,
    Store, StoreLimits, StoreLimitsBuilder,
};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;

const RUNS: u32 = 10_000;
const MEMORY_BYTES: usize = 256 << 20;

fn main() {
    let mut args = std::env::args().skip(1);
    let module = std::fs::read(args.next().expect("bench MODULE [WASMJOB_BINARY]")).unwrap();
    // For whoever works on that alone.
    if std::env::var("WASMJOB_BENCH").is_ok_and(|only| only == "cron") {
        return cron::thundering_herd();
    }
    let cores = std::thread::available_parallelism().unwrap().get();
    println!("| what | wall µs | CPU µs | of the bare loop's CPU |");
    println!("|---|---|---|---|");
    let bare = bare_loop(&module, cores);
    row(&format!("bare loop, {cores} threads, per run"), bare, bare);
    let one = bare_loop(&module, 1);
    row("bare loop, 1 thread, per run", one, bare);
    let host = host(&module);
    let warm = run_job(&host, "warm", 1000, 64);
    row(
        "engine, first 1,000 pods (loads and compiles), per pod",
        warm,
        bare,
    );
    for (completions, parallelism) in [(RUNS, 64), (RUNS, 2), (RUNS, 1)] {
        let cost = run_job(
            &host,
            &format!("j{completions}-{parallelism}"),
            completions,
            parallelism,
        );
        row(
            &format!("engine, Job of {completions} at parallelism {parallelism}, per pod"),
            cost,
            bare,
        );
    }
    row(
        "engine, 1,000 Jobs of 1, one after another, per Job",
        jobs_of_one(&host),
        bare,
    );
    drop(host);
    let memory_cost = durable::jobs(&module, bare);
    println!();
    first_instruction();
    memory(&module);
    durable::bytes_written(&memory_cost);
    durable::commits();
    durable::restart();
    cron::thundering_herd();
    cron::idle();
    if let Some(binary) = args.next() {
        processes(&binary, &module);
    }
}

struct Bare {
    wasi: WasiP1Ctx,
    limits: StoreLimits,
}

fn bare_loop(module: &[u8], threads: usize) -> Cost {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(64)
        .total_memories(64)
        .total_tables(64)
        .total_stacks(64)
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    let engine = Engine::new(&config).unwrap();
    let module = Module::from_binary(&engine, module).unwrap();
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p1::add_to_linker_async(&mut linker, |bare: &mut Bare| &mut bare.wasi).unwrap();
    let pre = linker.instantiate_pre(&module).unwrap();
    let runs = RUNS * 2;
    let share = runs / u32::try_from(threads).unwrap();
    let work = || {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()
                        .unwrap();
                    runtime.block_on(async {
                        for _ in 0..share {
                            let output = MemoryOutputPipe::new(64 << 10);
                            let wasi = WasiCtxBuilder::new()
                                .arg("hello.wasm")
                                .stdout(output)
                                .build_p1();
                            let limits =
                                StoreLimitsBuilder::new().memory_size(MEMORY_BYTES).build();
                            let mut store = Store::new(&engine, Bare { wasi, limits });
                            store.limiter(|bare| &mut bare.limits);
                            store.set_epoch_deadline(1);
                            store.epoch_deadline_async_yield_and_update(1);
                            let instance = pre.instantiate_async(&mut store).await.unwrap();
                            let start = instance
                                .get_typed_func::<(), ()>(&mut store, "_start")
                                .unwrap();
                            start.call_async(&mut store, ()).await.unwrap();
                        }
                    });
                });
            }
        });
    };
    work();
    measure(share * u32::try_from(threads).unwrap(), work)
}

fn host(module: &[u8]) -> Host {
    builder(module).build().unwrap()
}

fn builder(module: &[u8]) -> wasmjob::HostBuilder {
    Host::builder().module("hello", module.to_vec()).seed(1)
}

fn submit(host: &Host, name: &str, image: &str, completions: u32, parallelism: u32) -> JobHandle {
    let yaml = format!(
        "{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}}}, spec: {{completions: {completions}, parallelism: {parallelism}, \
         template: {{spec: {{restartPolicy: Never, containers: [{{name: c, image: {image}}}]}}}}}}}}"
    );
    host.apply_yaml("bench.yaml", &yaml).unwrap().remove(0)
}

fn run_job(host: &Host, name: &str, completions: u32, parallelism: u32) -> Cost {
    measure(completions, || {
        let job = submit(host, name, "hello", completions, parallelism);
        assert!(job.wait_blocking().unwrap().is_complete());
        job.cancel();
    })
}

fn jobs_of_one(host: &Host) -> Cost {
    const JOBS: u32 = 1_000;
    measure(JOBS, || {
        for n in 0..JOBS {
            let job = submit(host, &format!("one-{n}"), "hello", 1, 1);
            assert!(job.wait_blocking().unwrap().is_complete());
            job.cancel();
        }
    })
}

static BEGIN: OnceLock<Instant> = OnceLock::new();

/// From the call that submits a Job to its guest's first instruction.
fn first_instruction() {
    let begin = *BEGIN.get_or_init(Instant::now);
    let mark = Arc::new(AtomicU64::new(0));
    let marked = Arc::clone(&mark);
    let module = wat::parse_str(
        "(module (import \"bench\" \"mark\" (func $m)) (func (export \"_start\") call $m))",
    )
    .unwrap();
    let host = Host::builder()
        .module("mark", module)
        .core_functions(move |linker| {
            let mark = Arc::clone(&marked);
            linker.func_wrap("bench", "mark", move || {
                mark.store(begin.elapsed().as_nanos() as u64, Ordering::Release);
            })?;
            Ok(())
        })
        .build()
        .unwrap();
    let mut took = Vec::new();
    for n in 0..1_000 {
        let before = begin.elapsed().as_nanos() as u64;
        let job = submit(&host, &format!("mark-{n}"), "mark", 1, 1);
        job.wait_blocking().unwrap();
        took.push(mark.load(Ordering::Acquire).saturating_sub(before));
        job.cancel();
    }
    took.sort_unstable();
    let at = |p: usize| took[(took.len() - 1) * p / 100] as f64 / 1000.0;
    println!(
        "submit (YAML text) to first instruction: p50 {:.0} µs, p99 {:.0} µs, max {:.0} µs",
        at(50),
        at(99),
        at(100)
    );
}

/// Resident memory with 10,000 finished pods.
fn memory(module: &[u8]) {
    let host = host(module);
    run_job(&host, "warm", 100, 64);
    let before = status_kib("VmRSS:");
    let job = submit(&host, "many", "hello", RUNS, 64);
    job.wait_blocking().unwrap();
    let after = status_kib("VmRSS:");
    println!(
        "memory: {:.1} MiB with {RUNS} finished pods and their logs ({:.2} KiB each); peak of this process {:.1} MiB",
        after as f64 / 1024.0,
        after.saturating_sub(before) as f64 / f64::from(RUNS),
        status_kib("VmHWM:") as f64 / 1024.0
    );
}

/// `wasmjob run` as a process, with and without compiled code at hand, and `wasmtime run` where it is.
fn processes(binary: &str, module: &[u8]) {
    let dir = std::env::temp_dir().join(format!("wasmjob-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (wasm, yaml) = (dir.join("hello.wasm"), dir.join("job.yaml"));
    std::fs::write(&wasm, module).unwrap();
    std::fs::write(
        &yaml,
        "{apiVersion: batch/v1, kind: Job, metadata: {name: hello}, spec: {template: {spec: {restartPolicy: Never, \
         containers: [{name: c, image: ./hello.wasm}]}}}}",
    )
    .unwrap();
    let cache = dir.join("cache");
    let wasmjob = |args: &[&str]| {
        let mut command = Command::new(binary);
        command.args(["run", "--quiet"]).args(args).arg(&yaml);
        command
    };
    println!();
    println!("| process, median of 40 | wall ms |");
    println!("|---|---|");
    process_row("`wasmjob run hello`, nothing compiled yet", || {
        wasmjob(&["--no-cache"])
    });
    let cache = cache.to_str().unwrap();
    process_row("`wasmjob run hello`, compiled before", || {
        wasmjob(&["--cache-dir", cache])
    });
    if Command::new("wasmtime").arg("--version").output().is_ok() {
        let wasmtime = |cached: &str| {
            let mut command = Command::new("wasmtime");
            command.args(["run", "-C", cached]).arg(&wasm);
            command
        };
        process_row("`wasmtime run hello.wasm`, nothing compiled yet", || {
            wasmtime("cache=n")
        });
        process_row("`wasmtime run hello.wasm`, compiled before", || {
            wasmtime("cache=y")
        });
    } else {
        println!("| `wasmtime run` | not installed here |");
    }
    process_row("`true`", || Command::new("true"));
    let _ = std::fs::remove_dir_all(&dir);
}

fn process_row(what: &str, command: impl Fn() -> Command) {
    let mut took: Vec<_> = (0..41)
        .map(|_| {
            let begin = Instant::now();
            let status = command()
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .unwrap();
            assert!(status.success(), "{what}: {status}");
            begin.elapsed()
        })
        .skip(1)
        .collect();
    took.sort_unstable();
    println!(
        "| {what} | {:.2} |",
        took[took.len() / 2].as_secs_f64() * 1e3
    );
}
