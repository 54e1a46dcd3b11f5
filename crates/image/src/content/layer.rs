//! Reads a layer: unpacked under limits, entry by entry, into a tree and files set aside.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use sha2::{Digest as _, Sha256};
use tar::{Archive, EntryType};

use super::limits::{ImageLimits, RATIO_FREE_BYTES};
use super::tree::{Dir, Node, Path, link_target};
use crate::Digest;
use crate::registry::{Packing, PullError};

/// Bytes of an extended header, which holds long names.
const EXTENDED_BYTES_MAX: u64 = 256 << 10;
/// What a zstd frame may ask us to remember.
const WINDOW_BYTES_MAX: u64 = 16 << 20;

/// Where the layers of one image are unpacked to.
pub(crate) struct Unpacking {
    /// Files are set aside here, under numbers.
    pub(crate) aside: PathBuf,
    pub(crate) root: Dir,
    pub(crate) limits: ImageLimits,
    pub(crate) files: usize,
    pub(crate) entries: usize,
    pub(crate) bytes: u64,
}

/// Counts what goes through, and stops it at a limit.
struct Meter {
    read: u64,
    unpacked: u64,
    limits: ImageLimits,
    /// Why it stopped: readers above would word it anew.
    stopped: Option<String>,
    hash: Sha256,
}

type Shared = Rc<RefCell<Meter>>;

struct Compressed<R>(R, Shared);

impl<R: Read> Read for Compressed<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(to)?;
        self.1.borrow_mut().read += read as u64;
        Ok(read)
    }
}

struct Unpacked<R>(R, Shared);

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(to)?;
        let mut meter = self.1.borrow_mut();
        meter.unpacked += read as u64;
        meter.hash.update(&to[..read]);
        let max = meter.limits.unpacked_layer_bytes;
        let grown = RATIO_FREE_BYTES.max(meter.read.saturating_mul(meter.limits.ratio));
        let stopped = if meter.unpacked > max {
            format!("decompressed size exceeds {max} bytes")
        } else if meter.unpacked > grown {
            format!(
                "decompressed size exceeds {} times what was sent",
                meter.limits.ratio
            )
        } else {
            return Ok(read);
        };
        meter.stopped = Some(stopped.clone());
        Err(io::Error::other(stopped))
    }
}

impl Unpacking {
    /// Applies one layer; `diff_id` is the digest that it must have, unpacked.
    pub(crate) fn apply(
        &mut self,
        file: File,
        packing: Packing,
        diff_id: Digest,
    ) -> Result<(), PullError> {
        let meter = Rc::new(RefCell::new(Meter {
            read: 0,
            unpacked: 0,
            limits: self.limits,
            stopped: None,
            hash: Sha256::new(),
        }));
        let packed = BufReader::with_capacity(64 << 10, Compressed(file, Rc::clone(&meter)));
        let unpacked: Box<dyn Read> = match packing {
            Packing::Tar => Box::new(packed),
            Packing::Gzip => Box::new(MultiGzDecoder::new(packed)),
            Packing::Zstd => Box::new(Zstd::new(packed)),
        };
        let stream = Unpacked(unpacked, Rc::clone(&meter));
        let applied = self.entries_of(stream);
        let mut meter = meter.borrow_mut();
        // The limit explains the failure of whatever stood above it.
        if let Some(stopped) = meter.stopped.take() {
            return Err(PullError::refused(stopped));
        }
        let layer = applied?;
        let got = Digest::end(meter.hash.clone());
        if got != diff_id {
            return Err(PullError::corrupt(format!(
                "digest mismatch: expected {diff_id} got {got} for an unpacked layer"
            )));
        }
        self.root.lay(layer)
    }

    fn entries_of(&mut self, stream: impl Read) -> Result<Dir, PullError> {
        let mut layer = Dir::default();
        let mut archive = Archive::new(stream);
        let mut extended = Extended::default();
        {
            // Raw: extended headers of any size would be held in memory otherwise.
            let entries = archive
                .entries()
                .map_err(|error| corrupt(&error))?
                .raw(true);
            for entry in entries {
                let mut entry = entry.map_err(|error| corrupt(&error))?;
                let kind = entry.header().entry_type();
                if extended.take(kind, &mut entry)? {
                    continue;
                }
                self.entries += 1;
                if self.entries > self.limits.entries {
                    return Err(PullError::refused(format!(
                        "the image has more than {} entries",
                        self.limits.entries
                    )));
                }
                let Extended { path, link, size } = std::mem::take(&mut extended);
                let header_size = entry
                    .header()
                    .entry_size()
                    .map_err(|error| corrupt(&error))?;
                if size.is_some_and(|size| size != header_size) {
                    return Err(PullError::refused(
                        "an entry has two sizes, one in its header and one beside it",
                    ));
                }
                let raw = path.unwrap_or_else(|| entry.header().path_bytes().into_owned());
                let link = link.or_else(|| entry.header().link_name_bytes().map(Into::into));
                let path = Path::read(&raw)?;
                let node = match kind {
                    // Old archives mark directories by a slash.
                    EntryType::Regular | EntryType::Continuous if !raw.ends_with(b"/") => {
                        Node::File(self.set_aside(&mut entry, header_size)?)
                    }
                    EntryType::Regular | EntryType::Directory => Dir::named(),
                    EntryType::Symlink => {
                        Node::Link(link_target(&path, link.as_deref().unwrap_or_default())?)
                    }
                    EntryType::Link => {
                        let target = Path::read(link.as_deref().unwrap_or_default())?;
                        match layer.get(&target).or_else(|| self.root.get(&target)) {
                            Some(Node::File(n)) => Node::File(*n),
                            _ => {
                                return Err(PullError::refused(format!(
                                    "the hard link {:?} is to {:?}, which is no file of the image",
                                    path.shown(),
                                    target.shown()
                                )));
                            }
                        }
                    }
                    other => {
                        let what = match other {
                            EntryType::Char | EntryType::Block => "a device",
                            EntryType::Fifo => "a FIFO",
                            EntryType::GNUSparse => "a sparse file",
                            _ => "of an unknown kind",
                        };
                        return Err(PullError::refused(format!("{:?} is {what}", path.shown())));
                    }
                };
                layer.put(&path, node)?;
            }
        }
        // What stands behind the archive belongs to its digest.
        let mut rest = archive.into_inner();
        io::copy(&mut rest, &mut io::sink()).map_err(|error| corrupt(&error))?;
        Ok(layer)
    }

    /// Writes an entry's bytes into a new file; its number.
    fn set_aside(&mut self, entry: &mut impl Read, size: u64) -> Result<usize, PullError> {
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.limits.unpacked_bytes {
            return Err(PullError::refused(format!(
                "the image's files are larger than {} bytes",
                self.limits.unpacked_bytes
            )));
        }
        self.files += 1;
        let failed = |error: io::Error| PullError::host("failed to unpack a layer", &error);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o444)
            .open(self.aside.join(self.files.to_string()))
            .map_err(failed)?;
        let mut buffer = vec![0; 64 << 10];
        let mut left = size;
        while left > 0 {
            let room = buffer
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = entry.read(&mut buffer[..room]);
            let read = read.map_err(|error| corrupt(&error))?;
            if read == 0 {
                return Err(PullError::corrupt("a layer ends within a file"));
            }
            file.write_all(&buffer[..read]).map_err(failed)?;
            left -= read as u64;
        }
        Ok(self.files)
    }
}

fn corrupt(error: &io::Error) -> PullError {
    PullError::corrupt(format!("a layer cannot be read: {error}"))
}

/// What extended headers say of the next entry.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Extended {
    /// Whether the entry is an extended header, and then takes what it says.
    fn take(&mut self, kind: EntryType, entry: &mut impl Read) -> Result<bool, PullError> {
        let known = [
            EntryType::GNULongName,
            EntryType::GNULongLink,
            EntryType::XHeader,
            EntryType::XGlobalHeader,
        ];
        if !known.contains(&kind) {
            return Ok(false);
        }
        let mut bytes = Vec::new();
        let read = entry.take(EXTENDED_BYTES_MAX + 1).read_to_end(&mut bytes);
        read.map_err(|error| corrupt(&error))?;
        if bytes.len() as u64 > EXTENDED_BYTES_MAX {
            return Err(PullError::refused(format!(
                "an extended header is larger than {EXTENDED_BYTES_MAX} bytes"
            )));
        }
        let text = |mut bytes: Vec<u8>| {
            if bytes.last() == Some(&0) {
                bytes.pop();
            }
            bytes
        };
        match kind {
            EntryType::GNULongName => self.path = Some(text(bytes)),
            EntryType::GNULongLink => self.link = Some(text(bytes)),
            EntryType::XHeader => self.pax(&bytes)?,
            // Comments of whole archives; a path in one would be every file's.
            _ => {}
        }
        Ok(true)
    }

    fn pax(&mut self, bytes: &[u8]) -> Result<(), PullError> {
        for record in tar::PaxExtensions::new(bytes) {
            let record = record.map_err(|error| corrupt(&error))?;
            let value = record.value_bytes();
            match record.key_bytes() {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
                    self.size =
                        Some(size.ok_or_else(|| PullError::corrupt("a size is no number"))?);
                }
                key if key.starts_with(b"GNU.sparse.") => {
                    return Err(PullError::refused("a file of a layer is sparse"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The frames of a zstd stream, one after another.
struct Zstd<R> {
    from: R,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> Zstd<R> {
    fn new(from: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW_BYTES_MAX);
        Self {
            from,
            decoder,
            in_frame: false,
        }
    }

    /// Begins the next frame; `false` if there is none.
    fn next_frame(&mut self) -> io::Result<bool> {
        let wrong = |error: FrameDecoderError| {
            io::Error::new(io::ErrorKind::InvalidData, error.to_string())
        };
        loop {
            if self.from.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.reset(&mut self.from) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let skipped = io::copy(
                        &mut (&mut self.from).take(u64::from(length)),
                        &mut io::sink(),
                    )?;
                    if skipped < u64::from(length) {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(wrong(error)),
            }
        }
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if to.is_empty() {
            return Ok(0);
        }
        loop {
            if self.in_frame && self.decoder.can_collect() > 0 {
                return self.decoder.read(to);
            }
            if !self.in_frame || self.decoder.is_finished() {
                self.in_frame = self.next_frame()?;
                if !self.in_frame {
                    return Ok(0);
                }
                continue;
            }
            let block = BlockDecodingStrategy::UptoBlocks(1);
            self.decoder
                .decode_blocks(&mut self.from, block)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        }
    }
}
