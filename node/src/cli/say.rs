//! What people read: answers on standard output, everything else on standard error.

use std::io::Write;

/// One line on standard output. A closed one (`| head`) is no error of ours.
pub(super) fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// A line for people, on standard error.
pub(super) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Text of somebody else, made harmless for a terminal: control and direction characters are
/// written out.
pub(super) fn escaped(text: &str) -> String {
    let harmless = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    text.chars()
        .map(|c| if harmless(c) { c.to_string() } else { c.escape_unicode().to_string() })
        .collect()
}

/// The QR code of `text` for a terminal, two modules a character, with its quiet zone; `None` where
/// it does not fit.
pub(super) fn qr_code(text: &str) -> Option<String> {
    use qrcode::render::unicode::Dense1x2;
    let code = [qrcode::EcLevel::M, qrcode::EcLevel::L]
        .into_iter()
        .filter_map(|level| qrcode::QrCode::with_error_correction_level(text, level).ok())
        // With four modules of quiet zone on both sides it must fit 80 columns.
        .find(|code| code.width() + 8 <= 80)?;
    let image = code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .quiet_zone(true)
        .build();
    Some(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_move_the_cursor_or_turn_the_line_around() {
        assert_eq!(escaped("Ann\u{1b}[2J\u{202e}x"), "Ann\\u{1b}[2J\\u{202e}x");
        assert_eq!(escaped("Zoë 🎥"), "Zoë 🎥");
    }

    #[test]
    fn the_longest_link_fits_eighty_columns() {
        let link =
            format!("roommate:{}", "A".repeat(roommate_protocol::limits::INVITE_CHARS_MAX - 9));
        let code = qr_code(&link).unwrap();
        assert!(code.lines().all(|line| line.chars().count() <= 80));
    }
}
