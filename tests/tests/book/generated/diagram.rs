//! The lifecycle as a diagram.
//!
//! The invariant: every transition to another state is an arrow, and every arrow has all its events as words. Where
//! things are is set by hand, below; that nothing is missing or drawn in vain is checked.

use std::fmt::Write as _;

use graceful_upgrade::lifecycle::{Event, STATES, State};

use super::transitions::{event_in_short, transitions};

/// Width and height of a state's box.
const BOX: (i32, i32) = (104, 44);

/// An arrow, and where its words go: one place for each event, in the order of the table.
struct Arrow {
    from: State,
    to: State,
    path: &'static str,
    labels: &'static [Label],
}

/// Where the baseline of some words is, and which end of it.
struct Label(i32, i32, &'static str);

const START: &str = "start";
const MIDDLE: &str = "middle";
const END: &str = "end";

/// The centre of a state's box.
fn place(state: State) -> (i32, i32) {
    match state {
        State::Standby => (60, 66),
        State::Serving => (312, 66),
        State::Upgrading => (496, 176),
        State::Retiring => (698, 66),
        State::Settled => (660, 270),
        State::Stopping => (456, 360),
        State::Ended => (698, 360),
    }
}

const fn arrow(from: State, to: State, path: &'static str, labels: &'static [Label]) -> Arrow {
    Arrow { from, to, path, labels }
}

const ARROWS: [Arrow; 14] = {
    use State::{Ended, Retiring, Serving, Settled, Standby, Stopping, Upgrading};
    [
        arrow(Standby, Serving, "M112,66 H258", &[Label(186, 58, MIDDLE), Label(186, 83, MIDDLE)]),
        arrow(Standby, Stopping, "M60,88 V372 H403", &[Label(168, 364, MIDDLE)]),
        arrow(Serving, Upgrading, "M304,90 V176 H442", &[Label(374, 168, MIDDLE)]),
        arrow(Serving, Stopping, "M280,90 V348 H403", &[Label(342, 340, MIDDLE)]),
        arrow(Upgrading, Serving, "M484,153 V76 H366", &[Label(476, 120, END)]),
        arrow(Upgrading, Retiring, "M549,176 H616 V76 H645", &[Label(608, 120, END)]),
        arrow(Upgrading, Stopping, "M452,199 V337", &[Label(444, 264, END)]),
        arrow(Retiring, Serving, "M646,56 H366", &[Label(506, 48, MIDDLE)]),
        arrow(Retiring, Settled, "M690,88 V247", &[Label(682, 238, END)]),
        arrow(Retiring, Stopping, "M664,88 V214 H476 V337", &[Label(610, 206, MIDDLE)]),
        arrow(Retiring, Ended, "M726,88 V337", &[Label(734, 190, START), Label(734, 208, START)]),
        arrow(Settled, Stopping, "M608,276 H500 V337", &[Label(600, 268, END)]),
        arrow(Settled, Ended, "M680,293 V337", &[Label(672, 311, END), Label(672, 329, END)]),
        arrow(
            Stopping,
            Ended,
            "M508,360 H645",
            &[Label(577, 352, MIDDLE), Label(577, 377, MIDDLE), Label(577, 395, MIDDLE)],
        ),
    ]
};

/// What is not in the table: where a life begins, and what a frame says.
const HAND_MADE: &str = r#"<g fill="none" stroke="currentColor" stroke-width="1.5">
<path d="M60,12 V43" marker-end="url(#lifecycle-head)"/>
<path d="M312,12 V42" marker-end="url(#lifecycle-head)"/>
</g>
<circle cx="60" cy="12" r="5"/>
<circle cx="312" cy="12" r="5"/>
<text x="72" y="17">a successor</text>
<text x="324" y="17">the first generation</text>
<rect x="10" y="400" width="22" height="14" rx="4" fill="none" class="accent-line" stroke-width="3"/>
<text x="42" y="412">accepts connections</text>
"#;

/// The diagram, to be put on a page as it is.
///
/// # Panics
/// If an arrow is missing, or drawn in vain, or has another number of words than events.
pub(crate) fn diagram() -> String {
    let edges = edges();
    assert_eq!(edges.len(), ARROWS.len(), "an arrow is drawn in vain");
    let mut svg = format!(
        r#"<svg viewBox="0 0 850 422" role="img" aria-labelledby="lifecycle-title lifecycle-desc" font-family="sans-serif" font-size="14" fill="currentColor">
<title id="lifecycle-title">The life of a server that can be replaced</title>
<desc id="lifecycle-desc">{}</desc>
<defs>
<marker id="lifecycle-head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="10" markerHeight="10" orient="auto" markerUnits="userSpaceOnUse"><path d="M0,1 L9,5 L0,9 z" fill="context-stroke"/></marker>
</defs>
"#,
        description(&edges)
    );
    for (from, to, events) in &edges {
        svg += &draw_arrow(*from, *to, events);
    }
    svg.extend(STATES.map(draw_state));
    svg + HAND_MADE + "</svg>\n"
}

/// All events that lead from one state to another, in the order of the table.
fn edges() -> Vec<(State, State, Vec<Event>)> {
    let mut edges: Vec<(State, State, Vec<Event>)> = Vec::new();
    for transition in transitions().into_iter().filter(|transition| transition.from != transition.to) {
        match edges.iter_mut().find(|(from, to, _)| (*from, *to) == (transition.from, transition.to)) {
            Some((.., events)) => events.extend(transition.events),
            None => edges.push((transition.from, transition.to, transition.events)),
        }
    }
    edges
}

fn description(edges: &[(State, State, Vec<Event>)]) -> String {
    let sentence = |(from, to, events): &(State, State, Vec<Event>)| {
        let events: Vec<_> = events.iter().copied().map(event_in_short).collect();
        format!("From {from:?} to {to:?}: {}.", events.join(", or "))
    };
    edges.iter().map(sentence).collect::<Vec<_>>().join(" ")
}

fn draw_arrow(from: State, to: State, events: &[Event]) -> String {
    let arrow = ARROWS.iter().find(|arrow| (arrow.from, arrow.to) == (from, to));
    let Arrow { path, labels, .. } = arrow.unwrap_or_else(|| panic!("no arrow from {from:?} to {to:?} is drawn"));
    assert_eq!(labels.len(), events.len(), "the arrow from {from:?} to {to:?} is for {events:?}");
    let mut svg = format!(
        "<path d=\"{path}\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.5\" marker-end=\"url(#lifecycle-head)\"/>\n"
    );
    for (Label(x, y, anchor), of) in labels.iter().zip(events) {
        let _ = writeln!(svg, r#"<text x="{x}" y="{y}" text-anchor="{anchor}">{}</text>"#, event_in_short(*of));
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
