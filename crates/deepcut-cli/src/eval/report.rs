//! A page about an evaluation: tables, plots, and images of where it wins and fails. One file with everything in it: no script, no network.

use super::table::{Row, Table};
use super::{Evaluation, Outcome};
use crate::args::EvalArgs;
use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use deepcut::Image;
use deepcut::batch::files::write;
use deepcut::components::BoundingBox;
use deepcut::dataset::Known;
use deepcut::image::Filter;
use std::fmt::Write as _;
use std::path::Path;

/// The longer side of the images on the page.
const SIDE: usize = 240;
/// Truth and the contenders, told apart by color-blind readers.
const TRUTH: [u8; 3] = [240, 228, 66];
const COLORS: [[u8; 3]; 2] = [[0, 158, 255], [230, 85, 13]];
const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#222;--ground:#fff;--line:#ccc;--a:#0072b2;--b:#d55e00}\
@media(prefers-color-scheme:dark){:root{--ink:#ddd;--ground:#161616;--line:#444;--a:#56b4e9;--b:#e69f00}}\
body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--ground);max-width:1100px;margin:2em auto;padding:0 1em;\
overflow-wrap:anywhere}table{border-collapse:collapse;margin:1em 0;display:block;overflow-x:auto;overflow-wrap:normal}td,th{border-bottom:1px solid var(--line);padding:.25em .8em;text-align:left}\
td:not(:first-child){font-variant-numeric:tabular-nums}\
figure{display:inline-block;margin:0 1em 1em 0;vertical-align:top;max-width:100%}figcaption{font-size:13px;max-width:500px}\
.key{display:inline-block;width:.8em;height:.8em;margin-right:.3em}\
figure img{display:inline-block;margin-right:4px;max-width:min(240px,100%);height:auto}svg{max-width:100%;height:auto}svg text{fill:var(--ink);font:12px system-ui,sans-serif}\
.a{fill:var(--a)}.b{fill:var(--b)}.axis{stroke:var(--ink);fill:none}pre{white-space:pre-wrap;font-size:12px}";

/// Writes `index.html` and `pictures.csv` into a folder.
pub fn write_to(folder: &Path, evaluation: &Evaluation, outcome: &Outcome, args: &EvalArgs) -> anyhow::Result<()> {
    let tables: Vec<&Table> = outcome.tables.iter().collect();
    let shown = &tables[..tables.len().min(2)];
    let mut page = String::new();
    let title = escape(&evaluation.setting(&args.study, outcome.tables.pictures()));
    let _ = write!(page, "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">");
    let _ = write!(page, "<title>deepcut eval: {title}</title><style>{STYLE}</style><h1>deepcut eval</h1><p>{title}</p>");
    let _ = write!(page, "<p>{}</p>", escape(&evaluation.set.found));
    for line in outcome.remarks(evaluation) {
        let _ = write!(page, "<p>{}</p>", escape(&line));
    }
    table(&mut page, &tables, outcome, evaluation.set.incomplete.len());
    let _ = write!(page, "<h2>Every image</h2>");
    histogram(&mut page, shown);
    if let [a, b] = shown {
        scatter(&mut page, [&a.name, &b.name], a.main().1, b.main().1, true);
    } else {
        let confidence: Vec<f64> = shown[0].confidence.iter().map(|&c| f64::from(c)).collect();
        scatter(&mut page, ["confidence", shown[0].main().0], &confidence, shown[0].main().1, false);
    }
    legend(&mut page, shown);
    for (heading, pictures) in choose(shown, args.examples) {
        let _ = write!(page, "<h2>{heading}</h2>");
        for at in pictures {
            // The tables hold the images that were measured, the set also those that failed.
            let name = &outcome.tables.names()[at];
            if let Some(sample) = evaluation.set.samples.iter().find(|sample| sample.name == *name) {
                figure(&mut page, evaluation, sample, shown, at).with_context(|| format!("cannot show {name}"))?;
            }
        }
    }
    let _ = write!(page, "<h2>Settings</h2><pre>");
    for contender in &evaluation.contenders {
        let _ = writeln!(page, "{}: {}", escape(&contender.name), escape(&serde_json::to_string(&contender.options)?));
    }
    let backbone = serde_json::to_string(evaluation.segmenter.backbone().identity())?;
    let (kernels, version) = (evaluation.segmenter.cpu().isa().name(), env!("CARGO_PKG_VERSION"));
    let _ = write!(page, "backbone: {}\nkernels: {kernels}\nversion: {version}</pre></html>", escape(&backbone));
    let cannot = || format!("cannot write the page into {}; name another folder with --report", folder.display());
    write(&folder.join("pictures.csv"), outcome.tables.csv().as_bytes(), args.overwrite).with_context(cannot)?;
    write(&folder.join("index.html"), page.as_bytes(), args.overwrite).with_context(cannot)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn table(page: &mut String, tables: &[&Table], outcome: &Outcome, incomplete: usize) {
    let rows: Vec<Vec<Row>> = tables.iter().map(|table| table.rows()).collect();
    let cell = |row: &Row| match row.interval {
        Some([low, high]) => format!("<td>{:.4} <small>({low:.4} to {high:.4})</small>", row.value),
        None => format!("<td>{:.4}", row.value),
    };
    let names: String = tables.iter().map(|table| format!("<th>{}", escape(&table.name))).collect();
    let _ = write!(page, "<table><tr><th>metric (95 % interval){names}");
    for (at, row) in rows[0].iter().enumerate() {
        let cells: String = rows.iter().map(|rows| cell(&rows[at])).collect();
        let _ = write!(page, "<tr><td>{}{cells}", escape(&row.name));
    }
    let times: String = tables.iter().map(|table| format!("<td>{:.1}", table.milliseconds())).collect();
    let _ = write!(page, "<tr><td>ms an image, features to mask{times}</table>");
    if let Some(row) = outcome.tables.difference() {
        let _ = write!(page, "<p>{}: {}</p>", escape(&row.name), cell(&row).trim_start_matches("<td>"));
    }
    if outcome.failures + incomplete > 0 {
        let _ = write!(
            page,
            "<p><strong>{} images failed and {incomplete} are incomplete: they are not in these figures.</strong></p>",
            outcome.failures
        );
    }
}

/// What the images beside each other are, in their order.
fn legend(page: &mut String, tables: &[&Table]) {
    let _ = write!(page, "<h2>Images</h2><p>Beside each other, from the left: ");
    let names = ["the truth"].into_iter().chain(tables.iter().map(|table| table.name.as_str()));
    for (at, (name, [r, g, b])) in names.zip([TRUTH].into_iter().chain(COLORS)).enumerate() {
        let comma = if at > 0 { ", " } else { "" };
        let _ = write!(page, "{comma}<span class=key style=\"background:rgb({r} {g} {b})\"></span>{}", escape(name));
    }
    let _ = write!(page, ". Each is tinted and outlined on the image; of boxes the edges.</p>");
}

/// How many images fall in each twentieth of [0, 1].
fn histogram(page: &mut String, tables: &[&Table]) {
    const BINS: usize = 20;
    let counts: Vec<[usize; BINS]> = tables
        .iter()
        .map(|table| {
            let mut bins = [0; BINS];
            table.main().1.iter().for_each(|v| bins[((v * BINS as f64) as usize).min(BINS - 1)] += 1);
            bins
        })
        .collect();
    let most = counts.iter().flatten().copied().max().unwrap_or(1).max(1);
    let name = tables[0].main().0;
    let _ = write!(page, "<svg viewBox=\"0 0 520 240\" width=520 role=img aria-label=\"images by {name}\">");
    for (t, counts) in counts.iter().enumerate() {
        let (class, wide) = (if t == 0 { "a" } else { "b" }, 20.0 / tables.len() as f64);
        for (bin, &count) in counts.iter().enumerate() {
            let (height, x) = (170.0 * count as f64 / most as f64, 40.0 + 23.0 * bin as f64 + t as f64 * wide);
            let _ = write!(
                page,
                "<rect class={class} x={x:.1} y={:.1} width={wide:.1} height={height:.1}><title>{count}</title></rect>",
                200.0 - height
            );
        }
        let _ = write!(
            page,
            "<rect class={class} x={} y=6 width=10 height=10 /><text x={} y=16>{}</text>",
            50 + 200 * t,
            64 + 200 * t,
            escape(&tables[t].name)
        );
    }
    let _ = write!(
        page,
        "<path class=axis d=\"M40 25V200H500\"/><text x=36 y=40 text-anchor=end>{most}</text><text x=36 y=204 text-anchor=end>0</text>"
    );
    let _ = write!(
        page,
        "<text x=40 y=218>0</text><text x=500 y=218 text-anchor=end>1</text><text x=270 y=234 text-anchor=middle>images by {name}</text></svg>"
    );
}

fn scatter(page: &mut String, [across, up]: [&str; 2], xs: &[f64], ys: &[f64], diagonal: bool) {
    let (across, up) = (escape(across), escape(up));
    let _ = write!(page, "<svg viewBox=\"0 0 300 300\" width=300 role=img aria-label=\"{up} against {across}\">");
    let _ = write!(page, "<path class=axis d=\"M40 20V260H280{}\"/>", if diagonal { "M40 260L280 20" } else { "" });
    for (x, y) in xs.iter().zip(ys) {
        let _ = write!(page, "<circle class=a fill-opacity=.5 r=3 cx={:.1} cy={:.1} />", 40.0 + 240.0 * x, 260.0 - 240.0 * y);
    }
    let _ = write!(
        page,
        "<text x=36 y=264 text-anchor=end>0</text><text x=36 y=26 text-anchor=end>1</text><text x=280 y=276 text-anchor=end>1</text>"
    );
    let _ = write!(
        page,
        "<text x=160 y=290 text-anchor=middle>{across}</text><text transform=\"translate(20 140) rotate(-90)\" text-anchor=middle>{up}</text></svg>"
    );
}

/// Which images to show, under which headings.
fn choose(tables: &[&Table], count: usize) -> Vec<(String, Vec<usize>)> {
    let first = tables[0].main().1;
    let value = |at: usize| tables.get(1).map_or(first[at], |other| first[at] - other.main().1[at]);
    let mut order: Vec<usize> = (0..first.len()).collect();
    order.sort_by(|&a, &b| value(a).total_cmp(&value(b)));
    let count = count.min(order.len());
    let low = order[..count].to_vec();
    let high = order.iter().rev().take(count).copied().collect();
    if let [a, b] = tables {
        let better = |a: &Table, b: &Table| format!("Where {} beats {} most", escape(&a.name), escape(&b.name));
        return vec![(better(a, b), high), (better(b, a), low)];
    }
    let middle = (order.len() - count) / 2;
    vec![("Worst".into(), low), ("Median".into(), order[middle..middle + count].to_vec()), ("Best".into(), high)]
}

fn figure(
    page: &mut String,
    evaluation: &Evaluation,
    sample: &deepcut::dataset::Sample,
    tables: &[&Table],
    at: usize,
) -> anyhow::Result<()> {
    let (image, truth, found) = evaluation.show(sample, tables.len())?;
    let scale = SIDE as f64 / image.height().max(image.width()) as f64;
    let side = |size: usize| ((size as f64 * scale).round() as usize).max(1);
    let thumb = image.resize(side(image.height()), side(image.width()), Filter::Bilinear)?;
    let small = |mask: &dyn Fn(usize) -> bool| -> Vec<bool> {
        let (height, width) = (thumb.height(), thumb.width());
        let from = |i: usize| (i / width * image.height() / height) * image.width() + i % width * image.width() / width;
        (0..height * width).map(|i| mask(from(i))).collect()
    };
    let inside = match &truth {
        Known::Mask(truth) => small(&|i| truth[i]),
        Known::Boxes(boxes) => small(&|i| boxes.iter().any(|b| on_edge(*b, i / image.width(), i % image.width(), 2.0 / scale))),
        Known::Instances(truth) => {
            let masks: Vec<Vec<u8>> = truth.objects.iter().map(|object| object.mask.decode()).collect();
            small(&|i| masks.iter().any(|mask| mask[i] > 0))
        }
        _ => vec![false; thumb.height() * thumb.width()],
    };
    let _ = write!(page, "<figure>");
    picture(page, &thumb, &inside, TRUTH, "truth")?;
    let mut values = Vec::new();
    for ((table, found), color) in tables.iter().zip(&found).zip(COLORS) {
        let mask = found.mask();
        picture(page, &thumb, &small(&|i| mask[i] > 0), color, &table.name)?;
        values.push(format!("{} {} {:.3}", escape(&table.name), table.main().0, table.main().1[at]));
    }
    let _ = write!(page, "<figcaption>{}: {}</figcaption></figure>", escape(&sample.name), values.join(", "));
    Ok(())
}

/// Whether a pixel lies within `reach` of a box's edge, inside it.
fn on_edge(b: BoundingBox, y: usize, x: usize, reach: f64) -> bool {
    let inside = (b.top..b.top + b.height).contains(&y) && (b.left..b.left + b.width).contains(&x);
    let gap = (y.wrapping_sub(b.top)).min((b.top + b.height).wrapping_sub(y + 1));
    inside && (gap.min(x.wrapping_sub(b.left)).min((b.left + b.width).wrapping_sub(x + 1)) as f64) < reach
}

/// An image with a region tinted and outlined.
fn picture(page: &mut String, thumb: &Image, inside: &[bool], color: [u8; 3], what: &str) -> anyhow::Result<()> {
    let (height, width) = (thumb.height(), thumb.width());
    let mut rgb = thumb.rgb().to_vec();
    for (i, pixel) in rgb.chunks_exact_mut(3).enumerate().filter(|(i, _)| inside[*i]) {
        let (y, x) = (i / width, i % width);
        let neighbors = [
            (y > 0).then(|| i - width),
            (y + 1 < height).then_some(i + width),
            (x > 0).then(|| i - 1),
            (x + 1 < width).then_some(i + 1),
        ];
        let share = if neighbors.into_iter().flatten().any(|j| !inside[j]) { 1.0 } else { 0.4 };
        pixel.iter_mut().zip(color).for_each(|(p, c)| *p = (f32::from(*p) * (1.0 - share) + f32::from(c) * share) as u8);
    }
    let mut jpeg = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 85);
    encoder.encode(&rgb, width as u32, height as u32, image::ExtendedColorType::Rgb8)?;
    let _ = write!(
        page,
        "<img width={width} height={height} alt=\"{}\" src=\"data:image/jpeg;base64,{}\">",
        escape(what),
        STANDARD.encode(jpeg)
    );
    Ok(())
}
