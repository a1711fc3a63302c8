//! Any bytes as a network's file.
#![no_main]

use deepcut::Cpu;
use deepcut::backbone::from_bytes;
use deepcut::backbone::vit::VitOptions;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = from_bytes("fuzz", bytes, &Cpu::default(), &VitOptions { heads: Some(1), ..VitOptions::default() });
    let _ = from_bytes("fuzz", bytes, &Cpu::default(), &VitOptions::default());
});
