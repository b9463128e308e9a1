//! The moving landscape of the test picture: hills that pass at three speeds, a sea whose every
//! row moves on its own, a sail. What moves by whole parts is easy for an encoder, the sea is not:
//! so the picture takes the bits that a camera's would.
//!
//! Everything is prepared once; a picture is then only copies and runs of rows.

use super::picture::{Colour, Picture, round_i64, round_u8, to_i64};

/// A part of the sky or sea: from which share of its height on it has which colour.
type Gradient = [(f64, (u8, u8, u8))];

const SKY: &Gradient =
    &[(0.0, (20, 26, 64)), (0.45, (74, 56, 118)), (0.78, (206, 104, 104)), (1.0, (255, 190, 124))];
const SEA: &Gradient = &[(0.0, (226, 140, 112)), (0.25, (112, 74, 112)), (1.0, (14, 24, 56))];
/// What a chain of hills is like; lengths are shares of the picture's.
struct HillKind {
    foot: (u8, u8, u8),
    rise: f64,
    /// Widths a second.
    speed: f64,
    /// Gives the outline.
    seed: f64,
}

const HILLS: [HillKind; 3] = [
    HillKind { foot: (150, 92, 122), rise: 0.27, speed: 0.012, seed: 1.0 },
    HillKind { foot: (92, 60, 104), rise: 0.19, speed: 0.028, seed: 2.6 },
    HillKind { foot: (38, 32, 66), rise: 0.12, speed: 0.062, seed: 4.4 },
];

/// The landscape, prepared for one size of picture.
pub(super) struct Scene {
    background: Picture,
    hills: Vec<Hill>,
    sea: Vec<SeaRow>,
    horizon: usize,
    sun_x: f64,
}

impl Scene {
    /// Prepares a landscape that leaves the topmost `top` rows black.
    pub(super) fn new(width: usize, height: usize, top: usize) -> Self {
        // Even, so that what is drawn on every second row below carries its colour.
        let horizon = (top + (height - top) * 62 / 100) & !1;
        let sun_x = width as f64 * 0.7;
        let mut background = Picture::new(width, height);
        paint(&mut background, top..horizon, SKY);
        paint(&mut background, horizon..height, SEA);
        let radius = (height - top) as f64 * 0.085;
        let sun_y = horizon as f64 - radius * 2.6;
        // Outside in, each ring a little nearer to the sun's own colour than the sky behind it.
        for (grow, share) in [(2.3, 0.1), (1.8, 0.2), (1.45, 0.34), (1.2, 0.55), (1.0, 1.0)] {
            ring(&mut background, (sun_x, sun_y), radius * grow, (top..horizon, share));
        }
        let hills = HILLS.map(|kind| Hill::new(width, height - top, horizon, kind));
        let sea = (horizon..height).map(|row| SeaRow::new(&mut background, row, horizon)).collect();
        Self { background, hills: hills.into(), sea, horizon, sun_x }
    }

    /// Draws the landscape as it is `seconds` after its start; `number` only stirs the glitter.
    pub(super) fn draw(&self, picture: &mut Picture, number: u32, seconds: f64) {
        picture.copy_from(&self.background);
        for hill in &self.hills {
            hill.draw(picture, seconds);
        }
        for (index, row) in self.sea.iter().enumerate() {
            row.draw(picture.luma_row(self.horizon + index), seconds);
        }
        self.glitter(picture, number);
        self.sail(picture, seconds);
    }

    /// Short bright strokes below the sun, elsewhere in each picture.
    fn glitter(&self, picture: &mut Picture, number: u32) {
        let (depth, width) = (self.sea.len().max(1), picture.width() as f64);
        let gold = Colour::rgb(255, 214, 150);
        for index in (0..self.sea.len()).step_by(2) {
            let near = index as f64 / depth as f64;
            for stroke in 0..2_u32 {
                let dice = hash(number / 2, (index as u32) << 2 | stroke);
                let side = f64::from(dice & 0xFFFF) / 65_535.0 - 0.5;
                let length = width * (0.006 + 0.02 * near) * f64::from(dice >> 24) / 255.0;
                let centre = self.sun_x + side * width * (0.07 + 0.12 * near);
                let row = self.horizon + index;
                picture.run(row, round_i64(centre - length), round_i64(centre + length), gold);
            }
        }
    }

    fn sail(&self, picture: &mut Picture, seconds: f64) {
        let (width, height) = (picture.width() as f64, picture.height() as f64);
        let size = round_i64(height * 0.11);
        let x = round_i64((width * (0.3 + 0.02 * seconds)) % (width * 1.2) - width * 0.1);
        let deep = self.sea.len() as f64 * 0.34 + (seconds * 1.7).sin() * height * 0.004;
        let foot = to_i64(self.horizon) + round_i64(deep);
        let (white, shade) = (Colour::rgb(250, 238, 222), Colour::rgb(222, 186, 176));
        for up in 0..size {
            let Ok(row) = usize::try_from(foot - up) else { continue };
            let broad = (size - up) * 45 / 100;
            picture.run(row, x - broad, x, white);
            picture.run(row, x + size / 24 + 1, x + 1 + size / 24 + broad * 7 / 10, shade);
        }
        for down in 1..=(size / 9).max(1) {
            let (Ok(row), reach) = (usize::try_from(foot + down), size / 2 - down * 2) else {
                continue;
            };
            picture.run(row, x - reach, x + reach, Colour::rgb(44, 26, 40));
        }
    }
}

fn paint(picture: &mut Picture, rows: std::ops::Range<usize>, gradient: &Gradient) {
    let (first, count, width) = (rows.start, rows.len().max(1), to_i64(picture.width()));
    for row in rows {
        picture.run(row, 0, width, at(gradient, (row - first) as f64 / count as f64));
    }
}

/// A disc that lets the sky through, row by row.
fn ring(
    picture: &mut Picture,
    centre: (f64, f64),
    radius: f64,
    (sky, share): (std::ops::Range<usize>, f64),
) {
    for row in sky.clone() {
        let reach = radius * radius - (row as f64 - centre.1).powi(2);
        if reach > 0.0 {
            let behind = at(SKY, (row - sky.start) as f64 / sky.len() as f64);
            let colour = behind.mix(Colour::rgb(255, 240, 206), share);
            let half = reach.sqrt();
            let (left, right) = (round_i64(centre.0 - half), round_i64(centre.0 + half));
            picture.run(row, left, right, colour);
        }
    }
}

fn at(gradient: &Gradient, share: f64) -> Colour {
    let rgb = |(r, g, b): (u8, u8, u8)| Colour::rgb(r, g, b);
    let next = gradient.iter().position(|(from, _)| *from > share).unwrap_or(gradient.len() - 1);
    let ((from, low), (to, high)) = (gradient[next.max(1) - 1], gradient[next.max(1)]);
    rgb(low).mix(rgb(high), (share - from) / (to - from))
}

/// A chain of hills that repeats after twice the picture's width.
struct Hill {
    top: usize,
    period: i64,
    speed: f64,
    /// For each row from `top` on: its colour, and where the hill is.
    rows: Vec<(Colour, Vec<(i64, i64)>)>,
}

impl Hill {
    fn new(width: usize, height: usize, horizon: usize, kind: HillKind) -> Self {
        let HillKind { foot, rise, speed, seed } = kind;
        let tallest = (height as f64 * rise) as usize;
        let period = width * 2;
        let outline: Vec<f64> = (0..period)
            .map(|x| {
                // Whole numbers of waves, so that the end meets the beginning.
                let turn = x as f64 / period as f64 * std::f64::consts::TAU;
                let wave = |count: f64, share: f64| share * (turn * count + seed * count).sin();
                let sum = wave(3.0, 0.5) + wave(7.0, 0.28) + wave(13.0, 0.15) + wave(29.0, 0.07);
                (0.5 + 0.5 * sum).clamp(0.0, 1.0) * tallest as f64
            })
            .collect();
        let foot = Colour::rgb(foot.0, foot.1, foot.2);
        let rows = (0..tallest)
            .map(|row| {
                let up = (tallest - row) as f64;
                let haze = Colour::rgb(236, 150, 118);
                let colour = foot.mix(haze, 0.34 * (row as f64 / tallest as f64).powi(2));
                (colour, runs(&outline, up))
            })
            .collect();
        Self { top: horizon - tallest, period: to_i64(period), speed: width as f64 * speed, rows }
    }

    fn draw(&self, picture: &mut Picture, seconds: f64) {
        let shift = round_i64(seconds * self.speed).rem_euclid(self.period);
        for (index, (colour, runs)) in self.rows.iter().enumerate() {
            for &(left, right) in runs {
                for again in [0, self.period] {
                    let (left, right) = (left - shift + again, right - shift + again);
                    picture.run(self.top + index, left, right, *colour);
                }
            }
        }
    }
}

/// Where an outline is at least as high as `level`, as runs from left to right.
fn runs(outline: &[f64], level: f64) -> Vec<(i64, i64)> {
    let mut found = Vec::new();
    let mut open = None;
    for (x, &high) in outline.iter().chain([&-1.0]).enumerate() {
        match (high >= level, open) {
            (true, None) => open = Some(x),
            (false, Some(left)) => {
                found.push((to_i64(left), to_i64(x)));
                open = None;
            }
            _ => {}
        }
    }
    found
}

/// One row of water: twice as long as the picture is wide, and moving at a speed of its own.
struct SeaRow {
    luma: Vec<u8>,
    speed: f64,
}

impl SeaRow {
    fn new(background: &mut Picture, row: usize, horizon: usize) -> Self {
        let width = background.width();
        let base = f64::from(background.luma_row(row)[0]);
        let near = (row - horizon) as f64 / (background.height() - horizon) as f64;
        let seed = row as u32;
        let period = width * 2;
        // Waves of random length: longer and stronger the nearer they are.
        let step = 3.0 + near * width as f64 / 60.0;
        let knots = ((period as f64 / step) as usize).max(2);
        let knot =
            |index: usize| f64::from(hash(seed, (index % knots) as u32) & 0xFF) / 127.5 - 1.0;
        let luma = (0..period)
            .map(|x| {
                let place = x as f64 * knots as f64 / period as f64;
                let (index, share) = (place as usize, place.fract());
                let smooth = share * share * (3.0 - 2.0 * share);
                let wave = knot(index) * (1.0 - smooth) + knot(index + 1) * smooth;
                let grain = f64::from(hash(seed ^ 0x5EA, x as u32) & 0xF) / 7.5 - 1.0;
                round_u8(base + wave * (5.0 + 8.0 * near) + grain * 2.5).clamp(16, 235)
            })
            .collect();
        let turn = if hash(seed, 77) & 1 == 0 { 1.0 } else { -1.0 };
        let own = f64::from(hash(seed, 78) & 0xFF) / 255.0;
        Self { luma, speed: turn * width as f64 * (0.01 + 0.06 * near) * (0.4 + own) }
    }

    fn draw(&self, row: &mut [u8], seconds: f64) {
        // The row is longer than the picture by the picture's width: there and back, no seam.
        let room = self.luma.len() - row.len();
        let far = round_i64(seconds * self.speed).unsigned_abs() as usize % (2 * room).max(1);
        let shift = if far > room { 2 * room - far } else { far };
        let shift = if self.speed < 0.0 { room - shift } else { shift };
        row.copy_from_slice(&self.luma[shift..shift + row.len()]);
    }
}

/// Dice that fall the same way each time: pictures of the same number are the same.
fn hash(a: u32, b: u32) -> u32 {
    let mut x = a.wrapping_mul(0x9E37_79B9) ^ b.wrapping_mul(0x85EB_CA6B) ^ 0xC2B2_AE35;
    for shift in [16, 13, 16] {
        x = (x ^ (x >> shift)).wrapping_mul(0x7FEB_352D);
    }
    x ^ (x >> 15)
}
