//! Pictures of data as SVG: an x and a y axis with what is drawn between them.

use std::fmt::Write as _;

use super::html::escaped;

/// Room for the labels of the y axis, and of the x axis.
const LEFT: f64 = 56.0;
const BELOW: f64 = 44.0;
/// Room at the other sides.
const EDGE: f64 = 12.0;

/// One axis: what it counts and from where to where.
pub(super) struct Axis {
    label: String,
    low: f64,
    high: f64,
    /// Where it is marked, and how.
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// Shares from 0 to `high`, at most 1, as percentages.
    pub(super) fn share(label: &str, high: f64) -> Self {
        let mut axis = Self::from(label, 0.0, high.clamp(0.001, 1.0));
        axis.ticks.iter_mut().for_each(|(at, text)| *text = format!("{:.0} %", *at * 100.0));
        if axis.high < 0.05 {
            axis.ticks.iter_mut().for_each(|(at, text)| *text = format!("{:.1} %", *at * 100.0));
        }
        axis
    }

    /// Numbers from `low` to `high`, widened to round ones.
    pub(super) fn from(label: &str, low: f64, high: f64) -> Self {
        let step = round_step((high - low) / 5.0);
        let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
        let ticks = (first as i64..=last as i64).map(|tick| tick as f64 * step);
        let decimals = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
        let ticks = ticks.map(|at| (at, format!("{at:.decimals$}"))).collect();
        Self { label: label.to_owned(), low: first * step, high: last * step, ticks }
    }

    /// An axis without marks.
    pub(super) fn unmarked(label: &str, low: f64, high: f64) -> Self {
        Self { label: label.to_owned(), low, high, ticks: Vec::new() }
    }

    /// The place of a value, 0 at the low end and 1 at the high end.
    fn place(&self, value: f64) -> f64 {
        let place = (value - self.low) / (self.high - self.low);
        if place.is_finite() { place.clamp(-0.02, 1.02) } else { 0.0 }
    }
}

/// 1, 2 or 5 times a power of ten, not below `least`.
fn round_step(least: f64) -> f64 {
    if !least.is_finite() || least <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * power).find(|step| *step >= least * 0.999).unwrap_or(least)
}

/// A picture in the making. Classes name colours of the page's style.
pub(super) struct Plot {
    alternative: String,
    width: f64,
    height: f64,
    x: Axis,
    y: Axis,
    drawn: String,
}

impl Plot {
    /// An empty picture; `alternative` says in words what it shows.
    pub(super) fn new(alternative: &str, (width, height): (f64, f64), x: Axis, y: Axis) -> Self {
        Self { alternative: alternative.to_owned(), width, height, x, y, drawn: String::new() }
    }

    fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let across = LEFT + self.x.place(x) * (self.width - LEFT - EDGE);
        let down = EDGE + (1.0 - self.y.place(y)) * (self.height - EDGE - BELOW);
        (across, down)
    }

    fn path(&self, points: &[(f64, f64)]) -> String {
        let places = points.iter().map(|point| self.at(*point));
        places.map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ")
    }

    /// A line through points.
    pub(super) fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        let path = self.path(points);
        let _written = writeln!(self.drawn, "<polyline class=\"{class}\" points=\"{path}\"/>");
    }

    /// A filled outline.
    pub(super) fn area(&mut self, class: &str, points: &[(f64, f64)]) {
        let path = self.path(points);
        let _written = writeln!(self.drawn, "<polygon class=\"{class}\" points=\"{path}\"/>");
    }

    /// A point with a radius in pixels, and what it says when it is pointed at.
    pub(super) fn dot(&mut self, class: &str, point: (f64, f64), radius: f64, says: &str) {
        let (x, y) = self.at(point);
        let says = if says.is_empty() { String::new() } else { format!("<title>{}</title>", escaped(says)) };
        let _written = writeln!(
            self.drawn,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\">{says}</circle>"
        );
    }

    /// A bar between two values of x, from the low end of y.
    pub(super) fn bar(&mut self, class: &str, (from, to): (f64, f64), height: f64) {
        let ((left, top), (right, foot)) = (self.at((from, height)), self.at((to, self.y.low)));
        let (width, height) = ((right - left - 1.0).max(0.5), (foot - top).max(0.0));
        let _written = writeln!(
            self.drawn,
            "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        );
    }

    /// Words at a point.
    pub(super) fn name(&mut self, point: (f64, f64), anchor: &str, text: &str) {
        let (x, y) = self.at(point);
        let text = escaped(text);
        let _written = writeln!(
            self.drawn,
            "<text class=\"name\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{text}</text>",
            y + 4.0
        );
    }

    /// The picture.
    pub(super) fn finish(self) -> String {
        let (width, height) = (self.width, self.height);
        let alternative = escaped(&self.alternative);
        let mut svg = format!(
            "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{alternative}\">\n<title>{alternative}</title>\n"
        );
        for (at, text) in &self.y.ticks {
            let (x, y) = self.at((self.x.low, *at));
            let (end, _) = self.at((self.x.high, *at));
            let text = escaped(text);
            let _written = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{end:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                x - 6.0,
                y + 4.0
            );
        }
        for (at, text) in &self.x.ticks {
            let (x, y) = self.at((*at, self.y.low));
            let text = escaped(text);
            let _written =
                writeln!(svg, "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>", y + 17.0);
        }
        let middle = LEFT + (width - LEFT - EDGE) / 2.0;
        let _written = writeln!(
            svg,
            "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            height - 6.0,
            escaped(&self.x.label)
        );
        let down = EDGE + (height - EDGE - BELOW) / 2.0;
        let _written = writeln!(
            svg,
            "<text transform=\"translate(13 {down:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            escaped(&self.y.label)
        );
        svg + &self.drawn + "</svg>\n"
    }
}

/// Two rows of shares as small bars side by side, the first pale.
pub(super) fn pairs(alternative: &str, first: &[f64], second: &[f64]) -> String {
    let alternative = escaped(alternative);
    let mut svg = format!(
        "<svg class=\"spark\" viewBox=\"0 0 130 30\" role=\"img\" aria-label=\"{alternative}\"><title>{alternative}</title>"
    );
    let highest = first.iter().chain(second).copied().fold(1e-9, f64::max);
    let wide = 130.0 / first.len().max(1) as f64;
    for (at, (first, second)) in first.iter().zip(second).enumerate() {
        for (class, offset, share) in [("pale", 0.0, first), ("main", 0.45, second)] {
            let (x, high) = ((at as f64 + offset) * wide, 30.0 * share.max(0.0) / highest);
            let _written = write!(
                svg,
                "<rect class=\"{class}\" stroke-width=\"0\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{high:.1}\"/>",
                30.0 - high,
                wide * 0.42
            );
        }
    }
    svg + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_marked_at_round_numbers_around_what_they_hold() {
        let marks = |low, high| {
            let ticks = Axis::from("", low, high).ticks;
            ticks.into_iter().map(|tick| tick.1).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(marks(0.0, 1.0), "0.0 0.2 0.4 0.6 0.8 1.0");
        assert_eq!(marks(-0.3, 4.1), "-1 0 1 2 3 4 5");
        assert_eq!(marks(0.0, 0.0), "0");
        let shares = Axis::share("", 0.63).ticks.into_iter().map(|tick| tick.1).collect::<Vec<_>>();
        assert_eq!(shares, ["0 %", "20 %", "40 %", "60 %", "80 %"]);
    }

    #[test]
    fn no_number_that_is_none_gets_into_a_picture() {
        let mut plot =
            Plot::new("a <b>", (400.0, 300.0), Axis::from("x", 0.0, 0.0), Axis::from("y", f64::NAN, f64::NAN));
        plot.line("main", &[(f64::NAN, 1.0), (0.0, f64::INFINITY)]);
        plot.dot("main", (0.0, f64::NAN), 3.0, "<i>");
        plot.bar("main", (0.0, f64::NAN), 2.0);
        plot.name((0.0, 0.0), "middle", "<u>");
        let svg = plot.finish() + &pairs("<", &[0.0, f64::NAN], &[0.0, 0.0]);
        assert!(
            !svg.contains("NaN\"") && !svg.contains("inf") && !svg.contains("<u>") && !svg.contains("<i>"),
            "{svg}"
        );
    }
}
