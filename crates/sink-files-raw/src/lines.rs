use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, IntoInnerError, Write},
    path::{Path, PathBuf},
};

use endpoint_api::Result;
use zstd::stream::{read::Decoder, write::Encoder};

use crate::{config::Compression, error::failed, manifest::StoredFile, mode::FileMode};

/// Bytes that are collected before they go further.
const BUFFER: usize = 128 * 1024;

/// The level of Zstandard: its default.
const LEVEL: i32 = 3;

/// Writes a file of JSON lines. It takes a few megabytes of memory when the file is compressed,
/// otherwise a fraction of one, however long the file becomes.
pub(crate) struct LineWriter {
    path: PathBuf,
    output: Output,
    lines: u64,
}

enum Output {
    Plain(Box<BufWriter<Hashed>>),
    Zstd(Box<BufWriter<Encoder<'static, Hashed>>>),
}

/// A file whose bytes are counted and hashed on their way into it.
struct Hashed {
    file: File,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Write for Hashed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.file.write(buffer)?;
        let taken = buffer.get(..written).unwrap_or(buffer);
        self.hasher.update(taken);
        self.bytes += u64::try_from(taken.len()).unwrap_or_default();
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LineWriter {
    /// Creates the file, which must be new.
    pub(crate) fn create(
        path: PathBuf,
        compression: Compression,
        mode: FileMode,
        operation: &'static str,
    ) -> Result<Self> {
        let output = Output::create(&path, compression, mode).map_err(failed(operation, "create the file", &path))?;
        Ok(Self { path, output, lines: 0 })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a line, which `write` gives without its end.
    pub(crate) fn line(
        &mut self,
        operation: &'static str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<()> {
        let output: &mut dyn Write = match &mut self.output {
            Output::Plain(output) => output,
            Output::Zstd(output) => output,
        };
        let written = write(output).and_then(|()| output.write_all(b"\n"));
        self.lines += 1;
        written.map_err(failed(operation, "write the file", &self.path))
    }

    /// Makes the file durable. `path` is what the manifest is to call it.
    pub(crate) fn finish(self, path: String, operation: &'static str) -> Result<StoredFile> {
        let Self { path: file, output, lines } = self;
        let Hashed { hasher, bytes, .. } =
            output.finish().map_err(failed(operation, "make the file durable", &file))?;
        Ok(StoredFile { path, bytes, lines, blake3: hasher.finalize().to_hex().to_string() })
    }
}

impl Output {
    fn create(path: &Path, compression: Compression, mode: FileMode) -> io::Result<Self> {
        let hashed = Hashed { file: mode.create_new(path)?, hasher: blake3::Hasher::new(), bytes: 0 };
        Ok(match compression {
            Compression::None => Self::Plain(Box::new(BufWriter::with_capacity(BUFFER, hashed))),
            Compression::Zstd => Self::Zstd(Box::new(BufWriter::with_capacity(BUFFER, Encoder::new(hashed, LEVEL)?))),
        })
    }

    fn finish(self) -> io::Result<Hashed> {
        let hashed = match self {
            Self::Plain(output) => output.into_inner().map_err(IntoInnerError::into_error)?,
            Self::Zstd(output) => output.into_inner().map_err(IntoInnerError::into_error)?.finish()?,
        };
        hashed.file.sync_all()?;
        Ok(hashed)
    }
}

/// Opens a file of JSON lines, whose name says whether it is compressed.
pub(crate) fn open_lines(path: &Path, operation: &'static str) -> Result<Box<dyn BufRead + Send>> {
    let open = || -> io::Result<Box<dyn BufRead + Send>> {
        let file = local_files::open_regular(path)?;
        Ok(match path.extension() {
            Some(extension) if extension == "zst" => Box::new(BufReader::new(Decoder::new(file)?)),
            _ => Box::new(BufReader::with_capacity(BUFFER, file)),
        })
    };
    open().map_err(failed(operation, "open the file", path))
}
