//! Ties the driver's thread to the runtime whose timers and tasks it uses: the runtime's end waits
//! until the driver is out of it, which would panic otherwise. It waits at most [`LEAVE_MAX`].

use std::sync::mpsc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// A driver that is blocked for longer is not waited for.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// Held by the driver's thread while it uses the runtime.
pub(super) struct Stay {
    _ends_the_task: oneshot::Sender<()>,
    _lets_the_runtime_end: mpsc::Sender<()>,
}

/// Tells the driver that the runtime ends.
pub(super) struct Leave(oneshot::Receiver<()>);

/// Lives in a task of the runtime, which drops its tasks before its timers.
struct Guard {
    leave: Option<oneshot::Sender<()>>,
    has_left: mpsc::Receiver<()>,
}

/// Ties a thread that is to be started to `runtime`.
pub(super) fn tie(runtime: &Handle) -> (Stay, Leave) {
    let (leave, told_to_leave) = oneshot::channel();
    let (lets_end, has_left) = mpsc::channel();
    let (ends_task, ended) = oneshot::channel::<()>();
    let guard = Guard { leave: Some(leave), has_left };
    runtime.spawn(async move {
        let _guard = guard;
        let _ = ended.await;
    });
    (Stay { _ends_the_task: ends_task, _lets_the_runtime_end: lets_end }, Leave(told_to_leave))
}

impl Leave {
    /// Runs `work` to its end, or until the runtime ends.
    pub(super) async fn or(self, work: impl Future<Output = ()>) {
        tokio::select! {
            // First: then no timer of a runtime that has ended is ever looked at.
            biased;
            _ = self.0 => tracing::debug!("the runtime ends; nobody is told goodbye"),
            () = work => {}
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.leave.take();
        // Nothing is ever sent: it ends when the thread has dropped its end.
        let _ = self.has_left.recv_timeout(LEAVE_MAX);
    }
}
