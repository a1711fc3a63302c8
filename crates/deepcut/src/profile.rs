//! Options from a profile and values by name: what users of the command and of other languages state.

use crate::options::{Options, SetError};
use crate::segment::{Edges, Refine};
use crate::setting::OptionError;
use serde_json::{Map, Value};

/// Settings to start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Profile {
    /// [`Options::default`].
    #[default]
    Default,
    /// [`Options::paper`].
    Paper,
}

/// Why values make no options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NamedError {
    /// A name that no option has, or a value that it cannot have.
    #[error(transparent)]
    Set(#[from] SetError),
    /// A value out of its range, or that contradicts another.
    #[error(transparent)]
    Option(#[from] OptionError),
}

/// Options that others depend on come first.
const FIRST: [&str; 4] = ["method", "mode", "n_clusters", "objective"];
/// Options that say what edges are, the strongest last.
const EDGES: [&str; 3] = ["tau", "alpha", "edges"];

impl Profile {
    /// The profile of a name: `default` or `paper`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "default" => Some(Self::Default),
            "paper" => Some(Self::Paper),
            _ => None,
        }
    }

    /// Its options.
    #[must_use]
    pub fn options(self) -> Options {
        match self {
            Self::Default => Options::default(),
            Self::Paper => Options::paper(),
        }
    }
}

impl Options {
    /// The options of a profile with values by name, as [`Options::set`] takes them, in any order; validated. `null` leaves the profile's value.
    ///
    /// What belongs together is set together, unless it is named too:
    ///
    /// * `objective` brings its edges; `alpha` counts with the objective correlation only, `tau` only without it;
    /// * the methods tokencut and maskcut cut the graph of a threshold, also in the profile paper;
    /// * `refine` is the published solver in the profile paper;
    /// * `largest_component` also tells the cut that there is a single object.
    ///
    /// ```
    /// use deepcut::{Edges, Mode, Options};
    /// use deepcut::profile::Profile;
    /// use serde_json::json;
    ///
    /// let values = json!({ "alpha": 5, "objective": "correlation", "mode": "parts", "tau": null });
    /// let options = Options::named(Profile::Default, values.as_object().unwrap())?;
    /// assert_eq!((options.recipe.mode, options.recipe.edges), (Mode::Parts, Edges::Correlation { alpha: 5.0 }));
    /// # Ok::<(), deepcut::profile::NamedError>(())
    /// ```
    ///
    /// # Errors
    /// [`NamedError`] if there is no such option, or it cannot have such a value.
    pub fn named(profile: Profile, values: &Map<String, Value>) -> Result<Self, NamedError> {
        let mut options = profile.options();
        let given = |name: &str| values.get(name).filter(|value| !value.is_null());
        for name in FIRST {
            given(name).map_or(Ok(()), |value| options.set(name, value))?;
        }
        let is_correlation = matches!(options.recipe.edges, Edges::Correlation { .. });
        if is_correlation && let Some(alpha) = given("alpha") {
            options.set("alpha", alpha)?;
        }
        if !is_correlation && let Some(tau) = given("tau") {
            options.set("tau", tau)?;
        }
        given("edges").map_or(Ok(()), |value| options.set("edges", value))?;
        for (name, value) in values.iter().filter(|(name, value)| !value.is_null() && !FIRST.contains(&&***name)) {
            if !EDGES.contains(&&**name) {
                options.set(name, value)?;
            }
        }
        if profile == Profile::Paper && options.finish.refine == Refine::Bilateral {
            options.finish.refine = Refine::BilateralPublished;
        }
        if given("single_object").is_none() && given("largest_component").is_some() {
            options.recipe.single_object = options.finish.largest_component;
        }
        options.validate()?;
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Method, Mode, Objective, Recipe};
    use serde_json::json;

    fn named(profile: Profile, values: Value) -> Result<Options, NamedError> {
        Options::named(profile, values.as_object().unwrap())
    }

    #[test]
    fn what_belongs_together_is_set_together() {
        let options = |profile, values| named(profile, values).unwrap();
        use Profile::{Default, Paper};
        assert_eq!(options(Default, json!({})), Options::default());
        assert_eq!(options(Paper, json!({ "seed": null })), Options::paper());
        let tokencut = options(Paper, json!({ "method": "tokencut" })).recipe;
        assert_eq!((tokencut.method, tokencut.edges), (Method::Tokencut, Recipe::default().edges));
        assert_eq!(options(Paper, json!({ "method": "tokencut", "tau": 0.4 })).recipe.edges, Edges::Threshold(0.4));
        assert_eq!(options(Default, json!({ "tau": 0.4, "alpha": 7 })).recipe.edges, Edges::Threshold(0.4));
        let correlation = json!({ "tau": 0.4, "alpha": 7, "objective": "correlation" });
        assert_eq!(options(Default, correlation).recipe.edges, Edges::Correlation { alpha: 7.0 });
        assert_eq!(options(Default, json!({ "edges": "relu", "tau": 0.4 })).recipe.edges, Edges::Relu);
        assert_eq!(options(Paper, json!({ "refine": "bilateral" })).finish.refine, Refine::BilateralPublished);
        assert_eq!(options(Default, json!({ "refine": "bilateral" })).finish.refine, Refine::Bilateral);
        let largest = options(Default, json!({ "largest_component": true }));
        assert!(largest.recipe.single_object && largest.finish.largest_component);
        let split = options(Default, json!({ "largest_component": true, "single_object": false }));
        assert!(!split.recipe.single_object && split.finish.largest_component);
        let several = options(Default, json!({ "mode": "parts", "n_clusters": 5, "objective": "modularity", "epochs": 3 }));
        assert_eq!((several.recipe.mode, several.recipe.n_clusters, several.recipe.epochs), (Mode::Parts, Some(5), [3; 3]));
        assert_eq!(several.recipe.objective, Objective::Modularity);
    }

    #[test]
    fn wrong_names_and_values_are_errors() {
        let error = |values| named(Profile::Default, values).unwrap_err().to_string();
        assert!(error(json!({ "clusters": 3 })).starts_with("there is no option `clusters`"));
        assert!(error(json!({ "mode": "things" })).starts_with("mode cannot be \"things\""));
        assert!(error(json!({ "tau": 3 })).contains("expected"), "{}", error(json!({ "tau": 3 })));
        assert!(error(json!({ "mode": "objects", "largest_component": true })).starts_with("largest_component is true"));
        assert_eq!((Profile::by_name("paper"), Profile::by_name("Paper")), (Some(Profile::Paper), None));
    }
}
