//! Soft labels on the grid of patches.

use crate::train::argmax;

/// Labels that share one upsampling decision: the background's, or the foreground's.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Probability that a patch belongs to the group, `[patches]`; over all groups a patch's probabilities sum to one.
    pub probability: Vec<f32>,
    /// Its labels.
    pub labels: Vec<u8>,
    /// Probability of each label within the group, `[patches, labels]`, zero in patches of other groups; empty for one label.
    pub label_probability: Vec<f32>,
}

impl Group {
    /// A group of one label.
    #[must_use]
    pub(crate) fn of_one(label: u8, probability: Vec<f32>) -> Self {
        Self { probability, labels: vec![label], label_probability: vec![] }
    }
}

/// Soft labels of a grid of patches.
#[derive(Debug, Clone, PartialEq)]
pub struct GridLabels {
    /// Rows of patches.
    pub height: usize,
    /// Columns of patches.
    pub width: usize,
    /// The groups, the background first; a patch's group is the most probable.
    pub groups: Vec<Group>,
}

impl GridLabels {
    /// The label of every patch, `[height, width]`.
    ///
    /// ```
    /// use deepcut::segment::{GridLabels, Group};
    ///
    /// // Three patches: background, and an object of two parts.
    /// let background = Group { probability: vec![0.9, 0.4, 0.2], labels: vec![0], label_probability: vec![] };
    /// #[rustfmt::skip]
    /// let object = Group {
    ///     probability: vec![0.1, 0.6, 0.8],
    ///     labels: vec![1, 2],
    ///     label_probability: vec![
    ///         0.0, 0.0,
    ///         0.7, 0.3,
    ///         0.1, 0.9,
    ///     ],
    /// };
    /// let grid = GridLabels { height: 1, width: 3, groups: vec![background, object] };
    /// // First background or object, then the part: the second patch is part 1, though 0.6 · 0.7 is less than 0.5.
    /// assert_eq!(grid.hard(), [0, 1, 2]);
    /// ```
    #[must_use]
    pub fn hard(&self) -> Vec<u8> {
        (0..self.height * self.width)
            .map(|patch| {
                let probabilities: Vec<f32> = self.groups.iter().map(|group| group.probability[patch]).collect();
                let Group { labels, label_probability, .. } = &self.groups[argmax(&probabilities)];
                let k = labels.len();
                if k > 1 { labels[argmax(&label_probability[patch * k..(patch + 1) * k])] } else { labels[0] }
            })
            .collect()
    }
}
