//! The published sizes of vision transformers. They tell the number of heads, which no tensor's shape does.

/// A published size.
struct Size {
    /// timm's word for it, which follows `vit_` or `deit_` in the name of an architecture.
    name: &'static str,
    /// Length of a token.
    dim: usize,
    /// Number of blocks.
    depth: usize,
    /// Attention heads.
    heads: usize,
}

const fn size(name: &'static str, dim: usize, depth: usize, heads: usize) -> Size {
    Size { name, dim, depth, heads }
}

/// Every size; `giant` has two, the second of them DINOv2's.
const PUBLISHED: [Size; 11] = [
    size("tiny", 192, 12, 3),
    size("little", 320, 14, 5),
    size("small", 384, 12, 6),
    size("medium", 512, 12, 8),
    size("betwixt", 640, 12, 10),
    size("base", 768, 12, 12),
    size("large", 1024, 24, 16),
    size("huge", 1280, 32, 16),
    size("giant", 1408, 40, 16),
    size("giant", 1536, 40, 24),
    size("gigantic", 1664, 48, 16),
];

/// Heads of the size with this name and this width.
pub(in crate::backbone) fn heads_by_name(name: &str, dim: usize) -> Option<usize> {
    PUBLISHED.iter().find(|size| size.name == name && size.dim == dim).map(|size| size.heads)
}

/// Heads of the size with this width and depth.
pub(super) fn heads_by_shape(dim: usize, depth: usize) -> Option<usize> {
    PUBLISHED.iter().find(|size| size.dim == dim && size.depth == depth).map(|size| size.heads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_shapes_tell_the_published_heads() {
        // ViT (arXiv 2010.11929), table 1; DINOv2 (arXiv 2304.07193) for the last.
        for (name, dim, depth, heads) in
            [("base", 768, 12, 12), ("large", 1024, 24, 16), ("huge", 1280, 32, 16), ("giant", 1536, 40, 24)]
        {
            assert_eq!((heads_by_name(name, dim), heads_by_shape(dim, depth)), (Some(heads), Some(heads)), "{name}");
        }
        assert_eq!((heads_by_name("base", 384), heads_by_name("giant", 1408)), (None, Some(16)));
        assert_eq!((heads_by_shape(384, 11), heads_by_shape(64, 12)), (None, None));
    }

    /// A shape must not tell two numbers, and tokens are divided among heads.
    #[test]
    fn shapes_are_unique_and_heads_divide_them() {
        for size in &PUBLISHED {
            assert_eq!(PUBLISHED.iter().filter(|other| (other.dim, other.depth) == (size.dim, size.depth)).count(), 1);
            assert!(size.dim.is_multiple_of(size.heads), "{}", size.name);
        }
    }
}
