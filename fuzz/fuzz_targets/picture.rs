//! Any bytes as a picture.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = deepcut::Image::decode(bytes);
});
