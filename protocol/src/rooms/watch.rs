//! A node's view of one room at one bootstrap.
