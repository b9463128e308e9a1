//! Takes the streams of one connection in, and gives each a reader. One task a connection; it owns
//! its readers, and none outlives it.
//!
//! At most [`STREAMS_MAX`] streams are read at once; more are stopped and counted.

use std::sync::Arc;

use roommate_protocol::room::ConnId;
use roommate_protocol::wire::code::StreamCode;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::link::reader::{ReadEnd, ReadReport, read_stream};
use crate::link::sink::{MediaSource, RecvHalf, Time};
use crate::link::table::SubscriptionTable;

/// Streams of one connection that are read at once: two for each of a dozen tracks, and some that
/// cross an unsubscribe. Together they hold less than 32 × (8 KiB + 4 KiB + a batch).
pub const STREAMS_MAX: usize = 32;

/// News of a connection's streams, for the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadNews {
    /// The connection.
    pub conn: ConnId,
    /// What became of one stream.
    pub report: ReadReport,
}

/// Reads the streams of `source` until it ends or `stop` is cancelled; gives how many streams were
/// stopped as too many.
///
/// Streams that ended as they should are no news. Where the driver does not keep up, readers go on
/// and the accepting of new streams waits: the bound of `news` is the bound of untold ends.
pub async fn accept_streams<S, T>(
    source: S,
    conn: ConnId,
    table: SubscriptionTable,
    time: T,
    (news, stop): (mpsc::Sender<ReadNews>, CancellationToken),
) -> u64
where
    S: MediaSource,
    T: Time + 'static,
{
    let time = Arc::new(time);
    let mut readers: JoinSet<ReadReport> = JoinSet::new();
    let mut too_many = 0;
    loop {
        let report = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(report) = readers.join_next() => report,
            stream = source.accept() => {
                let Ok(mut stream) = stream else { break };
                if readers.len() >= STREAMS_MAX {
                    stream.stop(StreamCode::TooMany);
                    too_many += 1;
                    continue;
                }
                let (table, time) = (table.clone(), time.clone());
                readers.spawn(async move { read_stream(stream, conn, &table, &*time).await });
                continue;
            }
        };
        tell(&news, conn, report.ok(), &stop).await;
    }
    // Either the link is down, and every reader sees that itself, or we were stopped.
    if stop.is_cancelled() {
        readers.abort_all();
    }
    while let Some(report) = readers.join_next().await {
        tell(&news, conn, report.ok(), &stop).await;
    }
    too_many
}

async fn tell(
    news: &mpsc::Sender<ReadNews>,
    conn: ConnId,
    report: Option<ReadReport>,
    stop: &CancellationToken,
) {
    let Some(report) = report else { return };
    if matches!(report.end, ReadEnd::Ended | ReadEnd::Gone) {
        return;
    }
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        _ = news.send(ReadNews { conn, report }) => {}
    }
}
