//! How far long work has come: a bar on a terminal, a line now and then elsewhere.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use pipepost::Progress;

use super::disarm::sentence;
use super::logging::say;

/// Fewer elements than these are over before anybody asks.
const MANY: u64 = 50;

/// Time between two lines where there is no terminal.
const PAUSE: Duration = Duration::from_secs(5);

/// Shows the progress of steps on standard error.
#[derive(Debug)]
pub(super) struct Shown {
    style: Style,
    steps: Mutex<HashMap<String, Step>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Nothing,
    Lines,
    Bar,
}

#[derive(Debug)]
enum Step {
    Bar(ProgressBar),
    Lines { begun: Instant, told: Instant },
}

impl Shown {
    /// As standard error is; nothing when quiet was asked for.
    pub(super) fn new(quiet: bool) -> Self {
        let style = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Style::Nothing,
            (false, true) => Style::Bar,
            (false, false) => Style::Lines,
        };
        Self {
            style,
            steps: Mutex::default(),
        }
    }

    pub(super) fn show(&self, progress: &Progress<'_>) {
        if self.style == Style::Nothing || progress.total.is_some_and(|total| total < MANY) {
            return;
        }
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        if !steps.contains_key(progress.place) {
            steps.insert(progress.place.to_owned(), Step::new(self.style, progress));
        }
        if let Some(step) = steps.get_mut(progress.place) {
            step.show(progress);
        }
    }

    /// Takes the bars away.
    pub(super) fn finish(&self) {
        for (_, step) in self.steps.lock().unwrap_or_else(PoisonError::into_inner).drain() {
            if let Step::Bar(bar) = step {
                bar.finish_and_clear();
            }
        }
    }
}

impl Step {
    fn new(style: Style, progress: &Progress<'_>) -> Self {
        if style == Style::Bar {
            let bar = match (progress.total, progress.read) {
                (Some(total), _) => ProgressBar::new(total),
                (None, Some((_, size))) => ProgressBar::new(size),
                (None, None) => ProgressBar::no_length(),
            };
            let template = match progress.total {
                Some(_) => "{prefix} {bar:30} {pos} of {len}, {per_sec}, {eta} left {msg}",
                None => "{prefix} {bar:30} {percent} % of the file, {eta} left {msg}",
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_prefix(sentence(progress.place));
            return Self::Bar(bar);
        }
        let now = Instant::now();
        Self::Lines { begun: now, told: now }
    }

    fn show(&mut self, progress: &Progress<'_>) {
        match self {
            Self::Bar(bar) => {
                // A bar keeps the measure that it began with.
                match (bar.length(), progress.read) {
                    (Some(length), Some((read, size))) if length == size => {
                        bar.set_position(read);
                        bar.set_message(format!("({} done, {} failed)", progress.done, progress.failed));
                    }
                    _ => {
                        bar.set_position(progress.done);
                        if progress.failed > 0 {
                            bar.set_message(format!("({} failed)", progress.failed));
                        }
                    }
                }
                if Some(progress.done) == progress.total {
                    bar.finish_and_clear();
                }
            }
            Self::Lines { begun, told } => {
                if told.elapsed() >= PAUSE && progress.total.is_none_or(|total| progress.done < total) {
                    *told = Instant::now();
                    say(&line(progress, begun.elapsed()));
                }
            }
        }
    }
}

/// One line: count, rate, time left.
fn line(progress: &Progress<'_>, elapsed: Duration) -> String {
    let Progress {
        place,
        total,
        read,
        done,
        failed,
    } = progress;
    let rate = *done as f64 / elapsed.as_secs_f64().max(0.001);
    let failed = if *failed > 0 {
        format!(", {failed} failed")
    } else {
        String::new()
    };
    let (of, left) = match (total, read) {
        (Some(total), _) => (format!(" of {total}"), Some((*total - done) as f64 / rate.max(0.001))),
        (None, Some((read, size))) => {
            let share = *read as f64 / (*size).max(1) as f64;
            let left = elapsed.as_secs_f64() * (1.0 - share) / share.max(0.001);
            (format!(" ({:.0} % of the file)", share * 100.0), Some(left))
        }
        (None, None) => (String::new(), None),
    };
    let left = left.map_or_else(String::new, |left| format!(", about {left:.0} s left"));
    format!("pipepost: {place}: {done}{of}{failed}, {rate:.1} a second{left}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_count_rate_and_time_left() {
        let progress = Progress {
            place: "branch start, step 1 (Send)",
            total: Some(300),
            read: None,
            done: 100,
            failed: 2,
        };
        assert_eq!(
            line(&progress, Duration::from_secs(10)),
            "pipepost: branch start, step 1 (Send): 100 of 300, 2 failed, 10.0 a second, about 20 s left"
        );
    }
    #[test]
    fn a_line_about_a_file_tells_its_share() {
        let progress = Progress {
            place: "step",
            total: None,
            read: Some((250, 1000)),
            done: 100,
            failed: 0,
        };
        assert_eq!(
            line(&progress, Duration::from_secs(10)),
            "pipepost: step: 100 (25 % of the file), 10.0 a second, about 30 s left"
        );
        let progress = Progress { read: None, ..progress };
        assert_eq!(
            line(&progress, Duration::from_secs(10)),
            "pipepost: step: 100, 10.0 a second"
        );
    }
}
