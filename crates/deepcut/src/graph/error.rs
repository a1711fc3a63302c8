//! Why there is no graph.

/// Why there is no graph.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// There are no nodes, or the features have no dimensions.
    #[error("there are no features: {nodes} nodes of dimension {dim}")]
    Empty {
        /// Number of nodes.
        nodes: usize,
        /// Length of a feature vector.
        dim: usize,
    },
    /// The features contain NaN or infinity.
    #[error("the features of node {node} are not finite")]
    NotFinite {
        /// Index of the first such node.
        node: usize,
    },
}
