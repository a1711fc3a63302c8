//! Correlation clustering: reward agreement, punish disagreement; the number of clusters follows.
//!
//! ```text
//! L(S) = − Tr(W S Sᵀ) = − Tr(Sᵀ W S),     dL/dS = − 2 W S
//! ```
//!
//! | symbol | code         | shape  | meaning                                              |
//! |--------|--------------|--------|------------------------------------------------------|
//! | W      | –            | [n, n] | signed affinity; see `graph::Graph::correlation`     |
//! | S      | `assignment` | [n, k] | k is an upper bound: the clusters left empty go away |
//!
//! Source: DeepCut (arXiv 2212.05853), correlation-clustering functional; reference code `gnn_pool_cc.GNNpool.loss`.
//! Cost: O(n·k) beside the product `W S`, which is O(n·d·k) as W is of rank d plus a constant.

/// The value; `gradient` holds `W S` on entry and `dL/dS` on return.
pub(super) fn evaluate(assignment: &[f32], gradient: &mut [f32]) -> f32 {
    let value = -super::inner(assignment, gradient);
    gradient.iter_mut().for_each(|g| *g *= -2.0);
    value as f32
}
