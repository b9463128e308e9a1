//! One picture in I420, and the few strokes that the test picture is drawn with.
//!
//! Strokes are cut at the edges of the picture. All of them work by whole runs of a row: the test
//! picture must cost next to nothing in a build without optimisation too.

use openh264::formats::YUVSource;

/// A colour as the encoder sees it (BT.709, limited range).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Colour {
    pub(super) y: u8,
    pub(super) u: u8,
    pub(super) v: u8,
}

impl Colour {
    /// From red, green and blue as screens mean them.
    pub(super) fn rgb(red: u8, green: u8, blue: u8) -> Self {
        let (r, g, b) = (f64::from(red), f64::from(green), f64::from(blue));
        let luma = 0.2126 * r + 0.7152 * g + 0.0722 * b;
        Self {
            y: round_u8(16.0 + luma * 219.0 / 255.0),
            u: round_u8(128.0 + (b - luma) / 1.8556 * 224.0 / 255.0),
            v: round_u8(128.0 + (r - luma) / 1.5748 * 224.0 / 255.0),
        }
    }

    /// Between two colours; 0 is `self`, 1 is `other`.
    pub(super) fn mix(self, other: Self, share: f64) -> Self {
        let mix = |a: u8, b: u8| {
            let value = f64::from(a) + (f64::from(b) - f64::from(a)) * share.clamp(0.0, 1.0);
            round_u8(value)
        };
        Self { y: mix(self.y, other.y), u: mix(self.u, other.u), v: mix(self.v, other.v) }
    }
}

/// Rounds and clamps to a byte.
pub(super) fn round_u8(value: f64) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

/// A picture in I420 without padding: full resolution luma, half resolution colour.
#[derive(Clone, Debug)]
pub struct Picture {
    width: usize,
    height: usize,
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
}

impl Picture {
    /// A black picture; odd sizes are rounded up to even ones.
    pub fn new(width: usize, height: usize) -> Self {
        let (width, height) = (width.next_multiple_of(2), height.next_multiple_of(2));
        let colour = vec![128; width * height / 4];
        Self { width, height, y: vec![16; width * height], u: colour.clone(), v: colour }
    }

    /// Width in pixels, even.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels, even.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The luma plane, `width` bytes a row.
    pub fn luma(&self) -> &[u8] {
        &self.y
    }

    pub(super) fn luma_mut(&mut self) -> &mut [u8] {
        &mut self.y
    }

    /// Makes this picture equal to one of the same size.
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.y.copy_from_slice(&other.y);
        self.u.copy_from_slice(&other.u);
        self.v.copy_from_slice(&other.v);
    }

    /// The luma of one row.
    pub(super) fn luma_row(&mut self, row: usize) -> &mut [u8] {
        &mut self.y[row * self.width..(row + 1) * self.width]
    }

    /// Both colour values of one luma row's pair, as long as half a row.
    pub(super) fn colour_row(&mut self, row: usize) -> (&mut [u8], &mut [u8]) {
        let (half, start) = (self.width / 2, row / 2 * (self.width / 2));
        (&mut self.u[start..start + half], &mut self.v[start..start + half])
    }

    /// Paints the pixels `left..right` of a row. Even rows paint the colour of their pair too.
    pub(super) fn run(&mut self, row: usize, left: i64, right: i64, colour: Colour) {
        let width = self.width;
        let clip = |x: i64| usize::try_from(x).unwrap_or(0).min(width);
        let (left, right) = (clip(left), clip(right));
        if row >= self.height || left >= right {
            return;
        }
        self.luma_row(row)[left..right].fill(colour.y);
        if row.is_multiple_of(2) {
            let (u, v) = self.colour_row(row);
            u[left / 2..right.div_ceil(2)].fill(colour.u);
            v[left / 2..right.div_ceil(2)].fill(colour.v);
        }
    }

    /// Paints a rectangle.
    pub(super) fn rect(&mut self, corner: (usize, usize), size: (usize, usize), colour: Colour) {
        let (left, right) = (to_i64(corner.0), to_i64(corner.0 + size.0));
        for row in corner.1..corner.1 + size.1 {
            self.run(row, left, right, colour);
        }
    }

    /// Paints a disc.
    pub(super) fn disc(&mut self, centre: (f64, f64), radius: f64, colour: Colour) {
        let first = round_i64(centre.1 - radius).max(0);
        for row in first..=round_i64(centre.1 + radius) {
            let reach = radius * radius - (row as f64 - centre.1).powi(2);
            if let (Ok(row), true) = (usize::try_from(row), reach > 0.0) {
                let half = reach.sqrt();
                self.run(row, round_i64(centre.0 - half), round_i64(centre.0 + half), colour);
            }
        }
    }
}

/// Rounds to a whole pixel; positions are far below what this could lose.
pub(super) fn round_i64(value: f64) -> i64 {
    value.round() as i64
}

pub(super) fn to_i64(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl YUVSource for Picture {
    fn dimensions(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    fn strides(&self) -> (usize, usize, usize) {
        (self.width, self.width / 2, self.width / 2)
    }

    fn y(&self) -> &[u8] {
        &self.y
    }

    fn u(&self) -> &[u8] {
        &self.u
    }

    fn v(&self) -> &[u8] {
        &self.v
    }
}
