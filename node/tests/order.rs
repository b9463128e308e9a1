//! Broadcasts are told in the order in which they were announced, whatever their publishers' ids:
//! whoever may take only one takes the first.

#![allow(clippy::unwrap_used, reason = "in a test, a panic with its place is the report")]

mod world;

use world::live::catalog;
use world::{House, Member, PUBLISHER, QUIC, VIEWER, any_key, name_of};

use roommate_clock::Clock;
use roommate_protocol::media::clock::ClockView;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_announced_is_told_first_though_its_publisher_has_the_greater_id() {
    let house = House::new();
    let mut keys = [any_key(), any_key(), any_key()];
    keys.sort_by_key(|key| std::cmp::Reverse(name_of(key)));
    let viewer = Member::enter(&house, VIEWER, Vec::new()).await;
    let mut publishers = Vec::new();
    for key in keys {
        let hints = vec![viewer.hint()];
        let publisher = Member::enter_with(&house, (key, 1), PUBLISHER, &[QUIC], hints).await;
        viewer.meets(publisher.peer()).await;
        publishers.push(publisher);
    }
    let mut announced = Vec::new();
    for publisher in &publishers {
        let now = Clock::new().now();
        let view = ClockView::at_publisher(now.wall, now.mono);
        publisher.room.publish(catalog(), view, None).await.unwrap();
        announced.push(publisher.peer());
        viewer.sees("it announced", |status| status.broadcasts.len() == announced.len()).await;
        let told: Vec<_> = viewer.room.status().broadcasts.iter().map(|on| on.publisher).collect();
        assert_eq!(told, announced);
    }
    for member in publishers.into_iter().chain([viewer]) {
        member.node.shutdown().await;
    }
}
