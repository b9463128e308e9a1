//! The viewer page in real browsers. One file a theme, one program for all: they link once.

mod doors;
mod gecko;
mod looks;
mod nodes;
mod players;
mod sound;
mod starved;
mod support;
mod trouble;
