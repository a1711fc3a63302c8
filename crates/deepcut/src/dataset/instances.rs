//! The objects of an image, told apart, and what is done about pixels that nobody judged.

use crate::instances::Instance;
use crate::metrics::average_precision::TrueObject;
use crate::rle::Rle;

/// Values of label pictures that stand for void pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Void(pub Vec<u16>);

/// The objects of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Instances {
    /// Those of one category after those of another, as pycocotools has them.
    pub objects: Vec<TrueObject>,
    /// `[height, width]`: pixels that nobody judged; they are no object's. None if there are none.
    pub void: Option<Vec<bool>>,
}

impl Instances {
    /// Removes void pixels from what was found, on the whole image and before any void pixel was known. An instance without another pixel is
    /// dropped.
    #[must_use]
    pub fn judged(&self, mut found: Vec<Instance>) -> Vec<Instance> {
        if let Some(void) = &self.void {
            for instance in &mut found {
                let Some(bounds) = instance.mask.bounds() else { continue };
                let (height, width, mask) = (instance.mask.height(), instance.mask.width(), instance.mask.decode());
                let is_judged = |at: usize| mask[at] > 0 && !void.get(at).copied().unwrap_or(false);
                instance.mask = Rle::encode_within(height, width, bounds, is_judged);
            }
        }
        found.retain(|instance| instance.mask.area() > 0);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn void_pixels_are_removed_and_void_instances_dropped() {
        let instance = |pixels: &'static [usize], score| Instance { mask: Rle::encode(2, 3, |at| pixels.contains(&at)), score };
        let void = Some([false, true, true, false, false, true].to_vec());
        let found = vec![instance(&[1, 2], 0.9), instance(&[0, 1, 4], 0.8), instance(&[], 0.7)];
        let judged = Instances { objects: vec![], void }.judged(found.clone());
        assert_eq!(judged, [instance(&[0, 4], 0.8)]);
        assert_eq!(Instances { objects: vec![], void: None }.judged(found.clone()), found[..2]);
    }
}
