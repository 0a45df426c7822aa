//! A recording as SVG.
//!
//! The invariant: what is drawn takes its colours from the page, by class and by `currentColor`, and there is no blank line
//! in it: a page includes it as it is.

use std::fmt::Write as _;

use super::recording::{Bar, By, Recording, Span};

/// The size of the whole, in units that are pixels on a wide page.
const WIDTH: f64 = 720.0;
/// Left and right of the time axis: half of a label.
const MARGIN: f64 = 14.0;
/// The height of a client's row of bars, and of a bar in it.
const ROW: f64 = 11.0;
const BAR: f64 = 9.0;
/// Above the first lane: the signal's name.
const TOP: f64 = 18.0;
/// Above the bars of a lane: its name. And below them: nothing.
const NAME: f64 = 24.0;
const GAP: f64 = 8.0;
/// Below the last lane: the axis. And below that: what the marks mean.
const AXIS: f64 = 26.0;
const LEGEND: f64 = 24.0;
/// The width of a mark in the legend.
const MARK: f64 = 26.0;
/// A refused connection takes no time, and is to be seen.
const NARROWEST: f64 = 2.5;
/// Milliseconds between two labels of the axis.
const TICK: i32 = 200;

/// Draws it.
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "a string takes all that is written to it")]
pub fn draw(recording: &Recording) -> String {
    let picture = Picture::of(recording);
    let mut svg = String::new();
    picture.write(&mut svg).expect("a string takes all that is written to it");
    svg
}

struct Picture<'recording> {
    recording: &'recording Recording,
    /// What is shown of time.
    shown: Span,
    /// The height of a lane's bars.
    lane: f64,
}

/// A lane: its name, the class of its bars, whose they are, and when its process was there.
struct Lane<'recording> {
    name: String,
    class: &'static str,
    bars: Vec<&'recording Bar>,
    there: Option<Span>,
}

impl Picture<'_> {
    fn of(recording: &Recording) -> Picture<'_> {
        let shown = Span { from: recording.old.from, to: recording.new.to };
        Picture { recording, shown, lane: f64::from(recording.clients) * ROW }
    }

    fn write(&self, svg: &mut String) -> std::fmt::Result {
        let Recording { way, .. } = self.recording;
        let (name, lanes) = (way.name(), self.lanes());
        let bottom = TOP + (NAME + self.lane + GAP) * 3.0;
        writeln!(
            svg,
            "<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-labelledby=\"timeline-{name}-title timeline-{name}-desc\" \
             font-size=\"14\" fill=\"currentColor\">",
            bottom + AXIS + LEGEND
        )?;
        writeln!(svg, "<title id=\"timeline-{name}-title\">{}</title>", self.title())?;
        writeln!(svg, "<desc id=\"timeline-{name}-desc\">{}</desc>", self.description())?;
        for (index, lane) in (0_u32..).zip(&lanes) {
            self.lane(svg, lane, TOP + (NAME + self.lane + GAP) * f64::from(index))?;
        }
        if let Some(silence) = self.recording.silence() {
            // In the lane of the lost ones, where it is over, and so no request is lost.
            let (x, y) = (self.x(silence.to) + 8.0, bottom - GAP - self.lane / 2.0);
            let time = silence.to - silence.from;
            writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\">no process listened for {time:.0} ms</text>")?;
        }
        let signal = self.x(0.0);
        writeln!(
            svg,
            "<path d=\"M{signal:.1} 0V{bottom}\" stroke=\"currentColor\" stroke-width=\"1.5\" stroke-dasharray=\"5 3\"/>"
        )?;
        writeln!(svg, "<text x=\"{:.1}\" y=\"13\" font-weight=\"bold\">{}</text>", signal + 6.0, way.signal())?;
        self.axis(svg, bottom)?;
        Self::legend(svg, bottom + AXIS + LEGEND)?;
        writeln!(svg, "</svg>")
    }

    fn lanes(&self) -> [Lane<'_>; 3] {
        let Recording { bars, old, new, .. } = self.recording;
        let of = |wanted: fn(By) -> bool| -> Vec<_> { bars.iter().filter(|bar| wanted(bar.by)).collect() };
        let [by_old, by_new, lost] =
            [of(|by| by == By::Old), of(|by| by == By::New), of(|by| matches!(by, By::NobodyCut | By::NobodyRefused))];
        [
            Lane {
                name: format!("old process: {} answered", by_old.len()),
                class: "accent",
                bars: by_old,
                there: Some(*old),
            },
            Lane {
                name: format!("new process: {} answered", by_new.len()),
                class: "accent-2",
                bars: by_new,
                there: Some(*new),
            },
            Lane { name: format!("no process: {}", self.losses()), class: "lost", bars: lost, there: None },
        ]
    }

    fn lane(&self, svg: &mut String, lane: &Lane<'_>, top: f64) -> std::fmt::Result {
        let Lane { name, class, bars, there } = lane;
        writeln!(svg, "<text x=\"{MARGIN}\" y=\"{}\">{name}</text>", top + NAME - 8.0)?;
        let top = top + NAME;
        if let Some(span) = there {
            let (x, width) = self.stretch(*span);
            let height = self.lane;
            writeln!(svg, "<rect class=\"soft\" x=\"{x:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{height}\"/>")?;
        }
        writeln!(svg, "<g class=\"{class}\">")?;
        for bar in bars {
            let (x, width) = self.stretch(bar.span);
            let y = top + f64::from(bar.client) * ROW + (ROW - BAR) / 2.0;
            writeln!(svg, "<rect x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\"/>")?;
        }
        writeln!(svg, "</g>")
    }

    fn axis(&self, svg: &mut String, y: f64) -> std::fmt::Result {
        let [from, to] = [self.shown.from, self.shown.to].map(|end| self.x(end));
        writeln!(svg, "<path d=\"M{from:.1} {y}H{to:.1}\" stroke=\"currentColor\"/>")?;
        let ticks = (-100..=100).map(|tick| tick * TICK);
        for tick in ticks.filter(|tick| (self.shown.from..=self.shown.to).contains(&f64::from(*tick))) {
            let x = self.x(f64::from(tick));
            let unit = if tick == 0 { " ms" } else { "" };
            let tick = tick.to_string().replace('-', "−");
            writeln!(svg, "<path d=\"M{x:.1} {y}v5\" stroke=\"currentColor\"/>")?;
            writeln!(svg, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{tick}{unit}</text>", y + 19.0)?;
        }
        Ok(())
    }

    /// What the marks mean, in a line that ends at `bottom`.
    fn legend(svg: &mut String, bottom: f64) -> std::fmt::Result {
        for (x, class, words) in [
            (MARGIN, "accent", "a request that was answered"),
            (270.0, "lost", "one that was lost"),
            (436.0, "soft", "a process lives"),
        ] {
            let y = bottom - 4.0 - BAR;
            writeln!(svg, "<g class=\"{class}\"><path d=\"M{x} {y}h{MARK}v{BAR}h-{MARK}z\"/></g>")?;
            writeln!(svg, "<text x=\"{}\" y=\"{}\">{words}</text>", x + MARK + 6.0, bottom - 4.0)?;
        }
        writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">a row: a client</text>",
            WIDTH - MARGIN,
            bottom - 4.0
        )
    }

    /// Where a stretch of time begins on the page, and how wide it is.
    fn stretch(&self, span: Span) -> (f64, f64) {
        let x = self.x(span.from);
        (x, (self.x(span.to) - x).max(NARROWEST))
    }

    fn x(&self, time: f64) -> f64 {
        let Span { from, to } = self.shown;
        MARGIN + (time - from) / (to - from) * (WIDTH - 2.0 * MARGIN)
    }

    fn title(&self) -> String {
        let Recording { way, clients, .. } = self.recording;
        format!("{}: the requests of {clients} clients before and after {}", way.title(), way.signal())
    }

    fn description(&self) -> String {
        let recording = self.recording;
        let silence =
            recording.silence().map(|span| format!(" No process listened for {:.0} ms.", span.to - span.from));
        format!(
            "{} answered, {} lost. A bar is a request, a row a client. The old process answered {}, the new one {}; \
             of the lost ones {} were cut off and {} refused.{}",
            recording.answered(),
            recording.lost(),
            recording.count(By::Old),
            recording.count(By::New),
            recording.count(By::NobodyCut),
            recording.count(By::NobodyRefused),
            silence.unwrap_or_default(),
        )
    }

    fn losses(&self) -> String {
        let counts = [(By::NobodyCut, "cut off"), (By::NobodyRefused, "refused")];
        let counts = counts.map(|(by, what)| (self.recording.count(by), what));
        let losses: Vec<_> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        if losses.is_empty() { "0 lost".to_owned() } else { losses.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::Way;

    #[test]
    fn every_request_is_a_bar_and_the_words_count_them() {
        let bar = |client, from, to, by| Bar { client, span: Span { from, to }, by };
        let bars = vec![
            bar(0, -20.0, -5.0, By::Old),
            bar(1, -15.0, 10.0, By::Old),
            bar(0, 1.0, 1.1, By::NobodyRefused),
            bar(0, 12.0, 20.0, By::New),
        ];
        let [old, new] = [Span { from: -20.0, to: 10.0 }, Span { from: 11.0, to: 20.0 }];
        let svg = draw(&Recording { way: Way::StopStart, clients: 2, bars, old, new });
        // Two more are the processes.
        assert_eq!(svg.matches("<rect ").count(), 4 + 2, "{svg}");
        for words in
            ["3 answered, 1 lost.", "old process: 2 answered", "new process: 1 answered", "no process: 1 refused"]
        {
            assert!(svg.contains(words), "{words:?} should be in\n{svg}");
        }
        assert!(!svg.contains("\n\n"), "a blank line would end it in the middle of a page:\n{svg}");
    }
}
