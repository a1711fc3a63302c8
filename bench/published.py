"""The steps from features to clusters of published methods, in the Python that their authors chose: PyTorch Geometric, SciPy. Written from the papers'
equations and from what their code computes; compare.py and python.py time them.

Features are [n, d] on a grid of (height, width) patches.
"""
import math

import numpy as np
import scipy.linalg
import scipy.ndimage
import scipy.sparse.linalg
import torch
import torch.nn.functional as F
from torch_geometric.nn import GCNConv


class Published(torch.nn.Module):
    """`gnn_pool.GNNpool` of DeepCut's published code: a sparse graph convolution over every positive edge, a perceptron, the mincut loss."""

    def __init__(self, dim, k):
        super().__init__()
        self.convolution = GCNConv(dim, 64)
        self.perceptron = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ELU(), torch.nn.Dropout(0.25), torch.nn.Linear(32, k))

    def forward(self, features, edges, weights):
        return torch.softmax(self.perceptron(F.elu(self.convolution(features, edges, weights))), -1)


def deepcut(features, epochs):
    """`segment.GNN_seg` of DeepCut, mode 0: the cluster of each patch, 0 or 1. Takes a tensor."""
    affinity = features @ features.T
    affinity = (affinity * (affinity > 0)) / affinity.max()
    edges = (affinity > 0).nonzero().T
    edge_weights = affinity[edges[0], edges[1]]
    network = Published(features.shape[1], 2)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    degree = affinity.sum(-1)
    for _ in range(epochs):
        optimizer.zero_grad()
        s = network(features, edges, edge_weights)
        cut = -torch.trace(s.T @ affinity @ s) / torch.trace(s.T @ (degree[:, None] * s))
        gram = s.T @ s
        balance = torch.norm(gram / torch.norm(gram) - torch.eye(2) / math.sqrt(2))
        (cut + balance).backward()
        optimizer.step()
    return s.argmax(-1)


def tokencut(features, grid, tau=0.2, floor=1e-5):
    """TokenCut (arXiv 2202.11539), algorithm 1: whether each patch belongs to the object.

    (D − W) y = λ D y with W 1 or 10⁻⁵; the second eigenvector is cut at its mean, and the object is the connected component of the patch of
    largest magnitude.
    """
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    affinity = np.where(unit @ unit.T > tau, 1.0, floor)
    degree = np.diag(affinity.sum(axis=1))
    _, vectors = scipy.linalg.eigh(degree - affinity, degree, subset_by_index=[1, 1])
    second = vectors[:, 0]
    seed = np.argmax(np.abs(second))
    above = second > second.mean()
    side = (above == above[seed]).reshape(grid)
    components, _ = scipy.ndimage.label(side)
    return (components == components.flat[seed]).ravel()


def deep_spectral(features, vectors=5):
    """Deep Spectral Methods (arXiv 2205.07839) without colors: whether each patch belongs to the object.

    (D − W) y = λ D y with W = max(F̂ F̂ᵀ, 0) / max(F̂ F̂ᵀ), by shift and inversion at 0, as many eigenvectors as published; the second is cut at 0,
    and the object is the smaller side.
    """
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    affinity = np.maximum(unit @ unit.T, 0)
    affinity /= affinity.max()
    degree = np.diag(affinity.sum(axis=1))
    _, found = scipy.sparse.linalg.eigsh(degree - affinity, k=vectors, sigma=0, which="LM", M=degree)
    inside = found[:, 1] > 0
    return ~inside if 2 * inside.sum() > inside.size else inside
