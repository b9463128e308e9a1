//! The viewer page in real browsers. One file a theme, one program for all: they link once.

mod nodes;
