use std::{
    io::{self, BufReader, Cursor, Read, Seek, SeekFrom},
    path::Path,
};

use endpoint_api::Result;
use local_files::open_regular;

use crate::{
    error::{damaged, failed},
    files::{Compression, ExportFile},
    fingerprint::LineRange,
    gzip,
    stop::Stop,
};

const CHUNK_BYTES: usize = 64 * 1024;

/// The byte order mark of UTF-8.
pub(crate) const UTF_8_MARK: &[u8] = b"\xEF\xBB\xBF";

/// How text in UTF-16 begins: with its mark, or with a bracket.
const UTF_16: [&[u8]; 6] = [b"\xFF\xFE", b"\xFE\xFF", b"{\0", b"\0{", b"[\0", b"\0["];

/// How files begin that hold no text, and what they are.
const BINARY: [(&[u8], &str); 6] = [
    (gzip::MAGIC, "gzip inside another compression"),
    (ZSTD_MAGIC, "zstd inside another compression"),
    (b"PK\x03\x04", "a zip archive"),
    (b"BZh", "compressed with bzip2"),
    (b"\xFD7zXZ\0", "compressed with xz"),
    (b"\0", "binary"),
];

const ZSTD_MAGIC: &[u8] = b"\x28\xB5\x2F\xFD";

/// So many bytes of a text are looked at to see whether it is one.
const HEAD_BYTES: usize = 6;

/// The window of zstd's default, 128 MiB: what `zstd` writes without `--long` or with `--long=27` needs no more.
const WINDOW_LOG: u32 = 27;

/// Opens the text of a file, or the lines in a range of it, decompressed and without the byte order
/// mark at its beginning.
///
/// # Errors
///
/// UTF-16, and what is no text, is [`ErrorKind::Data`](endpoint_api::ErrorKind::Data).
pub(crate) fn open(file: &ExportFile, range: Option<&LineRange>, stop: &Stop) -> Result<Box<dyn Read>> {
    let mut text = decompressed(file, stop)?;
    let head = head(&mut text, HEAD_BYTES).map_err(|error| unreadable(&file.name, error))?;
    if let Some(what) = no_text(&head) {
        return Err(damaged(&file.name, format!("the file is {what}")));
    }
    match range {
        Some(range) if range.start > 0 => lines(file, range, stop),
        _ => {
            let rest = head.strip_prefix(UTF_8_MARK).unwrap_or(&head);
            // The mark is a part of the range, and so of its length.
            let mark = u64::try_from(head.len() - rest.len()).unwrap_or_default();
            let length = range.map_or(u64::MAX, |range| range.end.saturating_sub(mark));
            let text = Cursor::new(rest.to_vec()).chain(text);
            Ok(Box::new(text.take(length)))
        }
    }
}

/// What a file is whose text begins like this, and what to do, unless it may be JSON in UTF-8.
pub(crate) fn no_text(head: &[u8]) -> Option<String> {
    if UTF_16.iter().any(|start| head.starts_with(start)) {
        return Some("UTF-16; convert it to UTF-8".to_owned());
    }
    let (_, what) = BINARY.iter().find(|(start, _)| head.starts_with(start))?;
    Some(format!("{what}, not JSON; unpack it, or compress its text with gzip or zstd"))
}

fn lines(file: &ExportFile, range: &LineRange, stop: &Stop) -> Result<Box<dyn Read>> {
    let unreadable = |error| failed("read", "read the file", &file.name, error);
    let mut lines = open_regular(&file.path).map_err(unreadable)?;
    lines.seek(SeekFrom::Start(range.start)).map_err(unreadable)?;
    Ok(Box::new(stop.over(lines).take(range.end.saturating_sub(range.start))))
}

fn decompressed(file: &ExportFile, stop: &Stop) -> Result<Box<dyn Read>> {
    let unopened = |error| failed("read", "open the file", &file.name, error);
    let opened = open_regular(&file.path).map_err(unopened)?;
    if file.compression != Compression::None && opened.metadata().map_err(unopened)?.len() == 0 {
        // Decoders differ in whether nothing at all is a compressed file.
        return Err(cut_short(&file.name));
    }
    decoder(stop.over(opened), file.compression).map_err(|error| unreadable(&file.name, error))
}

fn decoder(bytes: impl Read + 'static, compression: Compression) -> io::Result<Box<dyn Read>> {
    let buffered = |bytes| BufReader::with_capacity(CHUNK_BYTES, bytes);
    Ok(match compression {
        Compression::None => Box::new(bytes),
        Compression::Gzip => Box::new(gzip::Members::new(buffered(bytes))),
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(buffered(bytes))?;
            decoder.window_log_max(WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}

/// The beginning of a file's text, at most `limit` bytes, and how the file is compressed: by its first bytes, and
/// where these do not tell as its name says.
pub(crate) fn beginning(path: &Path, named: Compression, limit: usize) -> io::Result<(Vec<u8>, Compression)> {
    let mut file = open_regular(path)?;
    let start = head(&mut file, ZSTD_MAGIC.len())?;
    let compression = if start.starts_with(gzip::MAGIC) {
        Compression::Gzip
    } else if start.starts_with(ZSTD_MAGIC) {
        Compression::Zstd
    } else if matches!(start.trim_ascii_start().first(), Some(b'{' | b'[')) || start.starts_with(UTF_8_MARK) {
        Compression::None
    } else {
        named
    };
    file.seek(SeekFrom::Start(0))?;
    let text = head(&mut decoder(file, compression)?, limit)?;
    Ok((text, compression))
}

/// The first bytes of a text, at most `limit`.
fn head(text: &mut impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    text.take(u64::try_from(limit).unwrap_or(u64::MAX)).read_to_end(&mut head)?;
    Ok(head)
}

/// Why the text of the file `name` cannot be read on: its bytes cannot, or they are not what a
/// compressed file has.
pub(crate) fn unreadable(name: &str, error: io::Error) -> endpoint_api::Error {
    if error.raw_os_error().is_some() {
        return failed("read", "read the file", name, error);
    }
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return cut_short(name).caused_by(error);
    }
    damaged(name, undecodable(&error)).caused_by(error)
}

/// Why a decoder gave up, and what to do.
fn undecodable(error: &io::Error) -> &'static str {
    if error.get_ref().is_some_and(|inner| inner.is::<gzip::TrailingBytes>()) {
        "bytes that are not gzip follow the compressed data; the file may be two files in one, or damaged: export it \
         again, or remove them"
    } else if error.to_string().contains("requires too much memory") {
        "the file was compressed with `zstd --long` and needs more than 128 MiB of memory to be read; compress it again \
         without `--long`: `zstd -d --long=31 -c FILE | zstd -o NEW_FILE`"
    } else {
        "the compressed file is damaged; export it again"
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
    fn zeros_after_gzip_are_padding_and_other_bytes_are_named() {
        let padded = |end: &[u8]| [gzip(b"{}\n"), gzip(b"[]\n"), end.to_vec()].concat();
        assert_eq!(read("issues.jsonl.gz", &padded(&[0; 100_000])).unwrap(), b"{}\n[]\n");
        let more = [vec![0; 10], gzip(b"{}\n")].concat();
        assert_eq!(read("issues.jsonl.gz", &padded(&more)).unwrap(), b"{}\n[]\n{}\n");
        let error = read("issues.jsonl.gz", &padded(b"\0\0garbage")).unwrap_err().to_string();
        assert!(error.starts_with("bytes that are not gzip follow the compressed data"), "{error}");
    }

    #[test]
    fn a_window_that_takes_too_much_memory_is_named_with_the_way_out() {
        let with_window = |log: u32| {
            let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(log).unwrap();
            encoder.long_distance_matching(true).unwrap();
            encoder.write_all(b"{}\n").unwrap();
            encoder.finish().unwrap()
        };
        assert_eq!(read("issues.jsonl.zst", &with_window(27)).unwrap(), b"{}\n");
        let error = read("issues.jsonl.zst", &with_window(28)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.to_string().starts_with("the file was compressed with `zstd --long`"), "{error}");
    }

    #[test]
    fn a_compressed_file_that_is_damaged_says_so() {
        for (name, mut bytes) in [("issues.jsonl.gz", gzip(&noise())), ("issues.jsonl.zst", zstd(&noise()))] {
            let end = bytes.len() - 1;
            bytes[end / 2] ^= 0xFF;
            bytes[end] ^= 0xFF;
            for bytes in [bytes.as_slice(), b"no text at all\n"] {
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
        for (name, bytes) in [("issues.jsonl", b"{\0\"\0"), ("issues.json", b"\0[\0{")] {
            let error = read(name, bytes).unwrap_err().to_string();
            assert!(error.starts_with("the file is UTF-16; convert it to UTF-8"), "without a mark: {error}");
        }
    }

    #[test]
    fn what_is_no_text_is_refused_with_what_it_is() {
        for (bytes, what) in [
            (b"PK\x03\x04xx".to_vec(), "a zip archive"),
            (b"BZh91AY".to_vec(), "compressed with bzip2"),
            (gzip(&gzip(b"{}")), "gzip inside another compression"),
            (b"\0\0\0\0".to_vec(), "binary"),
        ] {
            let error = read("issues.jsonl", &bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Data);
            assert!(error.to_string().starts_with(&format!("the file is {what}, not JSON; ")), "{error}");
        }
    }
}
