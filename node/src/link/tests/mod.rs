//! Writer and reader over a fake network with a seeded scheduler and virtual time, and the planted
//! faults that show each test able to fail.

mod faults;
mod feed;
mod hand;
mod net;
mod quic;
mod reading;
mod world;
