use std::{
    fs::File,
    io::{self, BufReader, Cursor, Read, Seek, SeekFrom},
};

use endpoint_api::Result;
use flate2::bufread::MultiGzDecoder;

use crate::{
    error::{damaged, failed},
    files::{Compression, ExportFile},
    fingerprint::LineRange,
    stop::Stop,
};

const CHUNK_BYTES: usize = 64 * 1024;

const UTF_8_MARK: &[u8] = b"\xEF\xBB\xBF";
const UTF_16_MARKS: [&[u8]; 2] = [b"\xFF\xFE", b"\xFE\xFF"];

/// Opens the text of a file, or the lines in a range of it, decompressed and without the byte order
/// mark at its beginning.
///
/// # Errors
///
/// Text that is marked as UTF-16 is [`ErrorKind::Data`](endpoint_api::ErrorKind::Data).
pub(crate) fn open(file: &ExportFile, range: Option<&LineRange>, stop: &Stop) -> Result<Box<dyn Read>> {
    let mut text = decompressed(file, stop)?;
    let (head, held) = head(&mut text).map_err(|error| unreadable(&file.name, error))?;
    let head = head.get(..held).unwrap_or_default();
    if UTF_16_MARKS.iter().any(|mark| head.starts_with(mark)) {
        return Err(damaged(&file.name, "the file is UTF-16; convert it to UTF-8"));
    }
    match range {
        Some(range) if range.start > 0 => lines(file, range, stop),
        _ => {
            let rest = head.strip_prefix(UTF_8_MARK).unwrap_or(head);
            let text = Cursor::new(rest.to_vec()).chain(text);
            // The mark is a part of the range, and so of its length.
            let length = range.map_or(u64::MAX, |range| range.end - u64::from(rest.len() < held) * 3);
            Ok(Box::new(text.take(length)))
        }
    }
}

fn lines(file: &ExportFile, range: &LineRange, stop: &Stop) -> Result<Box<dyn Read>> {
    let unreadable = |error| failed("read", "read the file", &file.name, error);
    let mut lines = File::open(&file.path).map_err(unreadable)?;
    lines.seek(SeekFrom::Start(range.start)).map_err(unreadable)?;
    Ok(Box::new(stop.over(lines).take(range.end.saturating_sub(range.start))))
}

fn decompressed(file: &ExportFile, stop: &Stop) -> Result<Box<dyn Read>> {
    let unopened = |error| failed("read", "open the file", &file.name, error);
    let opened = File::open(&file.path).map_err(unopened)?;
    if file.compression != Compression::None && opened.metadata().map_err(unopened)?.len() == 0 {
        // Decoders differ in whether nothing at all is a compressed file.
        return Err(cut_short(&file.name));
    }
    let bytes = stop.over(opened);
    Ok(match file.compression {
        Compression::None => Box::new(bytes),
        Compression::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(CHUNK_BYTES, bytes))),
        Compression::Zstd => {
            let bytes = BufReader::with_capacity(CHUNK_BYTES, bytes);
            Box::new(zstd::Decoder::with_buffer(bytes).map_err(|error| unreadable(&file.name, error))?)
        }
    })
}

/// The first bytes of a text, and how many there are.
fn head(text: &mut impl Read) -> io::Result<([u8; UTF_8_MARK.len()], usize)> {
    let mut head = [0; UTF_8_MARK.len()];
    let mut held = 0;
    while let Some(room) = head.get_mut(held..).filter(|room| !room.is_empty()) {
        match text.read(room) {
            Ok(0) => break,
            Ok(length) => held += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok((head, held))
}

/// Why the text of the file `name` cannot be read on: its bytes cannot, or they are not what a
/// compressed file has.
pub(crate) fn unreadable(name: &str, error: io::Error) -> endpoint_api::Error {
    if error.raw_os_error().is_some() {
        failed("read", "read the file", name, error)
    } else if error.kind() == io::ErrorKind::UnexpectedEof {
        cut_short(name).caused_by(error)
    } else {
        damaged(name, "the compressed file is damaged; export it again").caused_by(error)
    }
}

fn cut_short(name: &str) -> endpoint_api::Error {
    damaged(name, "the compressed file is cut short; export it again")
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use endpoint_api::ErrorKind;
    use flate2::write::GzEncoder;
    use tempfile::TempDir;

    use super::*;
    use crate::{config::ConfiguredPath, files};

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.include_checksum(true).unwrap();
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn read(name: &str, bytes: &[u8]) -> Result<Vec<u8>> {
        let root = TempDir::new().unwrap();
        fs::write(root.path().join(name), bytes).unwrap();
        let path = ConfiguredPath { given: ".".into(), path: root.path().to_owned() };
        let file = files::find(&[path]).unwrap().remove(0);
        let mut text = Vec::new();
        open(&file, None, &Stop::default())?.read_to_end(&mut text).map_err(|error| unreadable(&file.name, error))?;
        Ok(text)
    }

    /// Bytes that do not compress well, so that a file that is cut in half is cut in the data.
    fn noise() -> Vec<u8> {
        let mut noise = vec![0; 300_000];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        noise
    }

    #[test]
    fn files_of_several_members_or_frames_are_read_to_their_end() {
        let two = |encode: fn(&[u8]) -> Vec<u8>| [encode(b"{}\n"), encode(b""), encode(b"[]\n")].concat();
        assert_eq!(read("issues.jsonl.gz", &two(gzip)).unwrap(), b"{}\n[]\n");
        assert_eq!(read("issues.jsonl.zst", &two(zstd)).unwrap(), b"{}\n[]\n");
        assert_eq!(read("issues.jsonl.gz", &gzip(&noise())).unwrap(), noise());
        assert_eq!(read("issues.jsonl.zst", &zstd(&noise())).unwrap(), noise());
    }

    #[test]
    fn a_compressed_file_that_is_cut_short_says_so() {
        for (name, whole) in [("issues.jsonl.gz", gzip(&noise())), ("issues.jsonl.zst", zstd(&noise()))] {
            for length in [0, 3, whole.len() / 2, whole.len() - 1] {
                let error = read(name, &whole[..length]).map(drop).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Data, "{error}");
                let expected = format!("the compressed file is cut short; export it again (file: {name})");
                assert!(error.to_string().starts_with(&expected), "{length} of {}: {error}", whole.len());
            }
        }
    }

    #[test]
    fn a_compressed_file_that_is_damaged_says_so() {
        for (name, mut bytes) in [("issues.jsonl.gz", gzip(&noise())), ("issues.jsonl.zst", zstd(&noise()))] {
            let end = bytes.len() - 1;
            bytes[end / 2] ^= 0xFF;
            bytes[end] ^= 0xFF;
            for bytes in [bytes.as_slice(), b"{\"id\":\"1\"}\n{\"id\":\"2\"}\n"] {
                let error = read(name, bytes).map(drop).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Data, "{error}");
                assert_eq!(error.context().next(), Some(("file", name)));
                assert!(error.to_string().contains("is damaged"), "{error}");
            }
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        assert_eq!(read("issues.jsonl", b"\xEF\xBB\xBF{}").unwrap(), b"{}");
        assert_eq!(read("issues.jsonl.gz", &gzip(b"\xEF\xBB\xBF{}")).unwrap(), b"{}");
        assert_eq!(read("issues.jsonl", b"{}\xEF\xBB\xBF").unwrap(), b"{}\xEF\xBB\xBF");
        for short in [&b""[..], b"{", b"\xEF\xBB"] {
            assert_eq!(read("issues.jsonl", short).unwrap(), short);
        }
    }

    #[test]
    fn utf_16_is_refused_with_the_way_out() {
        for (name, bytes) in [
            ("issues.jsonl", b"\xFF\xFE{\0}\0".to_vec()),
            ("issues.json", b"\xFE\xFF\0{\0}".to_vec()),
            ("issues.jsonl.zst", zstd(b"\xFF\xFE{\0}\0")),
        ] {
            let error = read(name, &bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Data);
            let expected = format!("the file is UTF-16; convert it to UTF-8 (file: {name})");
            assert_eq!(error.to_string(), expected);
        }
    }
}
