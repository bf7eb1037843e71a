//! One rule of the contract.

use gristmill_core::{Capabilities, Capability};

use crate::Fixture;

/// One rule of the contract and the test that proves it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Case {
    /// The operation or concern it belongs to.
    pub area: &'static str,
    /// The rule, as a sentence in snake case.
    pub name: &'static str,
    /// What the backend must promise for the rule to apply.
    pub needs: &'static [Capability],
    /// The test: returns when the rule holds and panics when it does not.
    pub run: fn(&Fixture),
}

impl Case {
    /// `area::name`.
    pub fn path(&self) -> String {
        format!("{}::{}", self.area, self.name)
    }

    /// The first capability the case needs and the backend lacks.
    pub fn missing(&self, capabilities: Capabilities) -> Option<Capability> {
        self.needs.iter().copied().find(|needed| !capabilities.has(*needed))
    }
}

/// The table of an area: the names of its cases, each followed by the capabilities it needs.
macro_rules! cases {
    ($area:literal: $($name:ident $(needs $($capability:ident)+)?),* $(,)?) => {
        pub(super) const CASES: &[$crate::Case] = &[$($crate::Case {
            area: $area,
            name: stringify!($name),
            needs: &[$($(gristmill_core::Capability::$capability),+)?],
            run: $name,
        }),*];
    };
}

pub(crate) use cases;
