//! The bootstrap's key on disk: nodes know a bootstrap by it, so it must outlive restarts.
//!
//! One file, readable by its owner alone. It is written whole beside its place and then linked
//! there, so that neither a crash nor a second process at the same moment leaves a half or another
//! key.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use libp2p::identity::Keypair;

use crate::config::Identity;
use crate::error::Error;

const FILE: &str = "bootstrap.key";
/// A key file is 68 bytes; nothing longer is read.
const FILE_BYTES_MAX: u64 = 1024;

pub(crate) fn load(identity: &Identity) -> Result<Keypair, Error> {
    match identity {
        Identity::Fresh => Ok(Keypair::generate_ed25519()),
        Identity::Kept(directory) => kept(directory),
    }
}

fn kept(directory: &Path) -> Result<Keypair, Error> {
    make_directory(directory).map_err(|source| unusable(directory, source))?;
    let path = directory.join(FILE);
    if let Some(key) = read(&path)? {
        return Ok(key);
    }
    let beside = directory.join(format!(".{FILE}.{}", std::process::id()));
    let key = Keypair::generate_ed25519();
    let bytes = key.to_protobuf_encoding().map_err(|error| Error::Key(error.to_string()))?;
    let linked = write(&beside, &bytes).and_then(|()| fs::hard_link(&beside, &path));
    // Whether or not it went well, the name beside is of no more use.
    let _ = fs::remove_file(&beside);
    match linked {
        Ok(()) => Ok(key),
        // Another process was faster: its key is the bootstrap's.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            read(&path)?.ok_or_else(|| unusable(&path, error))
        }
        Err(source) => Err(unusable(&path, source)),
    }
}

fn read(path: &Path) -> Result<Option<Keypair>, Error> {
    let length = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(unusable(path, source)),
    };
    if length > FILE_BYTES_MAX {
        return Err(Error::Damaged(path.to_owned()));
    }
    let bytes = fs::read(path).map_err(|source| unusable(path, source))?;
    let key = Keypair::from_protobuf_encoding(&bytes);
    key.map(Some).map_err(|_| Error::Damaged(path.to_owned()))
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn make_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn unusable(path: &Path, source: io::Error) -> Error {
    Error::DataDir { path: PathBuf::from(path), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_is_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("deeper");
        let first = kept(&place).unwrap();
        let second = kept(&place).unwrap();
        assert_eq!(first.public(), second.public());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(place.join(FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(&place).unwrap().count(), 1, "something was left beside the key");
    }

    #[test]
    fn a_damaged_key_is_told_and_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        for bytes in [&b"junk"[..], &[], &[0; 4096]] {
            fs::write(directory.path().join(FILE), bytes).unwrap();
            let error = kept(directory.path()).unwrap_err();
            assert!(matches!(error, Error::Damaged(_)), "{error}");
            assert_eq!(fs::read(directory.path().join(FILE)).unwrap(), bytes);
        }
    }

    #[test]
    fn a_place_that_cannot_be_written_is_told_with_what_to_do() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = kept(&file.path().join("under-a-file")).unwrap_err();
        assert!(error.to_string().contains("--data-dir"), "{error}");
    }
}
