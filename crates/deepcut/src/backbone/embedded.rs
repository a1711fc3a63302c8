//! The network inside the program, which needs no download.

use super::convnet::ConvNet;
use super::weights::WeightsError;
use crate::cpu::{Cpu, Precision};

/// The weights' file, made by `training/`. A static, because a constant would be copied into every crate that uses it.
pub static BYTES: &[u8] = include_bytes!("../../weights/embedded.safetensors");

/// Loads the embedded network for a processor.
///
/// # Errors
/// None in a released program: tests load these bytes.
pub fn load(cpu: &Cpu, precision: Precision) -> Result<ConvNet, WeightsError> {
    ConvNet::from_bytes("embedded", BYTES, cpu, precision)
}
