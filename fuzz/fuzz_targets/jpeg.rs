//! Any bytes as a JPEG: no panic, no more memory than announced, and pixels of the announced size.
#![no_main]

use deepcut::internals::jpeg::{Limits, decode, header};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // Half a megapixel, so that no input takes long.
    let limits = Limits { max_pixels: 1 << 19 };
    if let Ok(decoded) = decode(bytes, &limits) {
        let header = header(bytes).expect("what decodes has a header");
        assert_eq!((header.height, header.width, header.components), (decoded.height, decoded.width, decoded.components));
        assert_eq!(decoded.data.len(), decoded.height * decoded.width * decoded.components.count());
        assert!(decoded.data.len() as u64 <= header.memory);
    }
});
