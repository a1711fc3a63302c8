//! From a segmentation to files' bytes.

pub mod png;
pub mod record;
pub mod tensors;

/// Why a result could not be encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The PNG encoder refused.
    #[error("cannot encode the PNG file")]
    Png(#[from] ::png::EncodingError),
    /// The values are not those of the shape.
    #[error("cannot encode the safetensors file")]
    Tensors(#[from] safetensors::SafeTensorError),
    /// A file's values are no features.
    #[error("the file holds no features")]
    Features(#[from] crate::features::FeatureMapError),
    /// Picture and segmentation differ in size.
    #[error("a segmentation of {segmentation:?} pixels cannot be laid over a picture of {image:?}")]
    Size {
        /// Height and width of the picture.
        image: (usize, usize),
        /// Height and width of the segmentation.
        segmentation: (usize, usize),
    },
}
