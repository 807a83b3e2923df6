//! The six functions. Each looks at its arguments first, then waits, then borrows the guest's memory anew
//! and copies once; no borrow of it is held across an await. What a function would report is checked to
//! be writable before it does anything.

use nn_tensor::{Code, Fault};
use nn_witx::{Errno, OutPtr, Span, builders, tensor_record, text};
use wasmtime::{Caller, Extern, Linker, Memory};

use super::WitxCtx;

const MODULE: &str = "wasi_ephemeral_nn";

/// Where a store's state keeps that of wasi-nn.
trait Get<T>: Fn(&mut T) -> &mut WitxCtx + Send + Sync + Copy + 'static {}

impl<T, G: Fn(&mut T) -> &mut WitxCtx + Send + Sync + Copy + 'static> Get<T> for G {}

/// One call of a guest's.
struct Call<'a, T: 'static, G> {
    name: &'static str,
    caller: Caller<'a, T>,
    get: G,
    memory: Option<Memory>,
}

/// Why a call failed.
#[derive(Debug)]
enum Failure {
    /// There is nothing that pointers could lead to.
    NoMemory,
    Fault(Fault),
}

type Done = Result<(), Failure>;

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Offers `wasi_ephemeral_nn` to every core module that this linker instantiates; `get` finds the state in
/// the store's. The functions are async: guests are to be called by `*_async`.
///
/// Fails where the linker already defines one of the functions.
pub fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut WitxCtx + Send + Sync + Copy + 'static,
) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        MODULE,
        "load",
        move |caller: Caller<'_, T>, args: (u32, u32, u32, u32, u32)| {
            Box::new(async move {
                let mut call = Call::new("load", caller, get);
                let done = call.load(args).await;
                call.answer(done)
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "load_by_name",
        move |caller: Caller<'_, T>, args: (u32, u32, u32)| {
            Box::new(async move {
                let mut call = Call::new("load_by_name", caller, get);
                let done = call.load_by_name(args).await;
                call.answer(done)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "init_execution_context",
        move |caller: Caller<'_, T>, graph: u32, out: u32| {
            let mut call = Call::new("init_execution_context", caller, get);
            let done = call.init_execution_context(graph, out);
            call.answer(done)
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "set_input",
        move |caller: Caller<'_, T>, args: (u32, u32, u32)| {
            Box::new(async move {
                let mut call = Call::new("set_input", caller, get);
                let done = call.set_input(args).await;
                call.answer(done)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "get_output",
        move |caller: Caller<'_, T>, context: u32, index: u32, to: u32, max: u32, out: u32| {
            let mut call = Call::new("get_output", caller, get);
            let done = call.get_output((context, index), (to, max), out);
            call.answer(done)
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "compute",
        move |caller: Caller<'_, T>, (context,): (u32,)| {
            Box::new(async move {
                let mut call = Call::new("compute", caller, get);
                let done = call.compute(context).await;
                call.answer(done)
            })
        },
    )?;
    Ok(())
}

// === impl Call ===

impl<'a, T: 'static, G: Get<T>> Call<'a, T, G> {
    fn new(name: &'static str, mut caller: Caller<'a, T>, get: G) -> Self {
        let memory = caller.get_export("memory").and_then(Extern::into_memory);
        Self {
            name,
            caller,
            get,
            memory,
        }
    }

    fn ctx(&mut self) -> &mut WitxCtx {
        (self.get)(self.caller.data_mut())
    }

    /// The guest's memory as it is now, and the state beside it.
    fn parts(&mut self) -> Result<(&mut [u8], &mut WitxCtx), Failure> {
        let memory = self.memory.ok_or(Failure::NoMemory)?;
        let (bytes, state) = memory.data_and_store_mut(&mut self.caller);
        Ok((bytes, (self.get)(state)))
    }

    fn write(&mut self, out: OutPtr, number: u32) -> Done {
        let (memory, _) = self.parts()?;
        Ok(out.write(memory, number)?)
    }

    /// What the guest gets; the text goes to the log.
    fn answer(&mut self, done: Done) -> i32 {
        let dialect = self.ctx().dialect;
        let (errno, code, text) = match done {
            Ok(()) => return Errno::Success.number(),
            Err(Failure::NoMemory) => {
                let text =
                    "the module exports no memory named `memory`, or a shared one".to_owned();
                (Errno::MissingMemory, Code::InvalidArgument, text)
            }
            Err(Failure::Fault(fault)) => {
                (dialect.errno(fault.code), fault.code, fault.to_string())
            }
        };
        tracing::debug!(function = self.name, %errno, %code, fault = text, "a guest's call failed");
        errno.number()
    }

    async fn load(&mut self, args: (u32, u32, u32, u32, u32)) -> Done {
        let (parts, count, encoding, target, out) = args;
        let (memory, ctx) = self.parts()?;
        let out = OutPtr::new(memory, out)?;
        let encoding = ctx.dialect.encoding(encoding)?;
        let target = ctx.dialect.target(target)?;
        let spans = builders(memory, parts, count)?;
        let lens = spans.iter().map(|span| u64::from(span.len()));
        let mut upload = ctx.nn.begin_load(encoding, target, lens)?;
        for span in spans {
            let mut at = 0_usize;
            loop {
                let (memory, _) = self.parts()?;
                let bytes = span.bytes(memory)?;
                if at == 0 {
                    upload.part(bytes.len());
                }
                at = at.saturating_add(upload.piece(bytes.get(at..).unwrap_or(&[])));
                if at >= bytes.len() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        let ctx = self.ctx();
        let graph = ctx.nn.finish_load(upload).await?;
        let handle = ctx.enter_graph(graph)?;
        self.write(out, handle)
    }

    async fn load_by_name(&mut self, (name, len, out): (u32, u32, u32)) -> Done {
        let (memory, _) = self.parts()?;
        let out = OutPtr::new(memory, out)?;
        let name = text(memory, name, len)?.to_owned();
        let handle = self.ctx().load_by_name(&name).await?;
        self.write(out, handle)
    }

    fn init_execution_context(&mut self, graph: u32, out: u32) -> Done {
        let (memory, ctx) = self.parts()?;
        let out = OutPtr::new(memory, out)?;
        let handle = ctx.init_execution_context(graph)?;
        Ok(out.write(memory, handle)?)
    }

    async fn set_input(&mut self, (context, index, record): (u32, u32, u32)) -> Done {
        let (memory, ctx) = self.parts()?;
        let record = tensor_record(memory, record, ctx.dialect)?;
        let prepared = ctx.prepare(context, index, &record).await?;
        let (memory, ctx) = self.parts()?;
        Ok(ctx.context(context)?.set_input(prepared, memory)?)
    }

    fn get_output(&mut self, of: (u32, u32), (to, max): (u32, u32), out: u32) -> Done {
        let (context, index) = of;
        let (memory, ctx) = self.parts()?;
        let out = OutPtr::new(memory, out)?;
        let buffer = Span::new(memory, to, max)?;
        let len = ctx.context(context)?.get_output(index, buffer, memory)?;
        Ok(out.write(memory, len)?)
    }

    async fn compute(&mut self, context: u32) -> Done {
        self.parts()?;
        Ok(self.ctx().compute(context).await?)
    }
}
