//! Compares our decoders with the crate `image` over every image of a folder.
//!
//! `cargo run --release --example compare_decoders FOLDER` prints a line for each image that differs: by how much at most, by how much on
//! average, how many pixels, and what was assumed or damaged. JPEG differs by a few levels (our inverse transform is libjpeg-turbo's);
//! profiles, orientation, and values beyond 16 bits are applied by ours alone.

use deepcut::Image;
use deepcut::image::{Decoder, foreign};
use std::path::{Path, PathBuf};

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        // A link may lead back here.
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files(&path, found),
            Ok(kind) if kind.is_file() && (Image::is_named_by(&path) || foreign(&path).is_some()) => found.push(path),
            _ => {}
        }
    }
}

/// Greatest and mean difference of what can be seen, and how many pixels differ.
fn difference(ours: &Image, theirs: &[u8]) -> (u32, f64, usize) {
    let (mut most, mut sum, mut pixels) = (0, 0, 0);
    for (at, (color, other)) in ours.colors().chunks_exact(3).zip(theirs.chunks_exact(4)).enumerate() {
        let alpha = ours.alpha().map_or(255, |alpha| alpha[at]);
        let seen = |c: u8, alpha: u8| u32::from(c) * u32::from(alpha) / 255;
        let differs =
            (0..3).map(|c| seen(color[c], alpha).abs_diff(seen(other[c], other[3]))).chain([u32::from(alpha.abs_diff(other[3]))]);
        let differs: Vec<u32> = differs.collect();
        most = most.max(differs.iter().copied().max().unwrap_or(0));
        sum += differs.iter().sum::<u32>() as usize;
        pixels += usize::from(differs.iter().any(|&d| d > 0));
    }
    (most, sum as f64 / (4 * ours.height() * ours.width()) as f64, pixels)
}

fn main() {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("usage: compare_decoders FOLDER");
        std::process::exit(2);
    };
    let mut paths = Vec::new();
    files(Path::new(&folder), &mut paths);
    paths.sort();
    let (mut equal, mut near, mut far, mut refused, mut alone) = (0, 0, 0, 0, 0);
    let decoder = Decoder { keep_damaged: true, ..Decoder::default() };
    for path in &paths {
        // Some inputs make a decoder of that crate panic.
        std::panic::set_hook(Box::new(|_| {}));
        let theirs = std::panic::catch_unwind(|| image::ImageReader::open(path).ok()?.with_guessed_format().ok()?.decode().ok());
        let theirs = theirs.ok().flatten().map(image::DynamicImage::into_rgba8);
        let _ = std::panic::take_hook();
        let name = path.display();
        let ours = match decoder.open(path) {
            Ok(ours) => ours,
            Err(error) => {
                refused += 1;
                println!("{name}: refused: {error}{}", if theirs.is_some() { " (the other reads it)" } else { "" });
                continue;
            }
        };
        let words: Vec<&str> = ours.damage().into_iter().chain(ours.notes().iter().map(String::as_str)).collect();
        let words = if words.is_empty() { String::new() } else { format!(" ({})", words.join("; ")) };
        match theirs {
            None => {
                alone += 1;
                println!("{name}: read by ours alone{words}");
            }
            Some(theirs) if (theirs.height() as usize, theirs.width() as usize) != (ours.height(), ours.width()) => {
                far += 1;
                println!(
                    "{name}: {} × {}, the other has {} × {}{words}",
                    ours.width(),
                    ours.height(),
                    theirs.width(),
                    theirs.height()
                );
            }
            Some(theirs) => {
                let (most, mean, pixels) = difference(&ours, theirs.as_raw());
                *(if most == 0 {
                    &mut equal
                } else if most <= 2 {
                    &mut near
                } else {
                    &mut far
                }) += 1;
                if most > 0 || !words.is_empty() {
                    println!("{name}: differs by {most} at most, {mean:.3} on average, in {pixels} pixels{words}");
                }
            }
        }
    }
    let all = paths.len();
    println!("{all} files: {equal} equal, {near} within 2 levels, {far} further, {alone} read by ours alone, {refused} refused");
}
