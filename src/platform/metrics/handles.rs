//! The kinds of metrics. `N` is the number of labels, so a label that is forgotten does not compile.

use metrics::{Label, SharedString, Unit};

/// A number that only grows while the process lives.
pub struct Counter<const N: usize> {
    pub(super) name: &'static str,
    pub(super) labels: [&'static str; N],
}

/// A number that goes up and down.
pub struct Gauge<const N: usize> {
    pub(super) name: &'static str,
    pub(super) labels: [&'static str; N],
}

/// How values are spread over buckets; all of them are seconds.
pub struct Histogram<const N: usize> {
    pub(super) name: &'static str,
    pub(super) labels: [&'static str; N],
}

impl<const N: usize> Counter<N> {
    /// Counts `by` more under these values of the labels.
    pub fn add(&self, values: [SharedString; N], by: u64) {
        metrics::counter!(self.name, labels(self.labels, values)).increment(by);
    }
}

impl<const N: usize> Gauge<N> {
    pub fn set(&self, values: [SharedString; N], value: f64) {
        metrics::gauge!(self.name, labels(self.labels, values)).set(value);
    }

    /// Counts one more for as long as what it returns lives.
    #[must_use]
    pub fn hold(&self, values: [SharedString; N]) -> Held {
        let gauge = metrics::gauge!(self.name, labels(self.labels, values));
        gauge.increment(1.0);
        Held(gauge)
    }
}

impl<const N: usize> Histogram<N> {
    /// Observes so many seconds.
    pub fn observe(&self, values: [SharedString; N], took: std::time::Duration) {
        metrics::histogram!(self.name, labels(self.labels, values)).record(took.as_secs_f64());
    }
}

/// One of what a [`Gauge`] counts; dropping it counts one less.
pub struct Held(metrics::Gauge);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

fn labels<const N: usize>(names: [&'static str; N], values: [SharedString; N]) -> Vec<Label> {
    names.into_iter().zip(values).map(|(name, value)| Label::new(name, value)).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// What people are told about a metric.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    pub unit: Unit,
    pub help: &'static str,
}

impl Description {
    /// Tells the recorder. What has no labels is there from the start, at zero, so that an alarm sees its first change.
    pub(super) fn announce(&self) {
        let Self { name, kind, labels, unit, help } = *self;
        match kind {
            Kind::Counter => metrics::describe_counter!(name, unit, help),
            Kind::Gauge => metrics::describe_gauge!(name, unit, help),
            Kind::Histogram => metrics::describe_histogram!(name, unit, help),
        }
        match kind {
            Kind::Counter if labels.is_empty() => metrics::counter!(name).absolute(0),
            Kind::Gauge if labels.is_empty() => metrics::gauge!(name).set(0.0),
            _ => {}
        }
    }
}
