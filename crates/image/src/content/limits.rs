//! How much of what an image may be.

/// What one image may take. An image that wants more is refused, not cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageLimits {
    /// Bytes of a layer as it is sent.
    pub layer_bytes: u64,
    /// Bytes of all layers as they are sent.
    pub image_bytes: u64,
    /// Bytes of a layer, unpacked.
    pub unpacked_layer_bytes: u64,
    /// Bytes of all layers, unpacked.
    pub unpacked_bytes: u64,
    /// Files, directories and links of all layers.
    pub entries: usize,
    /// What a layer may grow to, beyond its first 8 MiB: so many times what was sent.
    pub ratio: u64,
    /// Bytes that all images together may take on the disk.
    pub disk_bytes: u64,
}

impl Default for ImageLimits {
    fn default() -> Self {
        Self {
            layer_bytes: 256 << 20,
            image_bytes: 512 << 20,
            unpacked_layer_bytes: 256 << 20,
            unpacked_bytes: 1 << 30,
            entries: 100_000,
            ratio: 200,
            disk_bytes: 4 << 30,
        }
    }
}

/// What a layer may unpack to before its ratio counts: tar pads small files with zeros.
pub(crate) const RATIO_FREE_BYTES: u64 = 8 << 20;
