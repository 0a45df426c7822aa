//! The lifecycle as a diagram.
//!
//! The invariant: every transition to another state is an arrow, and every arrow has all its cases as words. Where
//! things are is set by hand, below; that nothing is missing or drawn in vain is checked.

use std::fmt::Write as _;

use graceful_upgrade::lifecycle::{STATES, State};

use super::transitions::{Case, transitions};

/// Width and height of a state's box.
const BOX: (i32, i32) = (104, 44);

/// An arrow, and where its words go: one place for each case, in the order of the table.
struct Arrow {
    from: State,
    to: State,
    path: &'static str,
    labels: &'static [Label],
}

/// Where the baseline of some words is: x, y, and which point of the words is there.
struct Label(i32, i32, &'static str);

const START: &str = "start";
const MIDDLE: &str = "middle";
const END: &str = "end";

/// The centre of a state's box.
fn place(state: State) -> (i32, i32) {
    match state {
        State::Standby => (60, 66),
        State::Called => (60, 270),
        State::Serving => (312, 66),
        State::Upgrading => (496, 176),
        State::Retiring => (698, 66),
        State::Committed => (660, 262),
        State::Stopping => (456, 380),
        State::Ended => (698, 380),
    }
}

const fn arrow(from: State, to: State, path: &'static str, labels: &'static [Label]) -> Arrow {
    Arrow { from, to, path, labels }
}

const ARROWS: [Arrow; 18] = {
    use State::{Called, Committed, Ended, Retiring, Serving, Standby, Stopping, Upgrading};
    const TO_THE_END: &[Label] =
        &[Label(734, 154, START), Label(734, 172, START), Label(734, 190, START), Label(734, 208, START)];
    [
        arrow(Standby, Called, "M60,88 V247", &[Label(68, 170, START)]),
        arrow(Standby, Ended, "M8,66 H4 V462 H712 V403", &[Label(420, 477, MIDDLE)]),
        arrow(Standby, Serving, "M112,66 H258", &[Label(186, 58, MIDDLE), Label(186, 83, MIDDLE)]),
        arrow(Called, Ended, "M40,292 V452 H698 V403", &[Label(300, 446, MIDDLE)]),
        arrow(Called, Stopping, "M60,292 V392 H403", &[Label(190, 384, MIDDLE), Label(190, 409, MIDDLE)]),
        arrow(Serving, Upgrading, "M304,90 V176 H442", &[Label(374, 168, MIDDLE)]),
        arrow(Serving, Stopping, "M280,90 V368 H403", &[Label(342, 360, MIDDLE)]),
        arrow(Serving, Committed, "M350,43 V20 H880 V262 H715", &[Label(600, 15, MIDDLE)]),
        arrow(Upgrading, Stopping, "M452,199 V357", &[Label(444, 264, END)]),
        arrow(Upgrading, Retiring, "M549,176 H616 V76 H645", &[Label(608, 120, END)]),
        arrow(Upgrading, Serving, "M484,153 V76 H366", &[Label(476, 112, END), Label(476, 130, END)]),
        arrow(Retiring, Stopping, "M664,88 V214 H476 V357", &[Label(610, 206, MIDDLE)]),
        arrow(Retiring, Ended, "M726,88 V357", TO_THE_END),
        arrow(Retiring, Committed, "M690,88 V239", &[Label(682, 230, END)]),
        arrow(Retiring, Serving, "M646,56 H366", &[Label(506, 48, MIDDLE)]),
        arrow(Committed, Stopping, "M608,268 H500 V357", &[Label(600, 260, END)]),
        arrow(Committed, Ended, "M680,285 V357", &[Label(672, 305, END), Label(672, 323, END), Label(672, 341, END)]),
        arrow(
            Stopping,
            Ended,
            "M508,380 H645",
            &[Label(577, 372, MIDDLE), Label(577, 397, MIDDLE), Label(577, 415, MIDDLE), Label(577, 433, MIDDLE)],
        ),
    ]
};

/// What is not in the table: where a life begins, and what a frame says.
const HAND_MADE: &str = r#"<path d="M60,12 V43" fill="none" stroke="currentColor" stroke-width="1.5" marker-end="url(#lifecycle-head)"/>
<circle cx="60" cy="12" r="5"/>
<text x="72" y="17">every process; the first one is activated at once</text>
<rect x="10" y="468" width="22" height="14" rx="4" fill="none" class="accent-line" stroke-width="3"/>
<text x="42" y="480">accepts connections</text>
"#;

/// The diagram, to be put on a page as it is.
///
/// # Panics
/// If an arrow is missing, or drawn in vain, or has another number of words than cases.
pub(crate) fn diagram() -> String {
    let edges = edges();
    assert_eq!(edges.len(), ARROWS.len(), "an arrow is drawn in vain");
    let mut svg = format!(
        r#"<svg viewBox="0 0 900 490" role="img" aria-labelledby="lifecycle-title lifecycle-desc" font-family="sans-serif" font-size="14" fill="currentColor">
<title id="lifecycle-title">The life of a server that can be replaced</title>
<desc id="lifecycle-desc">{}</desc>
<defs>
<marker id="lifecycle-head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="10" markerHeight="10" orient="auto" markerUnits="userSpaceOnUse"><path d="M0,1 L9,5 L0,9 z" fill="context-stroke"/></marker>
</defs>
"#,
        description(&edges)
    );
    for (from, to, cases) in &edges {
        svg += &draw_arrow(*from, *to, cases);
    }
    svg.extend(STATES.map(draw_state));
    svg + HAND_MADE + "</svg>\n"
}

type Edge = (State, State, Vec<Case>);

/// All cases that lead from one state to another, in the order of the table.
fn edges() -> Vec<Edge> {
    let mut edges: Vec<Edge> = Vec::new();
    for transition in transitions().into_iter().filter(|transition| transition.from != transition.to) {
        let known = edges.iter().position(|(from, to, _)| (*from, *to) == (transition.from, transition.to));
        let index = known.unwrap_or(edges.len());
        if known.is_none() {
            edges.push((transition.from, transition.to, Vec::new()));
        }
        for case in transition.cases {
            // What differs in the table alone has one place beside an arrow.
            if edges[index].2.iter().all(|known| known.in_short != case.in_short) {
                edges[index].2.push(case);
            }
        }
    }
    edges
}

fn description(edges: &[Edge]) -> String {
    let sentence = |(from, to, cases): &Edge| {
        let cases: Vec<_> = cases.iter().map(|case| case.in_short).collect();
        format!("From {from:?} to {to:?}: {}.", cases.join(", or "))
    };
    edges.iter().map(sentence).collect::<Vec<_>>().join(" ")
}

fn draw_arrow(from: State, to: State, cases: &[Case]) -> String {
    let arrow = ARROWS.iter().find(|arrow| (arrow.from, arrow.to) == (from, to));
    let Arrow { path, labels, .. } = arrow.unwrap_or_else(|| panic!("no arrow from {from:?} to {to:?} is drawn"));
    let words: Vec<_> = cases.iter().map(|case| case.in_short).collect();
    assert_eq!(labels.len(), cases.len(), "the arrow from {from:?} to {to:?} is for {words:?}");
    let mut svg = format!(
        "<path d=\"{path}\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.5\" marker-end=\"url(#lifecycle-head)\"/>\n"
    );
    for (Label(x, y, anchor), words) in labels.iter().zip(words) {
        let _ = writeln!(svg, r#"<text x="{x}" y="{y}" text-anchor="{anchor}">{words}</text>"#);
    }
    svg
}

fn draw_state(state: State) -> String {
    let ((x, y), (width, height)) = (place(state), BOX);
    let frame = match state {
        State::Serving | State::Upgrading => r#"class="soft accent-line" stroke-width="3""#,
        _ => r#"class="soft" stroke="currentColor" stroke-width="1.5""#,
    };
    let (left, top) = (x - width / 2, y - height / 2);
    format!(
        r#"<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="8" {frame}/>
<text x="{x}" y="{}" text-anchor="middle" font-weight="bold">{state:?}</text>
"#,
        y + 5
    )
}
