//! The command `sweep`: every combination of some options, on features that are computed once.

use super::table::Table;
use super::{Contender, Evaluation};
use crate::args::{Profile, SweepArgs, parse_set, set_option};
use anyhow::{Context, bail};
use deepcut::Options;
use serde_json::Value;
use std::fmt::Write as _;

/// Combinations at most: a slip of the hand should not take a week.
const MAX_COMBINATIONS: usize = 1000;

/// Evaluates what the command line names. True if every image of the data set was measured.
pub fn run(args: &SweepArgs) -> anyhow::Result<bool> {
    let sets = args.sets.iter().map(|set| parse_set(set)).collect::<anyhow::Result<Vec<_>>>()?;
    let study = &args.study;
    let contenders = combine(&study.method.options(&study.network)?, study.method.profile, &sets)?;
    let evaluation = Evaluation::new(study, contenders)?;
    let outcome = evaluation.run(study, None)?;
    let mut tables: Vec<&Table> = outcome.tables.iter().collect();
    tables.sort_by(|a, b| b.value().total_cmp(&a.value()));
    evaluation.print(study, &outcome, || markdown(&tables))
}

fn combine(base: &Options, profile: Profile, sets: &[(String, Vec<Value>)]) -> anyhow::Result<Vec<Contender>> {
    let count: usize = sets.iter().map(|(_, values)| values.len()).product();
    if count > MAX_COMBINATIONS {
        bail!("--set: {count} combinations; {MAX_COMBINATIONS} at most");
    }
    let mut found = vec![(String::new(), base.clone())];
    // What brings options of its own comes before those.
    let mut sets: Vec<_> = sets.iter().collect();
    sets.sort_by_key(|(name, _)| !matches!(&**name, "method" | "objective"));
    for (name, values) in sets {
        let mut next = Vec::with_capacity(found.len() * values.len());
        for (label, options) in &found {
            for value in values {
                let word = value.as_str().map_or_else(|| value.to_string(), Into::into);
                let mut options = options.clone();
                set_option(&mut options, name, value).with_context(|| format!("--set {name}={word}"))?;
                next.push((format!("{label}{}{name} {word}", if label.is_empty() { "" } else { ", " }), options));
            }
        }
        found = next;
    }
    let contender = |(name, options): (String, Options)| {
        options.validate().with_context(|| format!("--set {name}"))?;
        Ok(Contender { name, profile, options })
    };
    found.into_iter().map(contender).collect()
}

/// A combination a row, the best first.
fn markdown(tables: &[&Table]) -> String {
    // Every interval is drawn once.
    let rows: Vec<_> = tables.iter().map(|table| table.rows()).collect();
    let names: Vec<&str> = rows[0].iter().map(|row| row.name.as_str()).collect();
    let mut text = format!(
        "| options | {} | 95 % interval of the first | ms |\n|---|{}---|---|\n",
        names.join(" | "),
        "---|".repeat(names.len())
    );
    for (table, rows) in tables.iter().zip(&rows) {
        let values: Vec<String> = rows.iter().map(|row| format!("{:.4}", row.value)).collect();
        let interval = rows[0].interval.map_or_else(String::new, |[low, high]| format!("{low:.4} to {high:.4}"));
        let _ = writeln!(text, "| {} | {} | {interval} | {:.1} |", table.name, values.join(" | "), table.milliseconds());
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use deepcut::Edges;

    #[test]
    fn every_combination_is_made_and_checked() {
        let sets = ["tau=0.1,null", "epochs=[1,2,3],[4,5,6]", "objective=mincut"].map(|set| parse_set(set).unwrap());
        let found = combine(&Options::default(), Profile::Default, &sets).unwrap();
        let found_options: Vec<_> = found.iter().map(|c| (c.options.recipe.edges, c.options.recipe.epochs)).collect();
        let (tau, relu) = (Edges::Threshold(0.1), Edges::Relu);
        assert_eq!(found_options, [(tau, [1, 2, 3]), (tau, [4, 5, 6]), (relu, [1, 2, 3]), (relu, [4, 5, 6])]);
        assert_eq!(found[2].name, "objective mincut, tau null, epochs [1,2,3]");
        let fails = |set: &str| {
            parse_set(set).and_then(|set| combine(&Options::default(), Profile::Default, &[set]).map(|_| ())).is_err()
        };
        assert!(fails("tau") && fails("taus=1") && fails("tau=7") && fails("objective=none") && fails("tau=high"));
        let set = parse_set("colour=0,10").unwrap();
        let base = Options::default();
        assert!(combine(&base, Profile::Default, std::slice::from_ref(&set)).is_err() && fails("precision=f32"));
        let deep_spectral = combine(&base, Profile::Default, &[parse_set("method=deep-spectral").unwrap(), set]).unwrap();
        assert_eq!(deep_spectral.iter().map(|c| c.options.recipe.color).collect::<Vec<_>>(), [0.0, 10.0]);
        // Methods that cut the graph of a threshold bring it, but not where another is asked for.
        let tokencut = |sets: &[&str]| {
            combine(&Options::paper(), Profile::Paper, &sets.iter().map(|set| parse_set(set).unwrap()).collect::<Vec<_>>())
        };
        assert_eq!(tokencut(&["method=tokencut"]).unwrap()[0].options.recipe.edges, Edges::Threshold(0.2));
        assert!(tokencut(&["tau=null", "method=tokencut"]).is_err());
    }
}
