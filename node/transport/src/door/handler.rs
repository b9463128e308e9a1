//! The door's end on one connection.

#![allow(unnameable_types, reason = "a behaviour's handler is public by trait and named by nobody")]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::future::{Ready, ready};
use libp2p::core::upgrade::{InboundUpgrade, ReadyUpgrade, UpgradeInfo};
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound};
use libp2p::swarm::{
    ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
};
use libp2p::{Stream, StreamProtocol};

use super::{MAX_OPENING, OpenError};
use crate::native::Native;
use crate::registry::Registry;

/// Bound on agreeing what a substream is for, in both directions.
const NEGOTIATION: Duration = Duration::from_secs(5);

/// What a handler tells its door.
#[derive(Debug)]
pub enum Told {
    /// The QUIC connection, before anything else that there is to tell.
    Native(Native),
    /// The peer opened a substream.
    Inbound(StreamProtocol, Stream),
    /// One that was asked for is open.
    Outbound(StreamProtocol, Stream),
    /// One that was asked for is not to be had.
    Failed(StreamProtocol, OpenError),
}

/// The protocols that the peer may open substreams for.
#[derive(Clone)]
pub struct Accepted(Arc<[StreamProtocol]>);

impl UpgradeInfo for Accepted {
    type Info = StreamProtocol;
    type InfoIter = Vec<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.to_vec()
    }
}

impl InboundUpgrade<Stream> for Accepted {
    type Output = (StreamProtocol, Stream);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((protocol, stream)))
    }
}

/// Opens and takes in substreams on one connection.
pub struct Handler {
    accepted: Accepted,
    /// Where our QUIC connection is found; `None` once it is, or where there is none.
    registry: Option<Arc<Registry>>,
    /// To be opened; the door bounds them.
    wanted: VecDeque<StreamProtocol>,
    told: VecDeque<Told>,
    waker: Option<Waker>,
}

impl Handler {
    /// With a `registry`: on a connection of ours over QUIC.
    pub(super) fn new(accepted: Arc<[StreamProtocol]>, registry: Option<Arc<Registry>>) -> Self {
        Self {
            accepted: Accepted(accepted),
            registry,
            wanted: VecDeque::new(),
            told: VecDeque::new(),
            waker: None,
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = StreamProtocol;
    type ToBehaviour = Told;
    type InboundProtocol = Accepted;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = StreamProtocol;

    fn listen_protocol(&self) -> SubstreamProtocol<Accepted> {
        SubstreamProtocol::new(self.accepted.clone(), ()).with_timeout(NEGOTIATION)
    }

    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<ReadyUpgrade<StreamProtocol>, StreamProtocol, Told>> {
        if let Some(registry) = &self.registry {
            // The muxer is polled behind us, and wakes us when it is there.
            let Some(native) = registry.claim(cx.waker()) else { return Poll::Pending };
            self.registry = None;
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(Told::Native(native)));
        }
        if let Some(told) = self.told.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(told));
        }
        if let Some(protocol) = self.wanted.pop_front() {
            let upgrade = ReadyUpgrade::new(protocol.clone());
            let protocol = SubstreamProtocol::new(upgrade, protocol).with_timeout(NEGOTIATION);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, protocol: StreamProtocol) {
        self.wanted.push_back(protocol);
        self.wake();
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Accepted, ReadyUpgrade<StreamProtocol>, (), StreamProtocol>,
    ) {
        let told = match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (protocol, stream),
                ..
            }) => {
                if self.told.len() >= MAX_OPENING {
                    return; // the stream is dropped, that is reset
                }
                Told::Inbound(protocol, stream)
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                info: protocol,
            }) => Told::Outbound(protocol, stream),
            ConnectionEvent::DialUpgradeError(error) => {
                let why = match error.error {
                    StreamUpgradeError::Timeout => OpenError::Timeout,
                    StreamUpgradeError::NegotiationFailed => OpenError::Unsupported,
                    StreamUpgradeError::Io(error) => OpenError::Broken(error.to_string()),
                    StreamUpgradeError::Apply(never) => match never {},
                };
                Told::Failed(error.info, why)
            }
            _ => return,
        };
        self.told.push_back(told);
        self.wake();
    }
}
