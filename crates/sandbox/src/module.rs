//! A compiled module, linked and ready to be instantiated.

use std::sync::Arc;

use wasmtime::component::types::{ComponentInstance, ComponentItem};
use wasmtime::component::{Component, Type};
use wasmtime::{ExternType, InstancePre};
use wasmtime_wasi::p2::bindings::CommandPre;

use crate::bulk::Places;
use crate::compile::{CompileError, compile, scan};
use crate::engine::Realm;
use crate::trap::printable;
use crate::{Engine, Guest};

/// What kind of module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleKind {
    /// A core module with `_start` (WASI 0.1).
    Core,
    /// A component with `wasi:cli/run` (WASI 0.2).
    Component,
}

/// A compiled module, linked with what it imports. Cheap to clone.
#[derive(Clone)]
pub struct Module(pub(crate) Arc<Linked>);

pub(crate) struct Linked {
    pub(crate) entry: Entry,
    pub(crate) metered: bool,
    pub(crate) places: Places,
    hears_signals: bool,
    slots: u32,
}

pub(crate) enum Entry {
    Core(InstancePre<Guest>),
    Component(CommandPre<Guest>),
}

/// The entry point of a core module.
pub(crate) const START: &str = "_start";

/// The interface that a command exports, in any version that is linked.
const RUN: &str = "wasi:cli/run@0.2";

/// The module that our functions for guests stand in.
const OURS: &str = "wasmjob";

impl Module {
    /// Compiles and links `bytes`; see [`Engine::compile`] for what bounds that.
    ///
    /// # Errors
    ///
    /// When the module is invalid, imports what nobody offers, or has no entry point.
    pub fn new(engine: &Engine, bytes: &[u8], metered: bool) -> Result<Self, CompileError> {
        let cost = scan(bytes, engine.limits())?;
        let realm = engine
            .realm(metered)
            .map_err(|e| CompileError::Invalid(e.to_string()))?;
        match cost.kind {
            ModuleKind::Core => {
                let (module, places) = compile(bytes, |bytes| {
                    wasmtime::Module::from_binary(&realm.engine, bytes)
                })?;
                Self::core(realm, &module, metered, places)
            }
            ModuleKind::Component => {
                let (component, places) =
                    compile(bytes, |bytes| Component::from_binary(&realm.engine, bytes))?;
                Self::component(engine, realm, &component, metered, places)
            }
        }
    }

    /// Links code that [`Engine::compile`] made.
    ///
    /// # Errors
    ///
    /// When the code is of another engine, imports what nobody offers, or has no entry point.
    ///
    /// # Safety
    ///
    /// `code` is, to the bit, what `compile` returned for this kind on an engine
    /// of the same [`Engine::compatibility`]: it is machine code and will be run.
    #[expect(
        unsafe_code,
        reason = "machine code is taken at its word; the caller has proved it"
    )]
    pub unsafe fn from_compiled(
        engine: &Engine,
        kind: ModuleKind,
        code: &[u8],
        metered: bool,
    ) -> Result<Self, CompileError> {
        let invalid =
            |error: wasmtime::Error| CompileError::Invalid(printable(&format!("{error:#}")));
        let realm = engine
            .realm(metered)
            .map_err(|e| CompileError::Invalid(e.to_string()))?;
        let (code, places) = Places::split_off(code)
            .ok_or_else(|| CompileError::Invalid("the compiled code is cut off".to_owned()))?;
        match kind {
            ModuleKind::Core => {
                // SAFETY: the contract of this function.
                let module = unsafe { wasmtime::Module::deserialize(&realm.engine, code) };
                Self::core(realm, &module.map_err(invalid)?, metered, places)
            }
            ModuleKind::Component => {
                // SAFETY: the contract of this function.
                let component = unsafe { Component::deserialize(&realm.engine, code) };
                Self::component(engine, realm, &component.map_err(invalid)?, metered, places)
            }
        }
    }

    fn core(
        realm: &Realm,
        module: &wasmtime::Module,
        metered: bool,
        places: Places,
    ) -> Result<Self, CompileError> {
        check_start(module)?;
        let pre = realm
            .core
            .instantiate_pre(module)
            .map_err(|error| unlinkable(&error))?;
        let hears_signals = module.imports().any(|import| import.module() == OURS);
        let entry = Entry::Core(pre);
        Ok(Self(Arc::new(Linked {
            entry,
            metered,
            places,
            hears_signals,
            slots: slots(&module.resources_required()),
        })))
    }

    fn component(
        engine: &Engine,
        realm: &Realm,
        component: &Component,
        metered: bool,
        places: Places,
    ) -> Result<Self, CompileError> {
        let ty = component.component_type();
        let mut hears_signals = false;
        for (name, _) in ty.imports(&realm.engine) {
            hears_signals |= name.starts_with("wasmjob:guest/signals");
        }
        let run = ty
            .exports(&realm.engine)
            .find_map(|(name, export)| match export.ty {
                ComponentItem::ComponentInstance(run) if name.starts_with(RUN) => Some(run),
                _ => None,
            });
        let Some(run) = run else {
            return Err(CompileError::Unlinkable(
                "the component has no `wasi:cli/run@0.2` export: it is not a command; build it for the `wasi:cli/command` world".to_owned(),
            ));
        };
        if !is_run(&run, &realm.engine) {
            return Err(CompileError::Unlinkable(
                "the component's `wasi:cli/run@0.2` must have `run: func() -> result`".to_owned(),
            ));
        }
        let linker = engine
            .component_linker(realm)
            .map_err(|error| CompileError::Unlinkable(error.to_string()))?;
        let pre = linker.instantiate_pre(component).map_err(|error| {
            CompileError::Unlinkable(printable(&format!("cannot be linked: {error:#}")))
        })?;
        let pre = CommandPre::new(pre)
            .map_err(|error| CompileError::Unlinkable(printable(&format!("{error:#}"))))?;
        let slots = component
            .resources_required()
            .map_or(1, |needs| slots(&needs));
        let entry = Entry::Component(pre);
        Ok(Self(Arc::new(Linked {
            entry,
            metered,
            places,
            hears_signals,
            slots,
        })))
    }

    /// Whether it asks for pending signals, so that it can be asked to end
    /// before it is killed; see [`crate::Signal`].
    #[must_use]
    pub fn hears_signals(&self) -> bool {
        self.0.hears_signals
    }

    /// Slots of [`crate::Capacity::guests`] that a run takes: 1 for a usual core module.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.0.slots
    }

    /// Whether its code counts fuel.
    #[must_use]
    pub fn metered(&self) -> bool {
        self.0.metered
    }
}

/// Whether the interface `wasi:cli/run` has the function that it must have.
fn is_run(interface: &ComponentInstance, engine: &wasmtime::Engine) -> bool {
    let run = interface.get_export(engine, "run").map(|export| export.ty);
    let Some(ComponentItem::ComponentFunc(run)) = run else {
        return false;
    };
    let mut results = run.results();
    let nothing =
        |ty: &Type| matches!(ty, Type::Result(ty) if ty.ok().is_none() && ty.err().is_none());
    run.params().len() == 0 && results.len() == 1 && results.all(|ty| nothing(&ty))
}

/// What instances take of the pool, in slots of one memory and two tables.
fn slots(needs: &wasmtime::ResourcesRequired) -> u32 {
    needs.num_memories.max(needs.num_tables.div_ceil(2)).max(1)
}

fn check_start(module: &wasmtime::Module) -> Result<(), CompileError> {
    let error = |text: &str| Err(CompileError::Unlinkable(text.to_owned()));
    match module.get_export(START) {
        Some(ExternType::Func(ty)) if ty.params().len() == 0 && ty.results().len() == 0 => Ok(()),
        Some(ExternType::Func(ty)) => error(&format!(
            "`_start` must take nothing and return nothing, this one takes {} and returns {} values",
            ty.params().len(),
            ty.results().len()
        )),
        Some(_) => error("`_start` is not a function"),
        None if module.get_export("_initialize").is_some() => error(
            "the module is a reactor (it exports `_initialize`), not a command: it has no `_start`",
        ),
        None => error("the module has no `_start`: build it as a WASI command"),
    }
}

/// Says what is missing and what there is.
fn unlinkable(error: &wasmtime::Error) -> CompileError {
    let text = match error.downcast_ref::<wasmtime::UnknownImportError>() {
        Some(unknown) => format!(
            "unknown import `{}::{}`; a module may import functions of `wasi_snapshot_preview1` and `{OURS}`, and what the host application adds",
            printable(unknown.module()),
            printable(unknown.name()),
        ),
        None => printable(&format!("{error:#}")),
    };
    CompileError::Unlinkable(text)
}
