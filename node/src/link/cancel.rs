//! Ends a feed from outside, and says with which code.

use std::sync::Arc;
use std::sync::OnceLock;

use roommate_protocol::wire::code::StreamCode;
use tokio_util::sync::CancellationToken;

/// A cancel token that carries the code which the streams are reset with. The first code stays.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    token: CancellationToken,
    code: Arc<OnceLock<StreamCode>>,
}

impl Cancel {
    /// Not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends whatever listens to this.
    pub fn cancel(&self, code: StreamCode) {
        self.code.get_or_init(|| code);
        self.token.cancel();
    }

    /// Completes when it was cancelled.
    pub async fn cancelled(&self) -> StreamCode {
        self.token.cancelled().await;
        self.code.get().copied().unwrap_or(StreamCode::Cancelled)
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.token.is_cancelled()
    }
}
