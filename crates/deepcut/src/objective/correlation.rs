//! Correlation clustering: rewards similar nodes in one cluster and dissimilar nodes in different clusters, which sets their number.
//!
//! ```text
//! L(S) = − Tr(W S Sᵀ) = − Tr(Sᵀ W S),     dL/dS = − 2 W S
//! ```
//!
//! | symbol | code         | shape  | meaning                                              |
//! |--------|--------------|--------|------------------------------------------------------|
//! | W      | –            | [n, n] | signed affinity; see `graph::Graph::correlation`     |
//! | S      | `assignment` | [n, k] | k is an upper bound: some clusters stay empty        |
//!
//! Source: DeepCut (arXiv 2212.05853), correlation-clustering functional; reference code `gnn_pool_cc.GNNpool.loss`.
//! Cost: O(n·k) in addition to the product `W S`, which costs O(n·d·k) because W is F Fᵀ minus a constant.

/// Returns the value. `gradient` holds `W S` on entry and `dL/dS` on return.
pub(super) fn evaluate(assignment: &[f32], gradient: &mut [f32]) -> f32 {
    let value = -super::inner(assignment, gradient);
    gradient.iter_mut().for_each(|g| *g *= -2.0);
    value as f32
}
