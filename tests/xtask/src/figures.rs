//! What a demo's summary must show in a release build: read from its one line of JSON, without a
//! library, so that this program is there in seconds.

/// Of what was published, this part reaches every viewer.
const RECEIVED_MIN: f64 = 0.995;
/// Capture to ready, 99 of 100 pictures, in milliseconds.
const P99_MS_MAX: f64 = 100.0;
/// From the beginning to the first picture, in milliseconds.
const FIRST_PICTURE_MS_MAX: f64 = 1_000.0;

/// A line for each viewer; the error is the same lines, each fault named.
pub(crate) fn judge(summary: &str) -> Result<Vec<String>, Vec<String>> {
    let Some((head, viewers)) = parts(summary) else {
        return Err(vec!["the summary tells of no publisher and viewers".to_owned()]);
    };
    let published = number(head, "access_units").unwrap_or(0.0);
    let mut lines = vec![format!("published {published} access units")];
    let mut good = published > 0.0 && !viewers.is_empty();
    for (index, viewer) in viewers.iter().enumerate() {
        let told = |name| number(viewer, name).unwrap_or(f64::NAN);
        let latency = viewer.split_once(r#""latency_ms":{"#).map_or("", |(_, rest)| rest);
        let ms = |name| number(latency, name).unwrap_or(f64::NAN);
        let (received, stalls) = (told("received"), told("stalls"));
        let (first, p99) = (told("first_picture_ms"), ms("p99"));
        let mut line = format!(
            "viewer {}: {received} received, {} gaps, {stalls} stalls, first picture after {first} \
             ms, capture to ready p50 {} p99 {p99} max {} ms ± {} ms",
            index + 1,
            told("gaps"),
            ms("p50"),
            ms("max"),
            told("clock_error_ms"),
        );
        for (holds, fault) in [
            (received >= RECEIVED_MIN * published, "too few received"),
            (stalls == 0.0, "stalled"),
            (first <= FIRST_PICTURE_MS_MAX, "the first picture came late"),
            (p99 <= P99_MS_MAX, "p99 is too high"),
        ] {
            // What is not told does not hold.
            if !holds {
                good = false;
                line.push_str(&format!(" — {fault}"));
            }
        }
        lines.push(line);
    }
    lines.push(format!(
        "bounds: {} % received, 0 stalls, first picture {FIRST_PICTURE_MS_MAX} ms, p99 {P99_MS_MAX} ms",
        RECEIVED_MIN * 100.0
    ));
    if good { Ok(lines) } else { Err(lines) }
}

/// What stands in the object of the publisher, and in those of the viewers.
fn parts(summary: &str) -> Option<(&str, Vec<&str>)> {
    let (_, publisher) = summary.split_once(r#""publisher":{"#)?;
    let (_, viewers) = summary.split_once(r#""viewers":["#)?;
    Some((inside(publisher), objects(viewers)))
}

/// The objects of a list, from behind its opening bracket. Names of people may hold brackets, but
/// those of a demo do not.
fn objects(list: &str) -> Vec<&str> {
    let (mut found, mut rest) = (Vec::new(), list);
    while let Some(object) = rest.trim_start_matches(',').strip_prefix('{') {
        let object = inside(object);
        found.push(object);
        rest = rest.split_once(object).map_or("", |(_, rest)| rest.trim_start_matches('}'));
    }
    found
}

/// Up to the brace that closes what was opened before.
fn inside(text: &str) -> &str {
    let mut depth = 1_u32;
    let end = text.find(|c| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    &text[..end.unwrap_or(text.len())]
}

/// The first number of that name.
fn number(text: &str, name: &str) -> Option<f64> {
    let (_, rest) = text.split_once(&format!("\"{name}\":"))?;
    rest.split([',', '}', ']']).next()?.trim().parse().ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const SUMMARY: &str = r#"{"bootstrap":{"media_bytes":0},"publisher":{"access_units":300,"children":[{"peer":"a","sent":300}],"encode_ms":{"p50":5.0,"p99":900.0}},"role":"demo","summary":true,"t":10.5,"viewers":[{"clock_error_ms":0.3,"first_picture_ms":31.0,"gaps":0,"latency_ms":{"max":40.1,"p50":20.5,"p99":31.2},"members":[{"name":"x"}],"received":300,"stalls":0},{"clock_error_ms":0.3,"first_picture_ms":35.0,"gaps":0,"latency_ms":{"max":41.1,"p50":20.5,"p99":30.2},"members":[],"received":299,"stalls":0}]}"#;

    #[test]
    fn a_good_demo_is_told_viewer_by_viewer() {
        let lines = judge(SUMMARY).unwrap();
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert_eq!(lines[0], "published 300 access units");
        assert!(lines[1].contains("300 received, 0 gaps, 0 stalls, first picture after 31 ms"));
        assert!(lines[2].starts_with("viewer 2: 299 received") && lines[2].contains("p99 30.2"));
    }

    #[test]
    fn each_bound_can_be_broken() {
        for (good, bad, fault) in [
            (r#""received":299"#, r#""received":298"#, "too few received"),
            (r#""stalls":0"#, r#""stalls":1"#, "stalled"),
            (r#""first_picture_ms":35.0"#, r#""first_picture_ms":1000.5"#, "first picture"),
            (r#""p99":30.2"#, r#""p99":100.5"#, "p99 is too high"),
            (r#""first_picture_ms":35.0"#, r#""first_picture_ms":null"#, "first picture"),
            (r#""latency_ms":{"max":41.1"#, r#""other":{"max":41.1"#, "p99 is too high"),
        ] {
            let told = judge(&SUMMARY.replace(good, bad)).unwrap_err().join("\n");
            assert!(told.contains(fault), "{fault}: {told}");
        }
        assert!(judge(&SUMMARY.replace("300,\"children", "0,\"children")).is_err());
        assert!(judge("{}").is_err());
        assert!(judge(r#"{"publisher":{"access_units":3},"viewers":[]}"#).is_err());
    }
}
