//! Any bytes as run lengths of a mask of any size: what is read is a mask, and its own writing is read as the same.
#![no_main]

use deepcut::components::BoundingBox;
use deepcut::rle::Rle;

/// Decoding takes memory for every pixel.
const MOST_PIXELS: usize = 1 << 16;

libfuzzer_sys::fuzz_target!(|input: (usize, usize, &[u8], Vec<usize>, [usize; 4])| {
    let (height, width, text, counts, [top, left, rows, columns]) = input;
    let read = [
        Rle::from_compressed(height, width, text),
        Rle::new(height, width, counts.clone()),
        Rle::from_compressed(height % 64, width % 64, text),
        Rle::new(height % 64, width % 64, counts),
    ];
    for rle in read.into_iter().flatten() {
        let pixels = rle.height().checked_mul(rle.width()).expect("larger ones are refused");
        assert_eq!(rle.counts().iter().sum::<usize>(), pixels);
        assert_eq!(Rle::from_compressed(rle.height(), rle.width(), rle.to_compressed().as_bytes()), Ok(rle.clone()));
        if pixels > MOST_PIXELS || rle.height().max(rle.width()) > MOST_PIXELS {
            continue;
        }
        let mask = rle.decode();
        assert_eq!(Rle::encode(rle.height(), rle.width(), |at| mask[at] > 0), rle);
        assert_eq!(mask.iter().filter(|value| **value > 0).count(), rle.area());
        assert_eq!(rle.intersection(&rle), rle.area());
        assert_eq!(Rle::from_row_counts(rle.height(), rle.width(), rle.row_counts()), Ok(rle.clone()));
        let _ = rle.row_counts_within(BoundingBox { top, left, height: rows, width: columns });
        let bounds = rle.bounds().unwrap_or(BoundingBox { top: 0, left: 0, height: 0, width: 0 });
        assert_eq!(rle.crop(bounds).iter().filter(|value| **value > 0).count(), rle.area());
    }
});
