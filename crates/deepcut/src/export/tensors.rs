//! Safetensors files of features, for other tools and to be read again.

use super::ExportError;
use crate::features::FeatureMap;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, SafeTensorError, TensorView, serialize};

/// What follows an image's name in the name of the file of its features, after a dot.
pub const SUFFIX: &str = "features.safetensors";
/// The key of the metadata that says that the image was of one color.
const CONSTANT: &str = "constant";

/// A file of the tensor `features`, `[grid_height, grid_width, dim]` in f32, and `colors`, `[grid_height, grid_width, 3]`,
/// `objectness`, `[grid_height, grid_width, 1]`, and `fine_objectness`, `[grid_height * scale, grid_width * scale, 1]`, if the map has them, with
/// `metadata`.
///
/// # Errors
/// [`ExportError::Tensors`] if the map is too large for such a file.
pub fn features(map: &FeatureMap, metadata: impl Iterator<Item = (String, String)>) -> Result<Vec<u8>, ExportError> {
    let bytes = |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|x| x.to_le_bytes()).collect() };
    let (data, colors, objectness) = (bytes(map.data()), map.colors().map(bytes), map.objectness().map(bytes));
    let (grid_height, grid_width) = map.grid();
    let view = |dim, data| TensorView::new(Dtype::F32, vec![grid_height, grid_width, dim], data);
    let mut tensors = vec![("features", view(map.dim(), &data)?)];
    if let Some(colors) = &colors {
        tensors.push(("colors", view(3, colors)?));
    }
    if let Some(objectness) = &objectness {
        tensors.push(("objectness", view(1, objectness)?));
    }
    let fine = map.fine_objectness().map(|(scale, values)| (scale, bytes(values)));
    if let Some((scale, fine)) = &fine {
        let shape = vec![grid_height * scale, grid_width * scale, 1];
        tensors.push(("fine_objectness", TensorView::new(Dtype::F32, shape, fine)?));
    }
    let constant = map.is_of_constant_image().then(|| (CONSTANT.to_owned(), "true".to_owned()));
    Ok(serialize(tensors, Some(metadata.chain(constant).collect()))?)
}

/// The map of a file that [`features`] made.
///
/// # Errors
/// [`ExportError::Tensors`] if it is no such file, [`ExportError::Features`] if its values are no features.
pub fn read_features(file: &[u8]) -> Result<FeatureMap, ExportError> {
    let tensors = SafeTensors::deserialize(file)?;
    let values = |view: &TensorView<'_>| -> Vec<f32> {
        view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    };
    let view = tensors.tensor("features")?;
    let (&[grid_height, grid_width, dim], Dtype::F32) = (view.shape(), view.dtype()) else {
        return Err(SafeTensorError::InvalidTensorView(view.dtype(), view.shape().to_vec(), view.data().len()).into());
    };
    let metadata = SafeTensors::read_metadata(file)?.1;
    let constant = metadata.metadata().as_ref().is_some_and(|metadata| metadata.contains_key(CONSTANT));
    let map = FeatureMap::new(grid_height, grid_width, dim, values(&view))?.with_constant_image(constant);
    let others = |name| tensors.tensor(name).ok().filter(|view| view.dtype() == Dtype::F32).map(|view| values(&view));
    let map = if let Some(colors) = others("colors") { map.with_colors(colors)? } else { map };
    if let Some(fine) = others("fine_objectness") {
        let scale = tensors.tensor("fine_objectness").map_or(0, |view| match *view.shape() {
            [rows, columns, 1] => map.scale_of(rows, columns),
            _ => 0,
        });
        return Ok(map.with_fine_objectness(scale, fine)?);
    }
    Ok(if let Some(objectness) = others("objectness") { map.with_objectness(objectness)? } else { map })
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::SafeTensors;

    #[test]
    fn features_are_read_back() {
        let map = FeatureMap::new(2, 1, 3, vec![0.0, -1.5, 2.0, 3.0, 4.0, 1e-9]).unwrap();
        let bytes = features(&map, [("a".to_owned(), "b".to_owned())].into_iter()).unwrap();
        let view = SafeTensors::deserialize(&bytes).unwrap();
        let tensor = view.tensor("features").unwrap();
        assert_eq!(tensor.shape(), [2, 1, 3]);
        let values: Vec<f32> = tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        assert_eq!(values, map.data());
        let metadata = SafeTensors::read_metadata(&bytes).unwrap().1.metadata().clone().unwrap();
        assert_eq!(metadata["a"], "b");
        assert_eq!(read_features(&bytes).unwrap(), map);
        let colored = map.with_colors(vec![0.25; 6]).unwrap().with_objectness(vec![1.0, -3.0]).unwrap().with_constant_image(true);
        assert_eq!(read_features(&features(&colored, std::iter::empty()).unwrap()).unwrap(), colored);
        let fine = colored.with_fine_objectness(3, (0..18u8).map(f32::from).collect()).unwrap();
        let file = features(&fine, std::iter::empty()).unwrap();
        assert_eq!(SafeTensors::deserialize(&file).unwrap().tensor("fine_objectness").unwrap().shape(), [6, 3, 1]);
        assert_eq!(read_features(&file).unwrap(), fine);
        // As many values, but of another grid.
        let name = |shape: &str| file.windows(shape.len()).position(|bytes| bytes == shape.as_bytes()).unwrap();
        let mut other = file.clone();
        let at = name("[6,3,1]");
        other[at..at + 7].copy_from_slice(b"[3,6,1]");
        assert!(matches!(read_features(&other), Err(ExportError::Features(_))));
        assert!(read_features(&bytes[..bytes.len() - 1]).is_err());
        let mut broken = bytes.clone();
        let at = broken.len() - 4;
        broken[at..].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(matches!(read_features(&broken), Err(ExportError::Features(_))));
    }
}
