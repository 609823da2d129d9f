use fastrand::Rng;

use super::{
    fault::{BEFORE_LOADS, BETWEEN_LOADS, DURING_LOADS, Fault},
    scene::Scene,
};

/// The faults of a round, in their order.
pub(super) struct Script {
    /// Before the first load.
    pub(super) before: Option<Strike>,
    /// During loads.
    pub(super) during: Vec<Strike>,
    /// After the two loads.
    pub(super) between: Vec<Strike>,
}

/// A fault and its moment.
#[derive(Clone, Copy)]
pub(super) struct Strike {
    pub(super) fault: Fault,
    /// After what share of the time that a load takes, counted from the strike before or from the start of the load.
    pub(super) after: f64,
    seed: u64,
}

/// The share of a load's time between two faults, at most.
const PAUSE: f64 = 0.4;

impl Script {
    /// Draws a script that is possible in a scene, with so many faults at most.
    pub(super) fn draw(scene: &Scene<'_>, most: usize, dice: &mut Rng) -> Self {
        let mut left = most;
        let mut take = |wanted: usize| {
            let taken = wanted.min(left);
            left -= taken;
            taken
        };
        let of_kinds = |kinds: &[Fault], count: usize, dice: &mut Rng| -> Vec<Strike> {
            let possible: Vec<Fault> = kinds.iter().copied().filter(|fault| (fault.is_possible)(scene)).collect();
            (0..count).map(|_| Strike::draw(*dice.choice(&possible).unwrap(), dice)).collect()
        };
        let is_provisioned = (BEFORE_LOADS.is_possible)(scene);
        let before = (is_provisioned && take(1) == 1).then(|| Strike::draw(BEFORE_LOADS, dice));
        let (during, between) = (dice.usize(8..=14), dice.usize(1..=2));
        let during = of_kinds(&DURING_LOADS, take(during), dice);
        let between = of_kinds(&BETWEEN_LOADS, take(between), dice);
        Self { before, during, between }
    }
}

impl Strike {
    fn draw(fault: Fault, dice: &mut Rng) -> Self {
        Self { fault, after: dice.f64() * PAUSE, seed: dice.u64(..) }
    }

    /// Lets it happen; says whether it hit.
    pub(super) fn strike(&self, scene: &mut Scene<'_>) -> bool {
        (self.fault.strike)(scene, &mut Rng::with_seed(self.seed))
    }
}
