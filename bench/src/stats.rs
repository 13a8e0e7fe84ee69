//! Medians and their spread.

/// The middle of some figures, and how far they lie apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// None of no figures.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let middle = figures.len() / 2;
        let upper = *figures.get(middle)?;
        let median = if figures.len().is_multiple_of(2) {
            f64::midpoint(figures[middle - 1], upper)
        } else {
            upper
        };
        Some(Self {
            median,
            least: *figures.first()?,
            most: *figures.last()?,
        })
    }
}

/// A figure with as many digits as tell something.
pub(crate) fn short(figure: f64) -> String {
    if figure >= 1000.0 {
        let whole = format!("{:.0}", (figure / 10.0).round() * 10.0);
        let (head, tail) = whole.split_at(whole.len() - 3);
        format!("{head} {tail}")
    } else if figure >= 100.0 {
        format!("{figure:.0}")
    } else if figure >= 10.0 {
        format!("{figure:.1}")
    } else {
        format!("{figure:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]).expect("figures");
        assert_eq!((spread.median, spread.least, spread.most), (2.5, 1.0, 4.0));
        assert!(Spread::of([]).is_none());
    }

    #[test]
    fn figures_are_short() {
        assert_eq!(
            [0.123, 4.0, 45.67, 456.7, 12_345.6].map(short),
            ["0.12", "4.00", "45.7", "457", "12 350"]
        );
    }
}
