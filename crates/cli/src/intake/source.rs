//! Where the lines come from, so that they can be read twice: checked first, enqueued then.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};

/// A stream of lines, opened.
pub(crate) type Stream = Box<dyn BufRead + Send>;

/// A file, or the standard input.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Stdin,
    File(PathBuf),
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        if path == Path::new("-") { Self::Stdin } else { Self::File(path) }
    }
}

impl Source {
    /// Reads it once.
    pub(crate) fn open(&self) -> Result<Stream> {
        match self {
            Self::Stdin => Ok(Box::new(BufReader::new(io::stdin()))),
            Self::File(path) => Ok(Box::new(BufReader::new(open(path)?))),
        }
    }

    /// Reads it with a way to read it again: from the file itself, or from a copy of what is no file.
    pub(super) fn open_twice(&self) -> Result<(Stream, Spool)> {
        if let Self::File(path) = self {
            let file = open(path)?;
            if file.metadata().is_ok_and(|metadata| metadata.is_file()) {
                let again = file.try_clone().map_err(|error| Failure::io(path.display(), &error))?;
                return Ok((Box::new(BufReader::new(file)), Spool(again)));
            }
        }
        let copy = tempfile::tempfile()
            .map_err(|error| Failure::io("cannot make a temporary file for the stream", &error).hint(ROOM))?;
        let kept =
            copy.try_clone().map_err(|error| Failure::io("the temporary file of the stream", &error))?;
        let tee = Tee { input: self.open()?, copy: BufWriter::new(copy) };
        Ok((Box::new(BufReader::new(tee)), Spool(kept)))
    }
}

/// What can be read again from its start.
#[derive(Debug)]
pub(crate) struct Spool(File);

impl Spool {
    /// Reads it again.
    pub(super) fn reopen(self) -> Result<Stream> {
        let mut file = self.0;
        file.rewind().map_err(|error| Failure::io("cannot read the stream again", &error))?;
        Ok(Box::new(BufReader::new(file)))
    }
}

fn open(path: &Path) -> Result<File> {
    let unreadable =
        |why: &dyn std::fmt::Display| Failure::usage(format!("cannot read {}: {why}", path.display()));
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    // A folder can be opened; only reading it fails.
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(unreadable(&"it is a folder"));
    }
    Ok(file)
}

/// The stream could be read, but not kept.
#[derive(Debug)]
struct Uncopied(io::Error);

impl std::error::Error for Uncopied {}

impl std::fmt::Display for Uncopied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot keep the stream in a temporary file: {}", self.0)
    }
}

/// Tells why a stream could not be read to its end.
pub(super) fn interrupted(error: &io::Error) -> Failure {
    match error.get_ref().filter(|error| error.is::<Uncopied>()) {
        Some(uncopied) => Failure::failed(uncopied.to_string()).hint(ROOM),
        None => Failure::io("cannot read the stream", error),
    }
}

const ROOM: &str =
    "name a folder with room in TMPDIR, or give a file instead of a pipe, or use --skip-invalid";

/// Copies what is read.
struct Tee {
    input: Stream,
    copy: BufWriter<File>,
}

impl Read for Tee {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.input.read(buffer)?;
        let copied = self.copy.write_all(&buffer[..length]);
        let copied = if length == 0 { copied.and_then(|()| self.copy.flush()) } else { copied };
        copied.map(|()| length).map_err(|error| io::Error::new(error.kind(), Uncopied(error)))
    }
}
