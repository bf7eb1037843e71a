//! Where the lines come from, so that they can be read twice: checked first, enqueued then.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};

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
    pub(super) fn open(&self) -> Result<Box<dyn BufRead + Send>> {
        match self {
            Self::Stdin => Ok(Box::new(BufReader::new(io::stdin()))),
            Self::File(path) => Ok(Box::new(BufReader::new(open(path)?))),
        }
    }

    /// Reads it with a way to read it again: from the file itself, or from a copy of what is no file.
    pub(super) fn open_twice(&self) -> Result<(Box<dyn BufRead + Send>, Spool)> {
        if let Self::File(path) = self {
            let file = open(path)?;
            if file.metadata().is_ok_and(|metadata| metadata.is_file()) {
                let again = file.try_clone().map_err(|error| Failure::io(path.display(), &error))?;
                return Ok((Box::new(BufReader::new(file)), Spool(again)));
            }
        }
        let copy = tempfile::tempfile().map_err(|error| {
            Failure::io("cannot make a temporary file for the stream", &error).hint(
                "name a folder with room in TMPDIR, or give a file instead of a pipe, or use --skip-invalid",
            )
        })?;
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
    pub(super) fn reopen(self) -> Result<Box<dyn BufRead + Send>> {
        let mut file = self.0;
        file.rewind().map_err(|error| Failure::io("cannot read the stream again", &error))?;
        Ok(Box::new(BufReader::new(file)))
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))
}

/// Copies what is read.
struct Tee {
    input: Box<dyn BufRead + Send>,
    copy: BufWriter<File>,
}

impl Read for Tee {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.input.read(buffer)?;
        if length == 0 {
            self.copy.flush()?;
        }
        self.copy.write_all(&buffer[..length])?;
        Ok(length)
    }
}
