//! Real programs on real sockets. One file a theme, one program for all: they link once.

mod cli;
mod crowd;
mod demo;
mod driver;
mod ends;
mod exact;
mod files;
mod lab;
mod late;
mod leave;
mod life;
mod lipsync;
mod live;
mod out;
mod passthrough;
mod processes;
mod readme_json;
mod room;
mod said;
mod slow_build;
mod stuck;
mod wall;
