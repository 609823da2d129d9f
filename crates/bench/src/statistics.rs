/// Several measurements of one thing.
#[derive(Debug, Clone, Default, serde::Serialize)]
#[serde(transparent)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// From the first to the third quartile.
    pub(crate) fn spread(&self) -> (f64, f64) {
        (self.quantile(0.25), self.quantile(0.75))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Every second measurement, beginning with that one.
    pub(crate) fn every_second(&self, first: usize) -> Self {
        Self(self.0.iter().skip(first).step_by(2).copied().collect())
    }

    /// Between two measurements, in proportion.
    fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "few")]
        let (place, below) = (share * last as f64, (share * last as f64) as usize);
        #[allow(clippy::cast_precision_loss, reason = "few")]
        let part = place - below as f64;
        let at = |index: usize| sorted.get(index.min(last)).copied().unwrap_or(f64::NAN);
        at(below) * (1.0 - part) + at(below + 1) * part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_quartiles_are_as_they_are_taught() {
        let sample = |values: &[f64]| Sample(values.to_vec());
        assert_eq!(sample(&[3.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(sample(&[4.0, 1.0, 2.0, 3.0]).median(), 2.5);
        assert_eq!(sample(&[5.0, 1.0, 2.0, 4.0, 3.0]).spread(), (2.0, 4.0));
        assert_eq!(sample(&[7.0]).spread(), (7.0, 7.0));
        assert!(sample(&[]).median().is_nan());
        assert_eq!(sample(&[1.0, 2.0, 3.0]).every_second(1).median(), 2.0);
    }
}
