//! Any bytes as a Y4M stream.
#![no_main]

use deepcut::video::Y4m;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(mut frames) = Y4m::new(bytes, 1 << 16) {
        while let Ok(Some(_)) = frames.next_frame() {}
    }
});
