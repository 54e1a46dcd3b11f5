//! Layers, honest and not.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use tar::{Builder, EntryType, Header};
use wasmjob_image::Digest;

use crate::server::{GZIP, TAR, ZSTD};

/// A layer: its media type, its bytes as sent, its digest unpacked.
pub(crate) type Packed = (&'static str, Vec<u8>, Digest);

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn packed(media_type: &'static str, tar: &[u8]) -> Packed {
    let bytes = match media_type {
        GZIP => gzip(tar),
        ZSTD => compress_to_vec(tar, CompressionLevel::Fastest),
        _ => tar.to_vec(),
    };
    (media_type, bytes, Digest::of(tar))
}

pub(crate) fn refs(layers: &[Packed]) -> Vec<(&str, &[u8], Digest)> {
    layers
        .iter()
        .map(|(media_type, bytes, diff_id)| (*media_type, bytes.as_slice(), *diff_id))
        .collect()
}

/// Files by path.
pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o4755);
        builder.append_data(&mut header, path, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A path, a kind, a link's target, the size that the header says, and what follows.
pub(crate) type Entry<'a> = (&'a [u8], EntryType, &'a [u8], u64, &'a [u8]);

/// Entries as they stand in a header, whatever they are.
pub(crate) fn raw(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (path, kind, link, size, content) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_size(*size);
        header.set_mode(0o644);
        let gnu = header.as_gnu_mut().unwrap();
        gnu.name[..path.len()].copy_from_slice(path);
        gnu.linkname[..link.len()].copy_from_slice(link);
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

pub(crate) fn raw_layer(entries: &[Entry<'_>]) -> Packed {
    packed(TAR, &raw(entries))
}
