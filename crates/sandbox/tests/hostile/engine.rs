//! What the engine itself promises, when its callers and guests are unkind.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use wasmjob_sandbox::{
    Cpu, Engine, Exit, Exits, KillReason, Limits, Module, Outcome, Output, Stream, Task,
};

use crate::attack::{LATE, ONE_AT_A_TIME, eventually, row, spin};
use crate::support::{SLEEP_FOR_EVER, Sandbox};
use crate::wat::{HELLO, LOOP, command, wat};

struct Nowhere;

impl Output for Nowhere {
    fn write(&self, _: Stream, _: &[u8]) {}
}

fn task(module: &Module) -> Task {
    Task {
        module: module.clone(),
        args: Arc::from([]),
        env: Arc::from([]),
        env_own: Vec::new(),
        mounts: Arc::from([]),
        working_dir: None,
        memory_bytes_max: 1 << 20,
        fuel: None,
        deadline: None,
        output: Arc::new(Nowhere),
        input: None,
        beside: None,
        cpu: Cpu::default(),
        network: None,
        extension: None,
    }
}

struct Ends(Mutex<Sender<Outcome>>);

impl Exits for Ends {
    fn exited(&self, _: u64, outcome: Outcome) {
        self.0.lock().unwrap().send(outcome).unwrap();
    }
}

#[test]
fn a_deadline_that_has_passed_loses_no_run() {
    row(|sandbox| {
        let module = sandbox.module(&wat(LOOP));
        let (sender, ends) = channel();
        let exits: Arc<dyn Exits> = Arc::new(Ends(Mutex::new(sender)));
        for n in 0..3_000 {
            let deadline = Some(Instant::now() + Duration::from_micros(n % 30));
            let task = Task {
                deadline,
                ..task(&module)
            };
            sandbox.engine.start(task, Arc::clone(&exits), n);
            let end = ends.recv_timeout(Duration::from_secs(20)).expect("it ends");
            assert_eq!(end.exit, Exit::Killed(KillReason::Deadline));
        }
    });
}

#[test]
fn kills_at_any_moment_end_a_run_once() {
    row(|sandbox| {
        let modules = [LOOP, SLEEP_FOR_EVER, HELLO].map(|text| sandbox.module(&wat(text)));
        let (sender, ends) = channel();
        let exits: Arc<dyn Exits> = Arc::new(Ends(Mutex::new(sender)));
        for n in 0..2_000 {
            let module = &modules[n % 3];
            let run = sandbox
                .engine
                .start(task(module), Arc::clone(&exits), n as u64);
            for _ in 0..(n * 37 % 500) {
                std::hint::spin_loop();
            }
            run.kill();
            run.kill();
            let end = ends.recv_timeout(Duration::from_secs(20)).expect("it ends");
            assert!(
                matches!(end.exit, Exit::Killed(KillReason::Requested)) || n % 3 == 2,
                "{:?}",
                end.exit
            );
        }
        eventually("a run is left", || Arc::strong_count(&exits) == 1);
        assert!(ends.try_recv().is_err(), "an end was told twice");
    });
}

#[test]
fn a_guest_that_ended_in_its_sleep_is_forgotten() {
    let wasm = wat(
        r#"(module (import "wasmjob" "sleep-ms" (func $sleep (param i64) (result i32)))
        (func (export "_start") (drop (call $sleep (i64.const 1)))))"#,
    );
    row(|sandbox| {
        let module = sandbox.module(&wasm);
        let (sender, ends) = channel();
        let exits: Arc<dyn Exits> = Arc::new(Ends(Mutex::new(sender)));
        sandbox.engine.start(task(&module), Arc::clone(&exits), 0);
        assert_eq!(ends.recv().unwrap().exit, Exit::Code(0));
        eventually("its cell is left", || Arc::strong_count(&exits) == 1);
    });
}

struct Panics(AtomicUsize);

impl Exits for Panics {
    fn exited(&self, _: u64, _: Outcome) {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic!("on purpose");
    }
}

impl Output for Panics {
    fn write(&self, _: Stream, _: &[u8]) {
        panic!("on purpose");
    }
}

#[test]
fn a_panic_of_the_caller_takes_no_guest_thread_along() {
    row(|sandbox| {
        let module = sandbox.module(&wat(HELLO));
        let panics = Arc::new(Panics(AtomicUsize::new(0)));
        for n in 0..20 {
            let exits = Arc::clone(&panics) as Arc<dyn Exits>;
            sandbox.engine.start(task(&module), exits, n);
        }
        eventually("runs are lost", || panics.0.load(Ordering::SeqCst) == 20);
        let end = sandbox.run_with(&wat(HELLO), |task| task.output = panics.clone());
        assert_eq!(
            end.exit,
            Exit::Host("panic while running a guest: on purpose".to_owned())
        );
    });
}

#[test]
fn dropping_the_engine_ends_busy_and_blocked_guests_quickly() {
    row(|_| {
        let sandbox = Sandbox::new();
        let mut runs = spin(&sandbox);
        runs.extend((0..8).map(|_| sandbox.start(&wat(SLEEP_FOR_EVER), |_| {})));
        let begin = Instant::now();
        drop(sandbox);
        assert!(
            begin.elapsed() < Duration::from_secs(2),
            "{:?}",
            begin.elapsed()
        );
        for run in runs {
            assert_eq!(run.wait().exit, Exit::Killed(KillReason::Requested));
        }
    });
}

#[test]
fn the_last_engine_may_be_dropped_by_a_guest() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    // It waits for the guest on whose thread it is dropped, but not for ever.
    {
        let sandbox = Sandbox::new();
        let module = sandbox.module(&wat(SLEEP_FOR_EVER));
        let (sender, ends) = channel();
        let engine = sandbox.engine;
        let task = Task {
            deadline: Some(Instant::now() + Duration::from_millis(20)),
            input: None,
            beside: None,
            extension: Some(Arc::new(engine.clone())),
            ..task(&module)
        };
        engine.start(task, Arc::new(Ends(Mutex::new(sender))), 0);
        drop(engine);
        let end = ends.recv_timeout(Duration::from_secs(20)).expect("it ends");
        assert_eq!(end.exit, Exit::Killed(KillReason::Deadline));
    }
    let guests = || {
        std::fs::read_dir("/proc/self/task")
            .unwrap()
            .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok())
            .any(|name| name.starts_with("wasmjob-"))
    };
    eventually("threads are left", || !guests());
}

#[test]
fn a_kill_does_not_wait_behind_a_crowd() {
    let crowd = || Sandbox {
        engine: Engine::builder()
            .limits(Limits {
                guests: 300,
                ..Limits::default()
            })
            .threads(NonZeroUsize::MIN)
            .build()
            .unwrap(),
    };
    crate::attack::row_with(crowd, |sandbox| {
        let module = sandbox.module(&wat(LOOP));
        // One thread, and 200 guests that each take a slice of it in turn.
        let runs: Vec<_> = (0..200)
            .map(|_| sandbox.start_module(module.clone(), |_| {}))
            .collect();
        std::thread::sleep(Duration::from_millis(100));
        let late = (0..5)
            .map(|n| {
                let (live, begin) = (sandbox.engine.live(), Instant::now());
                runs[n * 31].handle.kill();
                eventually("it is left", || sandbox.engine.live() < live);
                begin.elapsed()
            })
            .min()
            .unwrap();
        assert!(late < LATE, "{late:?}");
        for run in runs {
            run.handle.kill();
            assert_eq!(run.wait().exit, Exit::Killed(KillReason::Requested));
        }
    });
}

/// A pool with as many slots as guests says itself which guests take more.
#[test]
fn guests_that_need_much_of_the_pool_say_so_and_find_it() {
    let tables = wat(&format!(
        "(module {} (func (export \"_start\") (loop (br 0))))",
        "(table 1 funcref)".repeat(8)
    ));
    let instances = command(
        &format!(
            r#"(core module $M) {}
            (core module $Main (func (export "run") (result i32) (loop (br 0)) unreachable))
            (core instance $main (instantiate $Main))"#,
            "(core instance (instantiate $M))".repeat(31)
        ),
        "",
    );
    row(|sandbox| {
        let slots =
            sandbox.engine.capacity().guests - u32::try_from(sandbox.engine.live()).unwrap();
        for (wasm, takes) in [(&tables, 4), (&instances, 1)] {
            let module = sandbox.module(wasm);
            assert_eq!(module.slots(), takes);
            let runs: Vec<_> = (0..slots / takes)
                .map(|_| sandbox.start_module(module.clone(), |_| {}))
                .collect();
            // Each gets its turn, and so its instances.
            std::thread::sleep(Duration::from_millis(300));
            for run in runs {
                run.handle.kill();
                assert_eq!(run.wait().exit, Exit::Killed(KillReason::Requested));
            }
        }
    });
}
