//! The network inside the program, which needs no download.

use super::convnet::ConvNet;
use super::weights::WeightsError;
use crate::cpu::{Cpu, Precision};

/// The weights' file, made by `training/`. A static, because a constant would be copied into every crate that uses it.
pub static BYTES: &[u8] = include_bytes!("../../weights/embedded.safetensors");

/// The checksum of [`BYTES`]: without instructions for it, computing it takes as long as an image.
const SHA256: &str = "a426dbc0f0ac186b4e119181f1b7c15e8bfc0644ef1d0105ca2c862618d74c3f";

/// Loads the embedded network for a processor.
///
/// # Errors
/// None in a released program: tests load these bytes.
pub fn load(cpu: &Cpu, precision: Precision) -> Result<ConvNet, WeightsError> {
    ConvNet::from_bytes_of(|| SHA256.into(), "embedded", BYTES, cpu, precision)
}

#[cfg(test)]
mod tests {
    use super::super::weights::sha256;
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_bytes() {
        assert_eq!(SHA256, sha256(BYTES));
    }
}
