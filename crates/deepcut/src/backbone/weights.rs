//! Reads tensors from safetensors bytes, strictly: every tensor asked for is there with the shape expected, none is left over,
//! every value is finite.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};

/// Why weights could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The container is damaged.
    #[error("not a complete safetensors file ({0}); it may be truncated: fetch or export it again")]
    Container(#[from] safetensors::SafeTensorError),
    /// The metadata that describes the network is not there.
    #[error("the safetensors file has no metadata under the key `{key}`: it is not a network for this program")]
    NoMetadata {
        /// The key looked for.
        key: &'static str,
    },
    /// The metadata does not describe a network this program can run.
    #[error("the network's metadata is wrong: {0}")]
    Metadata(String),
    /// A tensor is not there.
    #[error("tensor `{name}` is missing (expected shape {expected:?})")]
    Missing {
        /// Its name.
        name: String,
        /// The shape the architecture gives it.
        expected: Vec<usize>,
    },
    /// A tensor has another shape than the architecture says.
    #[error("tensor `{name}` has shape {got:?}, expected {expected:?}")]
    Shape {
        /// Its name.
        name: String,
        /// The shape the architecture gives it.
        expected: Vec<usize>,
        /// The shape in the file.
        got: Vec<usize>,
    },
    /// A tensor is in a type this program does not read.
    #[error("tensor `{name}` has type {got}; expected F16, BF16 or F32")]
    Type {
        /// Its name.
        name: String,
        /// The type in the file.
        got: String,
    },
    /// A tensor holds NaN or infinity.
    #[error("tensor `{name}` holds a value that is not finite")]
    NotFinite {
        /// Its name.
        name: String,
    },
    /// The file holds tensors the architecture does not have.
    #[error("unexpected tensors: {}", .0.join(", "))]
    Unexpected(Vec<String>),
}

/// The tensors of one file, taken out by name.
#[derive(Debug)]
pub struct Weights<'a> {
    tensors: SafeTensors<'a>,
    metadata: HashMap<String, String>,
    left: BTreeSet<String>,
}

impl<'a> Weights<'a> {
    /// Reads the header of safetensors bytes.
    ///
    /// # Errors
    /// [`WeightsError::Container`] if the header is damaged or names bytes beyond the end.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WeightsError> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let tensors = SafeTensors::deserialize(bytes)?;
        let left = tensors.names().into_iter().map(str::to_owned).collect();
        Ok(Self { tensors, metadata: header.metadata().clone().unwrap_or_default(), left })
    }

    /// The JSON text stored under `key`.
    ///
    /// # Errors
    /// [`WeightsError::NoMetadata`] if there is none.
    pub fn metadata(&self, key: &'static str) -> Result<&str, WeightsError> {
        self.metadata.get(key).map(String::as_str).ok_or(WeightsError::NoMetadata { key })
    }

    /// Takes tensor `name` as f32.
    ///
    /// # Errors
    /// [`WeightsError::Missing`], [`WeightsError::Shape`], [`WeightsError::Type`] or [`WeightsError::NotFinite`].
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, WeightsError> {
        let Ok(tensor) = self.tensors.tensor(name) else {
            return Err(WeightsError::Missing { name: name.into(), expected: shape.into() });
        };
        if tensor.shape() != shape {
            return Err(WeightsError::Shape { name: name.into(), expected: shape.into(), got: tensor.shape().into() });
        }
        let bytes = tensor.data();
        let pairs = || bytes.chunks_exact(2).map(|b| [b[0], b[1]]);
        let values: Vec<f32> = match tensor.dtype() {
            Dtype::F16 => pairs().map(f16::from_le_bytes).collect::<Vec<_>>().to_f32_vec(),
            Dtype::BF16 => pairs().map(bf16::from_le_bytes).collect::<Vec<_>>().to_f32_vec(),
            Dtype::F32 => bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
            other => return Err(WeightsError::Type { name: name.into(), got: format!("{other:?}") }),
        };
        if !values.iter().all(|v| v.is_finite()) {
            return Err(WeightsError::NotFinite { name: name.into() });
        }
        self.left.remove(name);
        Ok(values)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`WeightsError::Unexpected`] if a tensor was not taken.
    pub fn finish(self) -> Result<(), WeightsError> {
        if self.left.is_empty() { Ok(()) } else { Err(WeightsError::Unexpected(self.left.into_iter().collect())) }
    }
}

/// SHA-256 of `bytes`, in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
