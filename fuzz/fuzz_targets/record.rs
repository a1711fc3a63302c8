//! Any bytes as what an interrupted evaluation left.
#![no_main]

use deepcut::metrics::MaxF;
use deepcut::record::read;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let header = serde_json::json!({ "a": 1 });
    let text = [b"{\"a\":1}\n", bytes].concat();
    for bytes in [bytes, &text] {
        let Ok(known) = read(bytes, &header, 2) else { continue };
        assert!(known.whole <= bytes.len());
        let mut f = MaxF::default();
        for picture in known.pictures.values() {
            assert!([0, 2].contains(&picture.results.len()));
            picture.results.iter().filter_map(|measured| measured.histogram.as_ref()).for_each(|histogram| f.add(histogram));
        }
    }
});
