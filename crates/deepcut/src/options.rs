//! All options that decide a result.

use crate::backbone::View;
use crate::segment::{Edges, Finish, Mode, Recipe};
pub use crate::setting::OptionError;
use crate::setting::{builders, check};
use serde::{Deserialize, Serialize};

/// How an image is seen, cut and finished, and the seed of what is drawn.
///
/// ```
/// use deepcut::{Mode, Options, Recipe, Refine};
///
/// let options = Options::default().recipe(Recipe::default().mode(Mode::Parts)).seed(7);
/// let read: Options = serde_json::from_str(r#"{"recipe": {"mode": "parts"}, "seed": 7}"#)?;
/// assert_eq!(read, options);
/// // Any field by its name, as the command's `--set` does.
/// let mut options = options;
/// options.set("refine", &"bilateral".into())?;
/// assert_eq!(options.finish.refine, Refine::Bilateral);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Options {
    /// How an image is seen.
    pub view: View,
    /// How it is cut.
    pub recipe: Recipe,
    /// How the cut becomes pixels.
    pub finish: Finish,
    /// Seed of the initial network, of dropout, and of what classical methods draw.
    pub seed: u64,
}

/// Why [`Options::set`] set nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// No option has this name.
    #[error("there is no option `{name}`; the options are {NAMES}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// The option cannot have this value.
    #[error("{name} cannot be {value}: {reason}")]
    Value {
        /// The option's name.
        name: String,
        /// The value.
        value: String,
        /// What it should be.
        reason: String,
    },
}

impl Options {
    builders! {
        /// Sets how an image is seen.
        view: View,
        /// Sets how it is cut.
        recipe: Recipe,
        /// Sets how the cut becomes pixels.
        finish: Finish,
        /// Sets the seed.
        seed: u64;
    }

    /// The behavior of the published code; what it leaves undefined is defined here (see `PARITY.md`).
    #[must_use]
    pub fn paper() -> Self {
        Self { view: View::paper(), recipe: Recipe::paper(), finish: Finish::paper(), seed: 0 }
    }

    /// The view that features for this recipe need: with the patches' colors if it looks at them.
    #[must_use]
    pub fn needed_view(&self) -> View {
        View { patch_colors: self.view.patch_colors || self.recipe.needs_colors(), ..self.view }
    }

    /// Checks every value against its range, and whether they go together.
    ///
    /// # Errors
    /// [`OptionError`], naming the first value out of range.
    pub fn validate(&self) -> Result<(), OptionError> {
        self.view.validate()?;
        self.recipe.validate()?;
        self.finish.validate()?;
        let one = self.recipe.single_object || self.finish.largest_component;
        let expected = "false in the mode objects, which finds several: use max_objects";
        check("largest_component", one, !(one && self.recipe.mode == Mode::Objects), expected)
    }

    /// Options that have no effect with the others, each with the reason: those of [`Recipe::without_effect`], and those of objects where one
    /// is looked for.
    #[must_use]
    pub fn without_effect(&self) -> Vec<(&'static str, &'static str)> {
        let mut found = self.recipe.without_effect();
        if self.recipe.mode != Mode::Objects {
            let names = ["max_objects", "min_area", "max_area", "fill_holes", "drop_border"];
            found.extend(names.map(|name| (name, "it belongs to the mode objects")));
        }
        found
    }

    /// All options by their own names, whatever struct they are in: the names of [`Options::set`].
    #[must_use]
    pub fn flat(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut flat = serde_json::Map::new();
        if let Ok(serde_json::Value::Object(whole)) = serde_json::to_value(self) {
            for (name, value) in whole {
                match value {
                    serde_json::Value::Object(section) if SECTIONS.contains(&name.as_str()) => flat.extend(section),
                    value => drop(flat.insert(name, value)),
                }
            }
        }
        flat
    }

    /// Sets one option by its name, whatever struct it is in. Values are not checked against their ranges until [`Options::validate`].
    ///
    /// Other spellings: `tau` is a threshold's edges, or relu's with `null`; `alpha` is correlation's edges; one number of `epochs` is that of
    /// all stages. `objective` brings its own edges, as [`Recipe::objective`] does; `method` those of a threshold if it cuts no others, as TokenCut.
    ///
    /// # Errors
    /// [`SetError`] if there is no such option, or it cannot have such a value.
    pub fn set(&mut self, name: &str, value: &serde_json::Value) -> Result<(), SetError> {
        use serde_json::json;
        let name = name.replace('-', "_");
        let known = if name == "colour" { "color" } else { &*name };
        let (field, value) = match known {
            "tau" if value.is_null() || value == "none" => ("edges", json!("relu")),
            "tau" => ("edges", json!({ "threshold": value })),
            "alpha" => ("edges", json!({ "correlation": { "alpha": value } })),
            "epochs" if value.is_number() => ("epochs", json!([value, value, value])),
            known => (known, value.clone()),
        };
        let mut whole = serde_json::to_value(&*self).unwrap_or_default();
        let place = whole.as_object_mut().into_iter().flatten().find_map(|(section, part)| {
            if SECTIONS.contains(&section.as_str()) { part.get_mut(field) } else { (section == field).then_some(part) }
        });
        let Some(place) = place else { return Err(SetError::Unknown { name }) };
        *place = value.clone();
        let refused = |error: serde_json::Error| SetError::Value {
            name: field.into(),
            value: value.to_string(),
            reason: error.to_string(),
        };
        let changed: Self = serde_json::from_value(whole).map_err(refused)?;
        let objective = changed.recipe.objective;
        *self = changed;
        if field == "objective" {
            self.recipe = self.recipe.clone().objective(objective);
        }
        if field == "method" && self.recipe.method.needs_threshold() && self.recipe.edges == Edges::Relu {
            self.recipe.edges = Recipe::default().edges;
        }
        Ok(())
    }
}

/// The fields of [`Options`] that hold options of their own.
const SECTIONS: [&str; 3] = ["view", "recipe", "finish"];

/// The names of all options; a test compares them with the fields.
const NAMES: &str = "resolution, framing, filter, log_bin, patch_colors, mode, method, n_clusters, objective, edges, epochs, learning_rate, weight_decay, dropout, feature_norm, color, own_draws, center_parts, prior_weight, least_peak, foreground, single_object, precision, upsampling, refine, largest_component, min_confidence, max_objects, min_area, max_area, fill_holes, drop_border, seed";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Method, Objective};
    use serde_json::json;

    #[test]
    fn every_option_has_a_name_and_can_be_set_to_what_it_is() {
        let names: Vec<&str> = NAMES.split(", ").collect();
        for options in [Options::default(), Options::paper()] {
            options.validate().unwrap();
            let flat = options.flat();
            assert_eq!(
                flat.keys().map(String::as_str).collect::<std::collections::BTreeSet<_>>(),
                names.iter().copied().collect()
            );
            let mut other = Options::paper();
            for (name, value) in &flat {
                // The graph after the objective, which brings one.
                other.set(name, value).unwrap();
            }
            other.set("edges", &flat["edges"]).unwrap();
            assert_eq!(other, options);
        }
    }

    #[test]
    fn options_are_set_by_name() {
        let with = |name: &str, value: serde_json::Value| {
            let mut options = Options::default();
            options.set(name, &value).map(|()| options)
        };
        assert_eq!(with("tau", json!(0.1)).unwrap().recipe.edges, Edges::Threshold(0.1));
        assert_eq!(with("tau", json!(null)).unwrap().recipe.edges, Edges::Relu);
        assert_eq!(with("alpha", json!(5)).unwrap().recipe.edges, Edges::Correlation { alpha: 5.0 });
        assert_eq!(with("epochs", json!(7)).unwrap().recipe.epochs, [7; 3]);
        assert_eq!(with("n-clusters", json!(3)).unwrap().recipe.n_clusters, Some(3));
        let mut paper = Options::paper();
        paper.set("method", &json!("spectral")).unwrap();
        assert_eq!(paper.recipe.edges, Edges::Relu);
        paper.set("method", &json!("tokencut")).unwrap();
        assert_eq!(paper.recipe.edges, Recipe::default().edges);
        let correlation = with("objective", json!("correlation")).unwrap();
        assert_eq!(correlation.recipe, Recipe::default().objective(Objective::Correlation));
        assert!(with("largest_component", json!(true)).unwrap().finish.largest_component);
        assert!(with("single_object", json!(true)).unwrap().recipe.single_object);
        let error = |name, value| with(name, value).unwrap_err().to_string();
        assert!(error("taus", json!(1)).starts_with("there is no option `taus`; the options are resolution"));
        assert!(error("view", json!({})).starts_with("there is no option `view`"));
        assert!(error("tau", json!("high")).starts_with("edges cannot be {\"threshold\":\"high\"}: invalid type"));
        assert!(error("refine", json!("bilinear")).contains("expected one of `none`, `guided`, `bilateral`"));
    }

    #[test]
    fn colors_are_seen_where_they_weigh() {
        let deep_spectral = Recipe::default().method(Method::DeepSpectral);
        assert!(!Options::default().recipe(deep_spectral.clone()).needed_view().patch_colors);
        assert!(Options::default().recipe(deep_spectral.color(10.0)).needed_view().patch_colors);
        assert!(Options::default().view(View::default().patch_colors(true)).needed_view().patch_colors);
    }

    #[test]
    fn options_of_objects_belong_to_their_mode() {
        let objects = Options::default().recipe(Recipe::default().mode(Mode::Objects));
        objects.validate().unwrap();
        let one = objects.clone().finish(Finish::default().largest_component(true));
        assert_eq!(one.validate().unwrap_err().name, "largest_component");
        for finish in [Finish::default().max_objects(0), Finish::default().max_objects(255)] {
            assert_eq!(objects.clone().finish(finish).validate().unwrap_err().name, "max_objects");
        }
        let areas = Finish::default().min_area(0.5).max_area(0.4);
        assert_eq!(objects.clone().finish(areas).validate().unwrap_err().name, "max_area");
        assert_eq!(objects.clone().finish(Finish::default().min_area(f32::NAN)).validate().unwrap_err().name, "min_area");
        let ignored = |options: &Options| options.without_effect().iter().any(|(name, _)| *name == "drop_border");
        assert!(!ignored(&objects) && ignored(&Options::default()));
    }

    #[test]
    fn unknown_fields_are_refused() {
        assert!(serde_json::from_str::<Options>(r#"{"mode": "parts"}"#).is_err());
        let nested = serde_json::from_str::<Options>(r#"{"recipe": {"mode": "parts"}}"#).unwrap();
        assert_eq!(nested.recipe.mode, Mode::Parts);
    }
}
