//! The command `sweep`: every combination of some options, on features that are computed once.

use super::table::{Table, mean};
use super::{Contender, Evaluation};
use crate::args::{Profile, SweepArgs};
use anyhow::{Context, bail};
use deepcut::Options;
use serde_json::Value;
use std::fmt::Write as _;

/// Combinations at most: a slip of the hand should not take a week.
const MOST: usize = 1000;

/// Evaluates what the command line names. True if every picture of the data set was measured.
pub fn run(args: &SweepArgs) -> anyhow::Result<bool> {
    let sets = args.sets.iter().map(|set| parse(set)).collect::<anyhow::Result<Vec<_>>>()?;
    let study = &args.study;
    let contenders = combine(&study.method.options(&study.network)?, study.method.profile, &sets)?;
    let evaluation = Evaluation::new(study, contenders)?;
    let outcome = evaluation.run(study)?;
    let mut tables: Vec<&Table> = outcome.tables.iter().collect();
    tables.sort_by(|a, b| mean(b.main().1).total_cmp(&mean(a.main().1)));
    evaluation.tell(study, &outcome, || markdown(&tables))
}

/// A name and its values: what lies between commas outside brackets, as JSON, or as a word if it is none.
fn parse(set: &str) -> anyhow::Result<(String, Vec<Value>)> {
    let (name, values) = set.split_once('=').with_context(|| format!("--set {set}: expected NAME=VALUE,..."))?;
    let mut depth = 0;
    let parts = values.split(|c| {
        depth += i32::from(c == '[') - i32::from(c == ']');
        c == ',' && depth == 0
    });
    let values = parts.map(|part| serde_json::from_str(part).unwrap_or_else(|_| part.into())).collect();
    let name = name.trim().replace('-', "_");
    Ok((if name == "colour" { "color".into() } else { name }, values))
}

fn combine(base: &Options, profile: Profile, sets: &[(String, Vec<Value>)]) -> anyhow::Result<Vec<Contender>> {
    let count: usize = sets.iter().map(|(_, values)| values.len()).product();
    if count > MOST {
        bail!("--set: {count} combinations; {MOST} at most");
    }
    let mut found = vec![(String::new(), serde_json::to_value(base)?)];
    for (name, values) in sets {
        if name == "precision" {
            bail!("--set precision: the network is loaded once a run; run once for each --precision");
        }
        if found[0].1.get(name).is_none() {
            let known: Vec<&String> = found[0].1.as_object().into_iter().flat_map(|map| map.keys()).collect();
            bail!("--set {name}: no such option; there are {}", known.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(", "));
        }
        let with = |(label, options): &(String, Value), value: &Value| {
            let mut options = options.clone();
            // As on the command line, one number of epochs is that of all stages.
            let all = (name == "epochs" && value.is_number()).then(|| Value::from(vec![value.clone(); 3]));
            options[name] = all.unwrap_or_else(|| value.clone());
            let word = value.as_str().map_or_else(|| value.to_string(), Into::into);
            (format!("{label}{}{name} {word}", if label.is_empty() { "" } else { ", " }), options)
        };
        found = found.iter().flat_map(|one| values.iter().map(|value| with(one, value)).collect::<Vec<_>>()).collect();
    }
    let contender = |(name, options): (String, Value)| {
        let options: Options = serde_json::from_value(options).with_context(|| format!("--set {name}"))?;
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

    #[test]
    fn every_combination_is_made_and_checked() {
        let sets = ["tau=0.1,null", "epochs=[1,2,3],[4,5,6]", "objective=mincut"].map(|set| parse(set).unwrap());
        let found = combine(&Options::default(), Profile::Default, &sets).unwrap();
        let told: Vec<_> = found.iter().map(|c| (c.options.tau, c.options.epochs)).collect();
        assert_eq!(told, [(Some(0.1), [1, 2, 3]), (Some(0.1), [4, 5, 6]), (None, [1, 2, 3]), (None, [4, 5, 6])]);
        assert_eq!(found[2].name, "tau null, epochs [1,2,3], objective mincut");
        let fails =
            |set: &str| parse(set).and_then(|set| combine(&Options::default(), Profile::Default, &[set]).map(|_| ())).is_err();
        assert!(fails("tau") && fails("taus=1") && fails("tau=7") && fails("objective=none") && fails("tau=high"));
        let set = parse("colour=0,10").unwrap();
        let base = Options::default();
        assert!(combine(&base, Profile::Default, std::slice::from_ref(&set)).is_err() && fails("precision=f32"));
        let deep_spectral = combine(&base, Profile::Default, &[parse("method=deep-spectral").unwrap(), set]).unwrap();
        assert_eq!(deep_spectral.iter().map(|c| c.options.color).collect::<Vec<_>>(), [0.0, 10.0]);
    }
}
