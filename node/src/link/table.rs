//! Which streams are expected, by connection and subscription.
//!
//! Filled by the driver before a Subscribe is sent, read by the reader tasks themselves: a stream
//! may overtake the answer to the Subscribe, and must not wait for the driver.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use roommate_protocol::room::ConnId;
use roommate_protocol::wire::header::SubscriptionId;
use roommate_protocol::wire::record::Verifier;
use tokio_util::sync::CancellationToken;

use crate::link::SharedTrack;

/// What a stream of a subscription is read into.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The track.
    pub track: Arc<SharedTrack>,
    /// Checks its records.
    pub verifier: Verifier,
    /// Cancelled when the subscription ends; its readers then stop their streams with `Gone`.
    pub ended: CancellationToken,
}

/// The subscriptions of all connections. Cheap to clone. As long as the driver's list of its own
/// subscriptions: nobody else adds to it.
#[derive(Clone, Debug, Default)]
pub struct SubscriptionTable {
    rows: Arc<Mutex<BTreeMap<(ConnId, SubscriptionId), Expected>>>,
}

impl SubscriptionTable {
    /// Nothing expected.
    pub fn new() -> Self {
        Self::default()
    }

    /// Accept streams of this subscription from now on.
    pub fn expect(
        &self,
        conn: ConnId,
        sub: SubscriptionId,
        track: Arc<SharedTrack>,
        verifier: Verifier,
    ) {
        let expected = Expected { track, verifier, ended: CancellationToken::new() };
        if let Some(before) = self.lock().insert((conn, sub), expected) {
            before.ended.cancel();
        }
    }

    /// Stop streams of this subscription from now on, and those that run.
    pub fn forget(&self, conn: ConnId, sub: SubscriptionId) {
        if let Some(gone) = self.lock().remove(&(conn, sub)) {
            gone.ended.cancel();
        }
    }

    /// The same for all subscriptions of a connection.
    pub fn forget_connection(&self, conn: ConnId) {
        self.lock().retain(|(of, _), expected| {
            let stays = *of != conn;
            if !stays {
                expected.ended.cancel();
            }
            stays
        });
    }

    /// What streams of this subscription are read into.
    pub fn find(&self, conn: ConnId, sub: SubscriptionId) -> Option<Expected> {
        self.lock().get(&(conn, sub)).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(ConnId, SubscriptionId), Expected>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
