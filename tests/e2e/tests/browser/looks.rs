//! How the page looks and is used: photographs of it for people, rules of accessibility, keys.

use e2e::browser::Browser;
use e2e::clip::{Clip, Shape, SoundCodec, make};
use e2e::stage::{Stage, fixture, output};
use e2e::studio::Studio;
use serde_json::Value;

use crate::support::{SOON, drawn, sound_on};

const NAMES: [&str; 4] = ["Ada", "Linus, from the balcony", "Grace", "Мира"];
const PHONE: (u32, u32) = (390, 844);
const DESKTOP: (u32, u32) = (1440, 900);

/// Four pictures that can be told apart, with sound save for the third.
fn clips(stage: &Stage) -> Vec<Clip> {
    let film = fixture("bbb.mp4").display().to_string();
    let warm = "gradients=s=640x360:r=30:c0=0xffb07c:c1=0x2a2347:nb_colors=2:seed=3";
    let sources: [&[&str]; 4] = [
        &["-stream_loop", "-1", "-i", &film],
        &["-f", "lavfi", "-i", warm],
        &["-f", "lavfi", "-i", "smptehdbars=s=640x360:r=30"],
        &["-f", "lavfi", "-i", "testsrc2=s=640x360:r=30"],
    ];
    (0..4)
        .map(|at| {
            let sound = ("0.1*sin(2000*t)*lt(mod(t,1),0.1)", SoundCodec::Opus);
            make(
                stage,
                &Shape {
                    name: &format!("clip-{at}"),
                    pictures: sources[at],
                    size: (640, 360, 30),
                    sound: (at != 2).then_some(sound),
                    group: 30,
                    seconds: 40,
                },
            )
        })
        .collect()
}

fn open(stage: &Stage, clips: &[Clip]) -> (Studio, Browser) {
    let mut studio = Studio::open();
    studio.join("Tim");
    let mut browser = Browser::start(stage);
    crate::support::open(&mut browser, &studio);
    for (clip, name) in clips.iter().zip(NAMES) {
        studio.publish(name, clip.clone(), (640, 360), SoundCodec::Opus);
    }
    drawn(&mut browser, clips.len() - 1);
    (studio, browser)
}

/// What axe-core finds that is serious or worse.
fn serious(browser: &mut Browser) -> Vec<String> {
    let path = output("npm/node_modules/axe-core/axe.min.js");
    let axe = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; cargo xtask setup fetches it", path.display())
    });
    browser.value(&format!("{axe};0"));
    let found = browser.value(
        "axe.run().then(({ violations, passes }) => [passes.length, violations
            .filter(({ impact }) => impact === 'serious' || impact === 'critical')
            .map(({ id, nodes }) => `${id}: ${nodes.map((one) => one.target).join(' ')}`)])",
    );
    assert!(found[0].as_u64() > Some(10), "axe looked at nothing: {found}");
    serde_json::from_value(found[1].clone()).expect("texts")
}

#[test]
fn it_is_photographed_with_one_two_and_four_broadcasts() {
    let stage = Stage::new();
    let clips = clips(&stage);
    for count in [1, 2, 4] {
        let (_studio, mut browser) = open(&stage, &clips[..count]);
        sound_on(&mut browser, 0);
        for (size, phone, where_) in [(PHONE, true, "phone"), (DESKTOP, false, "desktop")] {
            for scheme in ["dark", "light"] {
                browser.dress(size, phone, scheme);
                let settled = "new Promise((then) => requestAnimationFrame(() =>
                    requestAnimationFrame(() => then(document.documentElement.scrollWidth))))";
                let width = browser.value(settled);
                assert_eq!(width, size.0, "{count} at {where_}: it does not fit");
                browser.screenshot(&output(&format!("page-{count}-{where_}-{scheme}.png")));
                let found = serious(&mut browser);
                assert!(found.is_empty(), "{count}, {where_}, {scheme}: {found:?}");
            }
        }
        if count == 4 {
            browser.dress(DESKTOP, false, "dark");
            browser.press("1");
            browser.press("d");
            let rows = "document.querySelectorAll('.chosen .details div').length";
            browser.until(rows, SOON, |rows| rows.as_u64() > Some(5));
            let share = browser.value(
                "document.querySelector('.chosen').clientWidth
                    / document.querySelector('#stage').clientWidth",
            );
            assert!(share.as_f64() > Some(0.7), "the large one has {share} of the width");
            browser.screenshot(&output("page-4-large.png"));
            assert_eq!(serious(&mut browser), [""; 0]);
        }
    }
}

#[test]
fn axe_sees_what_it_should() {
    let stage = Stage::shared();
    let studio = Studio::open();
    let mut browser = Browser::start(&stage);
    crate::support::open(&mut browser, &studio);
    browser.value("document.querySelector('#help-button').replaceChildren(), document.querySelector('#help-button').title = ''");
    let found = serious(&mut browser);
    assert!(found.iter().any(|one| one.starts_with("button-name")), "{found:?}");
}

#[test]
fn it_is_used_with_the_keyboard_alone() {
    let stage = Stage::shared();
    let clip = clips(&stage).swap_remove(0);
    let (_studio, mut browser) = open(&stage, &[clip.clone(), clip]);
    let chosen = "document.querySelectorAll('.tile.chosen').length";
    browser.press("2");
    browser.until(chosen, SOON, |count| *count == 1);
    browser.press("Escape");
    browser.until(chosen, SOON, |count| *count == 0);
    browser.press("?");
    browser.until("document.querySelector('#help').open", SOON, |open| open == true);
    browser.press("Escape");
    browser.until("document.querySelector('#help').open", SOON, |open| open == false);
    let theme = "document.documentElement.dataset.theme ?? ''";
    browser.press("t");
    let first = browser.until(theme, SOON, |theme| theme != "");
    browser.press("t");
    browser.until(theme, SOON, |theme| *theme != first);
    browser.press("p");
    let people = "getComputedStyle(document.querySelector('aside')).display";
    browser.until(people, SOON, |display| display == "none");
    browser.press("p");
    browser.press("f");
    browser.until("document.fullscreenElement?.id ?? ''", SOON, |id| id == "stage");
    browser.press("f");
    browser.until("document.fullscreenElement === null", SOON, |none| none == true);
    // Every control is come to by Tab, and is seen to be.
    let mut seen = Vec::new();
    for _ in 0..14 {
        browser.press("Tab");
        let here = browser.value(
            "(() => {
                const { activeElement: it } = document;
                const { outlineStyle, outlineWidth } = getComputedStyle(it);
                const { opacity } = getComputedStyle(it.closest('.controls') ?? it);
                return { name: it.id || it.className, outline: `${outlineStyle} ${outlineWidth}`, opacity };
            })()",
        );
        seen.push(here);
    }
    let named = |name: &str| seen.iter().find(|here| here["name"] == name).cloned();
    for name in ["all-sound", "details", "theme", "mute", "volume", "large", "full"] {
        let here = named(name).unwrap_or_else(|| panic!("no Tab leads to {name}: {seen:?}"));
        assert_eq!(here["outline"], "solid 3px", "{name}");
    }
    assert!(seen.iter().all(|here| here != &Value::Null));
}
