//! Any text as the metadata that describe a network of the embedded family.
#![no_main]

use deepcut::Cpu;
use deepcut::backbone::from_bytes;
use deepcut::backbone::vit::VitOptions;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let header = serde_json::json!({ "__metadata__": { "deepcut": text } }).to_string();
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
    let _ = from_bytes("fuzz", &bytes, &Cpu::default(), &VitOptions::default());
});
