//! Read models that stop a caller at a call, so that others can act in between, or fail it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::oneshot;
use underlay_core::Error;
use underlay_core::memory::MemoryReadModels;
use underlay_testkit::{Over, ReadModelsLayer, RowsCall};

/// What happens at a call.
pub enum Hook {
    /// It waits: the first end tells that it has come, the second lets it go on.
    Wait(oneshot::Sender<()>, oneshot::Receiver<()>),
    /// It fails, and does nothing.
    Fail(Error),
}

#[derive(Clone, Default)]
pub struct HookedReadModels {
    pub inner: MemoryReadModels,
    swaps: Arc<Mutex<VecDeque<Hook>>>,
    pub prepare_fails: Arc<AtomicBool>,
    pub swaps_asked: Arc<AtomicUsize>,
}

impl HookedReadModels {
    pub fn over(inner: MemoryReadModels) -> Over<Self> {
        Over(Self { inner, ..Self::default() })
    }

    /// Acts at the next swap that has no hook yet.
    pub fn at_swap(&self, hook: Hook) {
        self.swaps.lock().unwrap().push_back(hook);
    }

    /// A swap that waits; its ends.
    pub fn wait_at_swap(&self) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        let ((come, came), (go, goes)) = (oneshot::channel(), oneshot::channel());
        self.at_swap(Hook::Wait(come, goes));
        (came, go)
    }
}

async fn act(hook: Option<Hook>) -> Result<(), Error> {
    match hook {
        Some(Hook::Wait(come, goes)) => {
            come.send(()).unwrap();
            goes.await.unwrap();
            Ok(())
        }
        Some(Hook::Fail(error)) => Err(error),
        None => Ok(()),
    }
}

#[async_trait]
impl ReadModelsLayer for HookedReadModels {
    type Below = MemoryReadModels;

    fn below(&self) -> MemoryReadModels {
        self.inner.clone()
    }

    async fn before(&self, call: RowsCall) -> Result<(), Error> {
        match call {
            RowsCall::Prepare if self.prepare_fails.load(Ordering::SeqCst) => {
                Err(Error::unavailable("the server restarts"))
            }
            RowsCall::Activate => {
                self.swaps_asked.fetch_add(1, Ordering::SeqCst);
                let hook = self.swaps.lock().unwrap().pop_front();
                act(hook).await
            }
            _ => Ok(()),
        }
    }
}
