//! A UDP link in user space: forwards between one dialler and one listener, with a rate, losses
//! and a change of the dialler's address.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use tokio::net::UdpSocket;
use tokio::sync::{Mutex, mpsc, watch};

/// What the link does to packets of the dialler; those of the listener pass.
#[derive(Clone, Copy, Default)]
pub struct Shape {
    /// Bits in a second; `None` is as fast as it goes.
    pub rate: Option<u64>,
    /// Every n-th packet is lost.
    pub lose_every: Option<u64>,
}

/// Packets that wait for a slow link; more are lost.
const QUEUE: usize = 40;

pub struct Link {
    /// What the dialler dials.
    pub address: Multiaddr,
    back: watch::Sender<Arc<UdpSocket>>,
    pub lost: Arc<AtomicU64>,
}

async fn socket() -> Arc<UdpSocket> {
    Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap())
}

pub fn to_socket(address: &Multiaddr) -> SocketAddr {
    let mut parts = address.iter();
    match (parts.next(), parts.next()) {
        (Some(Protocol::Ip4(ip)), Some(Protocol::Udp(port))) => (ip, port).into(),
        _ => panic!("{address} is no UDP address"),
    }
}

pub fn to_multiaddr(address: SocketAddr) -> Multiaddr {
    format!("/ip4/{}/udp/{}/quic-v1", address.ip(), address.port()).parse().unwrap()
}

impl Link {
    pub async fn to(listener: &Multiaddr, shape: Shape) -> Self {
        let listener = to_socket(listener);
        let front = socket().await;
        let address = to_multiaddr(front.local_addr().unwrap());
        let (back, current) = watch::channel(socket().await);
        let lost = Arc::new(AtomicU64::new(0));
        let dialler = Arc::new(Mutex::new(None));
        tokio::spawn(forth(
            front.clone(),
            current.clone(),
            listener,
            dialler.clone(),
            shape,
            lost.clone(),
        ));
        tokio::spawn(back_again(front, current, dialler));
        Self { address, back, lost }
    }

    /// From now on the listener sees the dialler at another loopback address, as after a change
    /// of network. (If only the port changes, quinn keeps the congestion controller.)
    pub async fn move_dialler(&self) -> SocketAddr {
        let new = Arc::new(UdpSocket::bind("127.0.0.2:0").await.unwrap());
        let address = new.local_addr().unwrap();
        self.back.send_replace(new);
        address
    }
}

async fn forth(
    front: Arc<UdpSocket>,
    back: watch::Receiver<Arc<UdpSocket>>,
    listener: SocketAddr,
    dialler: Arc<Mutex<Option<SocketAddr>>>,
    shape: Shape,
    lost: Arc<AtomicU64>,
) {
    let (queue, mut waiting) = mpsc::channel::<Vec<u8>>(QUEUE);
    tokio::spawn(async move {
        while let Some(packet) = waiting.recv().await {
            if let Some(rate) = shape.rate {
                let micros = packet.len() as u64 * 8 * 1_000_000 / rate;
                tokio::time::sleep(Duration::from_micros(micros)).await;
            }
            let socket = back.borrow().clone();
            let _ = socket.send_to(&packet, listener).await;
        }
    });
    let mut buffer = vec![0; 65_536];
    let mut count = 0;
    while let Ok((length, from)) = front.recv_from(&mut buffer).await {
        *dialler.lock().await = Some(from);
        count += 1;
        let dropped = shape.lose_every.is_some_and(|n| count % n == 0);
        if dropped || (shape.rate.is_some() && queue.capacity() == 0) {
            lost.fetch_add(1, Relaxed);
            continue;
        }
        if queue.send(buffer[..length].to_vec()).await.is_err() {
            return;
        }
    }
}

async fn back_again(
    front: Arc<UdpSocket>,
    mut back: watch::Receiver<Arc<UdpSocket>>,
    dialler: Arc<Mutex<Option<SocketAddr>>>,
) {
    let mut buffer = vec![0; 65_536];
    loop {
        let socket = back.borrow_and_update().clone();
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                let (Ok((length, _)), Some(to)) = (received, *dialler.lock().await) else {
                    continue;
                };
                let _ = front.send_to(&buffer[..length], to).await;
            }
            changed = back.changed() => if changed.is_err() { return },
        }
    }
}
