//! Soft labels on the grid of patches.

use crate::train::argmax;

/// Labels that share one upsampling decision: the background's, or the foreground's.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Probability that a patch belongs to the group, `[patches]`; over all groups a patch's probabilities sum to one.
    pub(crate) probability: Vec<f32>,
    /// Its labels.
    pub(crate) labels: Vec<u8>,
    /// Probability of each label within the group, `[patches, labels]`, zero in patches of other groups; empty for one label.
    pub(crate) label_probability: Vec<f32>,
}

impl Group {
    /// Probability that a patch belongs to the group, `[patches]`.
    #[must_use]
    pub fn probability(&self) -> &[f32] {
        &self.probability
    }

    /// The group's labels.
    #[must_use]
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// Probability of each label within the group, `[patches, labels]`; empty for one label.
    #[must_use]
    pub fn label_probability(&self) -> &[f32] {
        &self.label_probability
    }

    /// A group of one label.
    #[must_use]
    pub(crate) fn of_one(label: u8, probability: Vec<f32>) -> Self {
        Self { probability, labels: vec![label], label_probability: vec![] }
    }
}

/// The foreground on a grid finer than that of the patches.
#[derive(Debug, Clone, PartialEq)]
pub struct FineForeground {
    /// Cells along a patch's side.
    pub(crate) scale: usize,
    /// Log-odds of the foreground, `[height * scale, width * scale]`.
    pub(crate) odds: Vec<f32>,
}

impl FineForeground {
    /// Cells along a patch's side.
    #[must_use]
    pub fn scale(&self) -> usize {
        self.scale
    }

    /// Log-odds of the foreground, `[height * scale, width * scale]`.
    #[must_use]
    pub fn odds(&self) -> &[f32] {
        &self.odds
    }
}

/// Soft labels of a grid of patches.
#[derive(Debug, Clone, PartialEq)]
pub struct GridLabels {
    /// Rows of patches.
    pub(crate) height: usize,
    /// Columns of patches.
    pub(crate) width: usize,
    /// The groups, the background first; a patch's group is the most probable.
    pub(crate) groups: Vec<Group>,
    /// Where the foreground is known on a finer grid; there are two groups then.
    pub(crate) fine: Option<FineForeground>,
}

impl GridLabels {
    /// Rows and columns of patches.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// The groups, the background first. A patch belongs to the most probable.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The foreground on a finer grid, if the network says: its edges are drawn there if upsampling is soft, its labels are those of the patches.
    #[must_use]
    pub fn fine(&self) -> Option<&FineForeground> {
        self.fine.as_ref()
    }

    /// The label of every patch, `[height, width]`.
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
