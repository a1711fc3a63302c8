//! Each frame starts from the frame before: `cargo run --release --example video`.
//!
//! A [`Clustering`] keeps the networks that it was trained to. The next frame is much like it, so one epoch from there does what 50 epochs do
//! from the seed, and a part keeps its label from frame to frame.

use deepcut::backbone::embedded;
use deepcut::metrics::adjusted_rand_index;
use deepcut::{Clustering, Cpu, Finish, Image, Mode, Precision, Recipe, Start, View};
use std::error::Error;

const SIDE: usize = 192;

/// 0 on the ground, 1 on the head and 2 on the body of a figure that crosses the view.
fn truth(frame: usize, y: usize, x: usize) -> usize {
    let in_disk = |middle: f32, radius: f32| {
        let (down, across) = (y as f32 - middle, x as f32 - (50.0 + 8.0 * frame as f32));
        down * down + across * across < radius * radius
    };
    if in_disk(68.0, 26.0) { 1 } else { 2 * usize::from(in_disk(124.0, 38.0)) }
}

fn main() -> Result<(), Box<dyn Error>> {
    let cpu = Cpu::default();
    let network = embedded::load(&cpu, Precision::Auto)?;
    let view = View::default().resolution(SIDE);
    // The network's prior would find the figure without any training.
    let whole = Recipe::default().mode(Mode::Parts).n_clusters(2).prior_weight(0.0);
    let short = whole.clone().epochs([1; 3]);
    let mut before: Option<Clustering> = None;

    println!("agreement of pixels with the truth (adjusted Rand index)\n");
    println!("frame   50 epochs   1 epoch from the seed   1 epoch from the frame before");
    for frame in 0..8 {
        let label = |at: usize| truth(frame, at / SIDE, at % SIDE);
        let pixel = |at: usize| {
            let grain = ((at * 7919) % 23) as u8;
            [[90 + grain, 130, 100], [230, 190 + grain, 150], [190, 40 + grain, 50]][label(at)]
        };
        let image = Image::new(SIDE, SIDE, (0..SIDE * SIDE).flat_map(pixel).collect())?;
        let map = view.features(&network, &[&image])?;
        let agreement = |found: &[Clustering]| {
            let found = Finish::default().to_pixels(&cpu, &image, &found[0]);
            let labels: Vec<usize> = found.labels().iter().map(|&label| label.into()).collect();
            adjusted_rand_index(&labels, &(0..SIDE * SIDE).map(label).collect::<Vec<_>>())
        };

        let trained = whole.cluster(&cpu, &map, Start::Seed(0))?;
        let cold = short.cluster(&cpu, &map, Start::Seed(0))?;
        let warm = match &before {
            None => trained.clone(),
            Some(before) => short.cluster(&cpu, &map, Start::From(before))?,
        };
        println!("{frame:5} {:11.2} {:23.2} {:31.2}", agreement(&trained), agreement(&cold), agreement(&warm));
        before = warm.into_iter().next();
    }
    Ok(())
}
