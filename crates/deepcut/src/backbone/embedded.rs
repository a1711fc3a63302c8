//! The network inside the program: works offline, with nothing to download.

use super::convnet::ConvNet;
use super::weights::WeightsError;
use crate::cpu::{Cpu, Precision};

/// The file as it is in the repository; `training/` made it. A constant would be in a program once for every crate that uses it.
pub static BYTES: &[u8] = include_bytes!("../../weights/embedded.safetensors");

/// Loads the embedded network for a processor.
///
/// # Errors
/// None in a released program: the tests load these very bytes.
pub fn load(cpu: &Cpu, precision: Precision) -> Result<ConvNet, WeightsError> {
    ConvNet::from_bytes("embedded", BYTES, cpu, precision)
}
