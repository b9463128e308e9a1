//! A running node: starts the network, joins rooms, ends in order. Everything that it does is done
//! by the driver; this is the handle.

use std::sync::Arc;
use std::time::Duration;

use libp2p::Multiaddr;
use roommate_protocol::media::clock::ClockView;
use roommate_protocol::room::Refusal;
use roommate_protocol::trust::id::{BroadcastId, PeerId, RoomPk, TrackKey};
use roommate_protocol::wire::catalog::Catalog;
use tokio::sync::{mpsc, oneshot, watch};

pub use crate::config::{JoinConfig, NodeConfig, StartError, Stumble};
use crate::driver::{self, Command};
use crate::status::{RoomEvent, RoomStatus};
use crate::track::{Publication, Subscription};
use roommate_media::source::SourceControl;

/// The driver has ended: by [`Node::shutdown`], because its last handle was dropped, or by a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node has ended")]
pub struct NodeEnded;

/// Why a verb on a room failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomError {
    /// The room refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The node is no more.
    #[error(transparent)]
    Ended(#[from] NodeEnded),
}

/// A running node. It goes on until [`Node::shutdown`], or until this and every [`Room`] of it are
/// dropped: then it says goodbye and ends in the same order, and nobody waits for it.
pub struct Node {
    me: PeerId,
    listen: Vec<Multiaddr>,
    commands: mpsc::Sender<Command>,
    driver: Option<std::thread::JoinHandle<()>>,
}

impl Node {
    /// Starts the network and listens. Its tasks run on the tokio runtime that this is called on.
    ///
    /// # Errors
    /// [`StartError`]
    pub async fn start(config: NodeConfig) -> Result<Self, StartError> {
        let me = PeerId(config.key.verifying_key().to_bytes());
        let started = driver::start(config).await?;
        Ok(Self {
            me,
            listen: started.listen,
            commands: started.commands,
            driver: Some(started.thread),
        })
    }

    /// This node's name.
    pub fn peer(&self) -> PeerId {
        self.me
    }

    /// Where it listens.
    pub fn listen(&self) -> &[Multiaddr] {
        &self.listen
    }

    /// Joins a room, or joins it anew. Who is there is told by [`Room::status`].
    ///
    /// # Errors
    /// [`NodeEnded`]
    pub async fn join(&self, config: JoinConfig) -> Result<(Room, RoomEvents), NodeEnded> {
        let room = config.room;
        let joined =
            ask(&self.commands, |reply| Command::Join { config: Box::new(config), reply }).await?;
        let handle =
            Room { me: self.me, room, commands: self.commands.clone(), status: joined.status };
        Ok((handle, RoomEvents { events: joined.events }))
    }

    /// Leaves every room, says goodbye, and ends, within two seconds. Handles that are left can do
    /// nothing more.
    pub async fn shutdown(mut self) {
        let _ = ask(&self.commands, |reply| Command::Shutdown { reply }).await;
        if let Some(driver) = self.driver.take() {
            let _ = tokio::task::spawn_blocking(move || driver.join()).await;
        }
    }
}

/// A room that was joined. Cheap to clone; dropping it does not leave, unless it was the last handle
/// of its node.
#[derive(Clone)]
pub struct Room {
    me: PeerId,
    room: RoomPk,
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<RoomStatus>,
}

/// What happens in a room, in order.
pub struct RoomEvents {
    events: mpsc::Receiver<RoomEvent>,
}

impl RoomEvents {
    /// The next event; `None` when the room was left, or the node has ended.
    pub async fn next(&mut self) -> Option<RoomEvent> {
        self.events.recv().await
    }
}

impl Room {
    /// The room's true name.
    pub fn room(&self) -> RoomPk {
        self.room
    }

    /// This node's name.
    pub fn me(&self) -> PeerId {
        self.me
    }

    /// The newest state of the room.
    pub fn status(&self) -> RoomStatus {
        self.status.borrow().clone()
    }

    /// Told whenever something happens in the room, and four times a second besides: counts grow.
    pub fn watch(&self) -> watch::Receiver<RoomStatus> {
        self.status.clone()
    }

    /// Announces a broadcast, whose clock is `view`, and gives its tracks in the order of `catalog`.
    /// `encoder` is told when a keyframe is wanted, and stopped when the broadcast or the room is over.
    ///
    /// # Errors
    /// [`RoomError`]
    pub async fn publish(
        &self,
        catalog: Catalog,
        view: ClockView,
        encoder: Option<Arc<SourceControl>>,
    ) -> Result<Vec<Publication>, RoomError> {
        let room = self.room;
        let answer =
            ask(&self.commands, |reply| Command::Publish { room, catalog, view, encoder, reply })
                .await?;
        Ok(answer?)
    }

    /// The encoder of our own track made a keyframe. Where the driver is too busy to hear it, the next
    /// one will do.
    pub fn note_keyframe(&self, key: TrackKey) {
        let _ = self.commands.try_send(Command::NoteKeyframe { room: self.room, key });
    }

    /// Ends a broadcast of ours, and with it its tracks.
    pub async fn retract(&self, broadcast: BroadcastId) {
        let _ = self.commands.send(Command::Retract { room: self.room, broadcast }).await;
    }

    /// Subscribes to a track; it is kept up over lost and new connections until
    /// [`Room::unsubscribe`], or until the broadcast or the room is over. `latency` is how late a
    /// picture may be before a newer group replaces it; called again, it holds from the next parent on.
    ///
    /// # Errors
    /// [`RoomError`]
    pub async fn subscribe(
        &self,
        key: TrackKey,
        latency: Duration,
    ) -> Result<Subscription, RoomError> {
        let room = self.room;
        let answer =
            ask(&self.commands, |reply| Command::Subscribe { room, key, latency, reply }).await?;
        Ok(answer?)
    }

    /// Ends a subscription.
    pub async fn unsubscribe(&self, key: TrackKey) {
        let _ = self.commands.send(Command::Unsubscribe { room: self.room, key }).await;
    }

    /// Says that nothing of a track can be shown before its next keyframe. Told to whoever feeds us;
    /// to nobody where nobody does. How often that counts is the publisher's decision.
    pub async fn want_keyframe(&self, key: TrackKey) {
        let _ = self.commands.send(Command::WantKeyframe { room: self.room, key }).await;
    }

    /// Says goodbye to everybody and leaves.
    pub async fn leave(self) {
        let room = self.room;
        let _ = ask(&self.commands, |reply| Command::Leave { room, reply }).await;
    }
}

async fn ask<T>(
    commands: &mpsc::Sender<Command>,
    command: impl FnOnce(oneshot::Sender<T>) -> Command,
) -> Result<T, NodeEnded> {
    let (reply, answer) = oneshot::channel();
    commands.send(command(reply)).await.map_err(|_| NodeEnded)?;
    answer.await.map_err(|_| NodeEnded)
}
