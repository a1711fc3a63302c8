//! Any bytes as a stream of frames: animations and Y4M.
#![no_main]

use deepcut::image::Decoder;
use deepcut::video::Frames;
use std::io::Cursor;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let decoder = Decoder { max_pixels: 1 << 16, keep_damaged: true, memory: None };
    if let Ok(mut frames) = Frames::read(Cursor::new(bytes.to_vec()), decoder) {
        while let Ok(Some(_)) = frames.next_frame() {}
    }
});
