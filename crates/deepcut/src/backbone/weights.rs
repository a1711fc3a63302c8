//! Reads tensors from safetensors bytes, strictly: every tensor exists with the expected shape, none is left over, and every value is
//! finite.

use super::config::Config;
use super::foreign;
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::io::Read;

/// Why weights could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The container is damaged.
    #[error("not a complete safetensors file; it may be truncated: fetch or export it again")]
    Container(#[from] safetensors::SafeTensorError),
    /// The file has another format, or is not a network. The message says what to do.
    #[error("{0}")]
    Foreign(String),
    /// The metadata that describe the network are missing.
    #[error("the safetensors file has no metadata under the key `{key}`: it is not a network for this program")]
    NoMetadata {
        /// The missing key.
        key: &'static str,
    },
    /// The metadata do not describe a network that this program can run.
    #[error("the network's metadata is wrong: {0}")]
    Metadata(String),
    /// The network does not suit the options, or needs an operation that this program does not compute.
    #[error("{0}")]
    Unsuited(String),
    /// A tensor is missing.
    #[error("tensor `{name}` is missing{}", shape_note(.expected))]
    Missing {
        /// Name of the tensor.
        name: String,
        /// Shape in this architecture.
        expected: Vec<usize>,
    },
    /// A tensor's shape does not match the architecture.
    #[error("tensor `{name}` has shape {got:?}, expected {expected:?}")]
    Shape {
        /// Name of the tensor.
        name: String,
        /// Shape in this architecture.
        expected: Vec<usize>,
        /// Shape in the file.
        got: Vec<usize>,
    },
    /// A tensor has a type that this program does not read.
    #[error("tensor `{name}` has type {got}; expected F16, BF16, F32 or F64")]
    Type {
        /// Name of the tensor.
        name: String,
        /// Type in the file.
        got: String,
    },
    /// A tensor contains NaN or infinity.
    #[error("tensor `{name}` holds a value that is not finite")]
    NotFinite {
        /// Name of the tensor.
        name: String,
    },
    /// The file has tensors that the architecture does not have.
    #[error("unexpected tensors: {}", .0.join(", "))]
    Unexpected(Vec<String>),
}

fn shape_note(expected: &[usize]) -> String {
    if expected.is_empty() { String::new() } else { format!(" (expected shape {expected:?})") }
}

/// The tensors of a file, taken by name.
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

    /// As [`Weights::parse`]; for a file in another format, the error says what to do. `name` is the file's name.
    ///
    /// # Errors
    /// [`WeightsError::Foreign`] or [`WeightsError::Container`].
    pub fn parse_named(name: &str, bytes: &'a [u8]) -> Result<Self, WeightsError> {
        Self::parse(bytes).map_err(|error| foreign::recognize(name, bytes).map_or(error, WeightsError::Foreign))
    }

    /// A vision transformer's config in the file's metadata: a whole `config.json` under the key `config`, or single values under their
    /// own keys.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn config(&self) -> Result<Config, WeightsError> {
        let whole = self.metadata.get("config").map_or_else(|| Ok(Config::default()), |text| Config::parse(text))?;
        let value = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| serde_json::Value::String(text.clone()));
        let names = ["num_attention_heads", "num_heads", "heads", "architecture", "layer_norm_eps", "mean", "std"];
        let single = names.into_iter().filter_map(|name| Some((name.to_owned(), value(self.metadata.get(name)?))));
        Ok(Config::parse(&serde_json::Value::Object(single.collect()).to_string())?.or(whole))
    }

    /// The JSON text stored under `key`.
    ///
    /// # Errors
    /// [`WeightsError::NoMetadata`] if the key is missing.
    pub fn metadata(&self, key: &'static str) -> Result<&str, WeightsError> {
        self.metadata.get(key).map(String::as_str).ok_or(WeightsError::NoMetadata { key })
    }

    /// Names of the tensors not taken yet.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.left.iter().map(String::as_str)
    }

    /// The shape of tensor `name`.
    ///
    /// # Errors
    /// [`WeightsError::Missing`], with an empty expected shape.
    pub fn shape(&self, name: &str) -> Result<Vec<usize>, WeightsError> {
        let tensor = self.tensors.tensor(name).map_err(|_| WeightsError::Missing { name: name.into(), expected: vec![] })?;
        Ok(tensor.shape().to_vec())
    }

    /// Drops the tensors whose names `unused` accepts.
    pub fn ignore(&mut self, unused: impl Fn(&str) -> bool) {
        self.left.retain(|name| !unused(name));
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
        let pairs = bytes.as_chunks::<2>().0;
        let values: Vec<f32> = match tensor.dtype() {
            Dtype::F16 => pairs.iter().map(|&b| f16::from_le_bytes(b)).collect::<Vec<_>>().to_f32_vec(),
            Dtype::BF16 => pairs.iter().map(|&b| bf16::from_le_bytes(b)).collect::<Vec<_>>().to_f32_vec(),
            // Some networks were trained in f64; products here are in f32 at most.
            Dtype::F64 => bytes.as_chunks::<8>().0.iter().map(|&b| f64::from_le_bytes(b) as f32).collect(),
            Dtype::F32 => bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
            other => return Err(WeightsError::Type { name: name.into(), got: format!("{other:?}") }),
        };
        // No early exit, so that the compiler vectorizes the loop.
        if !values.iter().fold(true, |finite, v| finite & v.is_finite()) {
            return Err(WeightsError::NotFinite { name: name.into() });
        }
        self.left.remove(name);
        Ok(values)
    }

    /// Checks that every tensor was taken or ignored.
    ///
    /// # Errors
    /// [`WeightsError::Unexpected`] if a tensor is left.
    pub fn finish(self) -> Result<(), WeightsError> {
        if self.left.is_empty() { Ok(()) } else { Err(WeightsError::Unexpected(self.left.into_iter().collect())) }
    }
}

/// SHA-256 of `bytes`, in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// SHA-256 of all that a reader gives, in hexadecimal.
///
/// # Errors
/// The reader's own.
pub fn sha256_of_reader(mut reader: impl Read) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(hexadecimal(&hasher.finalize())),
            Ok(n) => hasher.update(&buffer[..n]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Bytes in hexadecimal, two digits each.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::convnet::ConvNet;
    use crate::backbone::embedded::BYTES;
    use crate::cpu::{Cpu, Precision};
    use proptest::prelude::*;

    /// A safetensors file of one tensor.
    fn file(dtype: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let end = data.len();
        let header = format!(r#"{{"x":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{end}]}}}}"#);
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    #[test]
    fn checksums_are_those_of_the_standard() {
        // FIPS 180-4, the empty message and "abc".
        assert_eq!(sha256(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(sha256_of_reader(BYTES).unwrap(), sha256(BYTES));
    }

    #[test]
    fn every_type_is_read_and_every_mistake_named() {
        let take = |bytes: &[u8], name: &str, shape: &[usize]| Weights::parse(bytes)?.take(name, shape);
        assert_eq!(take(&file("F32", "[1]", &1.5f32.to_le_bytes()), "x", &[1]).unwrap(), [1.5]);
        assert_eq!(take(&file("F16", "[2]", &[0, 0x3e, 0, 0xc0]), "x", &[2]).unwrap(), [1.5, -2.0]);
        assert_eq!(take(&file("BF16", "[1]", &[0xc0, 0x3f]), "x", &[1]).unwrap(), [1.5]);
        let whole = file("F16", "[2]", &[0, 0x3e, 0, 0xc0]);
        assert!(matches!(take(&whole, "y", &[2]), Err(WeightsError::Missing { .. })));
        assert!(matches!(take(&whole, "x", &[1, 2]), Err(WeightsError::Shape { .. })));
        assert!(matches!(take(&file("I32", "[1]", &[0; 4]), "x", &[1]), Err(WeightsError::Type { .. })));
        assert!(matches!(take(&file("F16", "[1]", &[0, 0x7c]), "x", &[1]), Err(WeightsError::NotFinite { .. })));
        assert!(matches!(take(&whole[..whole.len() - 1], "x", &[2]), Err(WeightsError::Container(_))));
        let mut weights = Weights::parse(&whole).unwrap();
        assert!(matches!(weights.metadata("deepcut"), Err(WeightsError::NoMetadata { key: "deepcut" })));
        weights.take("x", &[2]).unwrap();
        weights.finish().unwrap();
        assert!(matches!(Weights::parse(&whole).unwrap().finish(), Err(WeightsError::Unexpected(names)) if names == ["x"]));
        // A length beyond any memory is refused, not allocated.
        assert!(matches!(Weights::parse(&[0xff; 64]), Err(WeightsError::Container(_))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever the bytes, reading them ends in a network or an error.
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(ConvNet::from_bytes("random", &bytes, &Cpu::default(), Precision::F32).is_err());
        }

        /// The embedded network's header with a few bytes changed.
        #[test]
        fn changed_headers_never_panic(changes in proptest::collection::vec((0usize..9000, any::<u8>()), 1..4)) {
            let mut bytes = BYTES.to_vec();
            changes.iter().for_each(|(at, value)| bytes[*at] = *value);
            let _ = ConvNet::from_bytes("changed", &bytes, &Cpu::default(), Precision::F32);
        }
    }
}
