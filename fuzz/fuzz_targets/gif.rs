//! Any bytes as a GIF file.
#![no_main]

use deepcut::image::{Decoder, Format};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let decoder = Decoder { max_pixels: 1 << 16, keep_damaged: true, memory: None };
    let _ = decoder.decode_as(Format::Gif, bytes);
});
