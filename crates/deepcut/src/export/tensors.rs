//! Safetensors files of features, for other tools.

use super::ExportError;
use crate::backbone::FeatureMap;
use safetensors::tensor::{Dtype, TensorView, serialize};

/// A file of one tensor, `features`, `[grid_height, grid_width, dim]` in f32, with `metadata`.
///
/// # Errors
/// [`ExportError::Tensors`] if the map does not hold what its shape says.
pub fn features(map: &FeatureMap, metadata: impl Iterator<Item = (String, String)>) -> Result<Vec<u8>, ExportError> {
    let bytes: Vec<u8> = map.data.iter().flat_map(|x| x.to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F32, vec![map.grid_height, map.grid_width, map.dim], &bytes)?;
    Ok(serialize([("features", view)], Some(metadata.collect()))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::SafeTensors;

    #[test]
    fn features_are_read_back() {
        let map = FeatureMap { grid_height: 2, grid_width: 1, dim: 3, data: vec![0.0, -1.5, 2.0, 3.0, 4.0, 1e-9] };
        let bytes = features(&map, [("a".to_owned(), "b".to_owned())].into_iter()).unwrap();
        let view = SafeTensors::deserialize(&bytes).unwrap();
        let tensor = view.tensor("features").unwrap();
        assert_eq!(tensor.shape(), [2, 1, 3]);
        let values: Vec<f32> = tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        assert_eq!(values, map.data);
        let metadata = SafeTensors::read_metadata(&bytes).unwrap().1.metadata().clone().unwrap();
        assert_eq!(metadata["a"], "b");
        let short = FeatureMap { grid_height: 3, ..map };
        assert!(matches!(features(&short, std::iter::empty()), Err(ExportError::Tensors(_))));
    }
}
