//! From RGB bytes in memory to a mask: `cargo run --release --example rgb_to_mask`.

use deepcut::{Image, Options, Segmenter};

fn main() -> Result<(), deepcut::Error> {
    // Three bytes a pixel, row by row, as a camera or another program gives them. Here: an orange on an uneven green ground.
    let (height, width) = (240, 320);
    let mut rgb = Vec::with_capacity(height * width * 3);
    for y in 0..height {
        for x in 0..width {
            let (down, across) = (y as f32 - 130.0, x as f32 - 190.0);
            let shade = 1.0 - (down * down + across * across) / (80.0 * 80.0);
            let grain = ((x * 7 + y * 13) % 19) as u8;
            rgb.extend(if shade > 0.0 { [170 + (80.0 * shade) as u8, 110, 20 + grain] } else { [40 + grain, 90 + grain, 50] });
        }
    }
    let image = Image::new(height, width, rgb)?;

    let segmenter = Segmenter::load(Options::default())?;
    let found = segmenter.segment(&image)?;
    // 255 in the object, 0 elsewhere.
    let mask = found.mask();

    for row in mask.chunks(width).step_by(12) {
        println!("{}", row.iter().step_by(6).map(|&value| if value > 0 { '#' } else { '.' }).collect::<String>());
    }
    let share = 100 * mask.iter().filter(|&&value| value > 0).count() / mask.len();
    println!("object: {share} % of the image, confidence {:.2}", found.confidence());
    if let Some(largest) = found.components().first() {
        let bounds = largest.bounds;
        println!("box: x {}, y {}, width {}, height {}", bounds.left, bounds.top, bounds.width, bounds.height);
    }
    Ok(())
}
