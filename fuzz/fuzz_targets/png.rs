//! Any bytes as a PNG file, and as one whose check sums are right.
#![no_main]

use deepcut::image::{Decoder, Format};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let decoder = Decoder { max_pixels: 1 << 16, keep_damaged: true, memory: None };
    let _ = decoder.decode_as(Format::Png, bytes);
    let mut mended = bytes.to_vec();
    let mut at = 8;
    while let Some(head) = mended.get(at..at + 4) {
        let end = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize + at + 8;
        let Some(body) = mended.get(at + 4..end) else { break };
        let sum = crc32fast::hash(body).to_be_bytes();
        let Some(place) = mended.get_mut(end..end + 4) else { break };
        place.copy_from_slice(&sum);
        at = end + 4;
    }
    let _ = decoder.decode_as(Format::Png, &mended);
});
