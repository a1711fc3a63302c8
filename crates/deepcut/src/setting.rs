//! The check of one option's value, and its error. Options themselves live beside what they steer.

/// An option out of its range, or that contradicts another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value}; expected {expected}")]
pub struct OptionError {
    /// The option's name.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// What it may be.
    pub expected: &'static str,
}

/// An error if the value is not `ok`.
pub(crate) fn check(name: &'static str, value: impl ToString, ok: bool, expected: &'static str) -> Result<(), OptionError> {
    if ok { Ok(()) } else { Err(OptionError { name, value: value.to_string(), expected }) }
}

/// An error if the value is not from `low` to `high`; NaN is not.
pub(crate) fn check_range(
    name: &'static str,
    value: f32,
    low: f32,
    high: f32,
    expected: &'static str,
) -> Result<(), OptionError> {
    check(name, value, (low..=high).contains(&value), expected)
}

/// A method that sets a field, for each field: options are written as `Recipe::default().mode(Mode::Parts)`. A field that may be None, marked
/// by `?`, takes a value or an option.
macro_rules! builders {
    ($($(#[$doc:meta])* $name:ident: $type:ty),* $(,)?; $($(#[$other_doc:meta])* $other:ident?: $other_type:ty),* $(,)?) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $name(mut self, $name: $type) -> Self {
                self.$name = $name;
                self
            }
        )*
        $(
            $(#[$other_doc])*
            #[must_use]
            pub fn $other(mut self, $other: impl Into<Option<$other_type>>) -> Self {
                self.$other = $other.into();
                self
            }
        )*
    };
}
pub(crate) use builders;
