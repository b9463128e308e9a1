//! The moving test picture: a landscape, the stamp on top, number and time of day in digits, and a
//! dot that goes around once in two seconds, so that an eye sees a stutter. At every whole second from
//! the first one on a field at the right flashes for [`FLASH`], when the beep of the same source
//! begins ([`super::beep_source`]); [`flash_lit`] reads it off a decoded picture.
//!
//! Drawn in I420 directly. What a picture shows depends on its moment alone.

use std::time::Duration;

use roommate_protocol::time::Wall;

use super::font;
use super::picture::{Colour, Picture};
use super::scene::Scene;
use super::stamp::{Stamp, strip_height, write_stamp};

/// How long the field flashes: three pictures of 30 a second.
pub const FLASH: Duration = Duration::from_millis(100);

/// What makes one test picture differ from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Number of the picture.
    pub number: u32,
    /// How long the source has been running when the picture is due; moves what moves.
    pub elapsed: Duration,
    /// When the picture is taken, by the broadcast's clock; stamped and shown as time of day.
    pub captured: Wall,
}

/// Draws test pictures of one size.
pub struct Pattern {
    scene: Scene,
    picture: Picture,
    top: usize,
}

impl Pattern {
    /// Prepares the picture; the costly part.
    pub fn new(width: usize, height: usize) -> Self {
        let picture = Picture::new(width, height);
        let top = strip_height(picture.width());
        let scene = Scene::new(picture.width(), picture.height(), top);
        Self { scene, picture, top }
    }

    /// Draws the picture of one moment.
    pub fn draw(&mut self, moment: Moment) -> &Picture {
        let seconds = moment.elapsed.as_secs_f64();
        self.scene.draw(&mut self.picture, moment.number, seconds);
        self.panel(moment);
        self.dot(seconds);
        self.flash(moment.elapsed);
        let stamp = Stamp::new(moment.number, moment.captured.as_micros());
        let width = self.picture.width();
        write_stamp(self.picture.luma_mut(), width, stamp);
        &self.picture
    }

    /// Number and time of day, for people.
    fn panel(&mut self, moment: Moment) {
        let picture = &mut self.picture;
        let scale = (picture.width() / 320).max(1);
        let pad = 3 * scale;
        let corner = (picture.width() / 32, self.top + picture.height() / 24);
        let inner = 16 * font::ADVANCE * scale - scale;
        let size = (inner + 2 * pad, font::HEIGHT * scale * 4 + 4 * pad);
        picture.rect(corner, size, Colour::rgb(14, 16, 34));
        let left = corner.0 + pad;
        let mut top = corner.1 + pad;
        let muted = Colour::rgb(246, 178, 128);
        font::draw(picture, "TEST PICTURE", (left, top), scale, muted);
        top += font::HEIGHT * scale + pad;
        let number = format!("{:08}", moment.number);
        font::draw(picture, &number, (left, top), scale * 2, Colour::rgb(250, 250, 250));
        top += font::HEIGHT * scale * 2 + pad;
        let time = time_of_day(moment.captured);
        font::draw(picture, &time, (left, top), scale, Colour::rgb(200, 206, 226));
    }

    /// White at whole seconds, else dark: no encoder leaves room for doubt between the two.
    fn flash(&mut self, elapsed: Duration) {
        let (width, height) = (self.picture.width(), self.picture.height());
        let lit = elapsed.as_secs() > 0 && elapsed - Duration::from_secs(elapsed.as_secs()) < FLASH;
        let colour = if lit { Colour::rgb(255, 255, 255) } else { Colour::rgb(14, 16, 34) };
        if let Some((corner, size)) = flash_field(width, height) {
            self.picture.rect(corner, size, colour);
        }
    }

    /// A dot on a scale of eight marks, once across in two seconds.
    fn dot(&mut self, seconds: f64) {
        let picture = &mut self.picture;
        let (width, height) = (picture.width(), picture.height());
        let (left, span, thick) = (width / 32, width - width / 16, (height / 240).max(1));
        let line = height - height / 14;
        picture.rect((left, line), (span, thick), Colour::rgb(150, 156, 186));
        for mark in 0..=8 {
            let corner = (left + span * mark / 8, line - 3 * thick);
            picture.rect(corner, (thick, 7 * thick), Colour::rgb(150, 156, 186));
        }
        let along = (seconds / 2.0).fract() * span as f64;
        let centre = (left as f64 + along, line as f64 + thick as f64 / 2.0);
        picture.disc(centre, height as f64 / 45.0, Colour::rgb(255, 255, 255));
        picture.disc(centre, height as f64 / 70.0, Colour::rgb(236, 96, 84));
    }
}

/// Corner and size of the field that flashes: right of the panel, clear of strip and dot.
fn flash_field(width: usize, height: usize) -> Option<((usize, usize), (usize, usize))> {
    let top = strip_height(width) + height / 24;
    let tall = (height * 2 / 3).checked_sub(top)?.min(height / 4);
    let size = (width / 4, tall);
    let left = width.checked_sub(width / 32 + size.0)?;
    (size.0 > 3 && size.1 > 3).then_some(((left, top), size))
}

/// Whether the test picture whose luma this is flashes: `width` bytes a row, `height` rows. The middle
/// half of its field decides. False where there is no such field.
pub fn flash_lit(luma: &[u8], width: usize, height: usize) -> bool {
    let Some((corner, size)) = flash_field(width, height) else { return false };
    if luma.len() < width * height {
        return false;
    }
    let (left, broad) = (corner.0 + size.0 / 4, size.0 / 2);
    let rows = corner.1 + size.1 / 4..corner.1 + size.1 * 3 / 4;
    let row_sum = |row: usize| {
        let start = row * width + left;
        luma[start..start + broad].iter().map(|&value| usize::from(value)).sum::<usize>()
    };
    let count = rows.len() * broad;
    rows.map(row_sum).sum::<usize>() > count * 128
}

fn time_of_day(wall: Wall) -> String {
    let millis = wall.as_micros().div_euclid(1_000).rem_euclid(86_400_000);
    let (seconds, millis) = (millis / 1_000, millis % 1_000);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}.{millis:03} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::read_stamp;

    fn moment(number: u32) -> Moment {
        Moment {
            number,
            elapsed: Duration::from_millis(u64::from(number) * 33),
            captured: Wall::from_micros(1_700_000_000_000_000 + i64::from(number) * 33_333),
        }
    }

    #[test]
    fn every_size_carries_its_stamp_and_moves() {
        for (width, height) in
            [(160, 90), (162, 1080), (320, 180), (640, 360), (1280, 720), (1920, 90)]
        {
            let mut pattern = Pattern::new(width, height);
            let mut last = Vec::new();
            for number in [0, 1, 2, 1_000, 400_000_000] {
                let picture = pattern.draw(moment(number));
                let want = Stamp::new(number, moment(number).captured.as_micros());
                assert_eq!(
                    read_stamp(picture.luma(), width, height),
                    Some(want),
                    "{width}x{height}"
                );
                assert_ne!(picture.luma(), last);
                last = picture.luma().to_vec();
            }
        }
    }

    #[test]
    fn a_picture_depends_on_its_moment_alone() {
        let (mut one, mut two) = (Pattern::new(320, 180), Pattern::new(320, 180));
        one.draw(moment(3));
        let again = one.draw(moment(77)).luma().to_vec();
        assert_eq!(two.draw(moment(77)).luma(), again);
    }

    #[test]
    fn it_flashes_at_whole_seconds_but_the_first() {
        for (width, height) in [(160, 90), (162, 1080), (320, 180), (1280, 720), (1920, 90)] {
            let mut pattern = Pattern::new(width, height);
            for (millis, lit) in [
                (0, false),
                (99, false),
                (999, false),
                (1_000, true),
                (1_099, true),
                (1_100, false),
                (7_000, true),
                (7_999, false),
            ] {
                let elapsed = Duration::from_millis(millis);
                let picture = pattern.draw(Moment { elapsed, ..moment(30) });
                assert_eq!(flash_lit(picture.luma(), width, height), lit, "{width} at {millis}");
            }
        }
        assert!(!flash_lit(&[], 1280, 720));
        assert!(!flash_lit(&[255; 16], 4, 4));
    }

    #[test]
    fn the_time_of_day_is_shown_in_full() {
        assert_eq!(time_of_day(Wall::from_micros(86_399_999_999)), "23:59:59.999 UTC");
        assert_eq!(time_of_day(Wall::from_micros(-1)), "23:59:59.999 UTC");
    }
}
