//! What is kept on disk: the node key, the count of starts, the keys of rooms made here, and the
//! UDP port that LAN links name.
//!
//! Only the node key is locked. A second process in the same directory takes a fresh node key, and
//! still reads the room keys, so that an owner who is publishing can invite from a second terminal.
//! Every file is written whole to a name beside it and then renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use roommate_protocol::trust::id::{Incarnation, PeerId, RoomPk};
use roommate_protocol::trust::secret::RoomSecret;

const NODE_KEY: &str = "node.key";
const NODE_LOCK: &str = "node.lock";
const STARTS: &str = "starts";
const PORT: &str = "port";
const ROOMS: &str = "rooms";

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It cannot be read or written.
    #[error(
        "the data directory {path} cannot be used ({source}): choose another with --data-dir, or \
         run with --ephemeral to keep nothing"
    )]
    Unusable {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file has another length than it must, or holds what nobody here wrote.
    #[error("the file {0} is damaged: move it away, and a new one is made")]
    Damaged(PathBuf),
    /// The platform names no home folder.
    #[error("no home folder is known: name a data directory with --data-dir, or use --ephemeral")]
    NoHome,
}

/// Keys of this node as it runs now.
pub struct Identity {
    /// Names this node.
    pub key: SigningKey,
    /// Tells this start from earlier ones.
    pub incarnation: Incarnation,
    /// Another process of this data directory holds the node key: this one has a fresh key.
    pub second: bool,
    /// The UDP port that a LAN link of this node names: the one that is kept, or one drawn for this
    /// process where it holds no kept key.
    pub port: u16,
    /// Held until the process ends.
    _lock: Option<File>,
}

/// A room that was made in this data directory.
pub struct OwnedRoom {
    /// Signs certificates and the owner's own ticket.
    pub key: SigningKey,
    /// Lets members find the room.
    pub secret: RoomSecret,
    /// What people call it; never in a link.
    pub title: Option<String>,
}

/// The data directory, or none where nothing is kept.
#[derive(Clone, Debug)]
pub struct DataDir {
    root: Option<PathBuf>,
}

impl DataDir {
    /// Nothing is read and nothing is kept.
    pub fn ephemeral() -> Self {
        Self { root: None }
    }

    /// The directory `path`, or the platform's data folder; made if it is not there.
    ///
    /// # Errors
    /// [`DataDirError`] if it cannot be made.
    pub fn open(path: Option<PathBuf>) -> Result<Self, DataDirError> {
        let root = match path {
            Some(path) => path,
            None => platform_folder()?,
        };
        let rooms = root.join(ROOMS);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&rooms)
            .map_err(|source| unusable(&root, source))?;
        Ok(Self { root: Some(root) })
    }

    /// The node key and this start's incarnation; the key is fresh where nothing is kept or another
    /// process holds it.
    ///
    /// # Errors
    /// [`DataDirError`] if a file cannot be read or written, or is damaged.
    pub fn identity(&self) -> Result<Identity, DataDirError> {
        let Some(root) = &self.root else { return Ok(fresh(false)) };
        let path = root.join(NODE_LOCK);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|source| unusable(&path, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(fresh(true)),
            Err(fs::TryLockError::Error(source)) => return Err(unusable(&path, source)),
        }
        let key = kept_key(root)?;
        let path = root.join(STARTS);
        let counter = read_exact::<8>(&path)?.map_or(0, u64::from_be_bytes).saturating_add(1);
        write_whole(&path, &counter.to_be_bytes())?;
        let incarnation = Incarnation { counter, nonce: rand::random() };
        let port = self.port()?;
        Ok(Identity { key, incarnation, second: false, port, _lock: Some(lock) })
    }

    /// The node key and port of this data directory, whoever uses them now: what a link names that is
    /// made here for later. Fresh ones where nothing is kept.
    ///
    /// # Errors
    /// As [`DataDir::identity`].
    pub fn kept(&self) -> Result<(PeerId, u16), DataDirError> {
        let key = match &self.root {
            Some(root) => kept_key(root)?,
            None => SigningKey::from_bytes(&rand::random()),
        };
        Ok((PeerId(key.verifying_key().to_bytes()), self.port()?))
    }

    /// The port that LAN links of this data directory name: drawn once, then kept.
    fn port(&self) -> Result<u16, DataDirError> {
        let Some(root) = &self.root else { return Ok(drawn_port()) };
        let path = root.join(PORT);
        if let Some(port) = read_exact::<2>(&path)? {
            return Ok(u16::from_be_bytes(port));
        }
        let port = drawn_port();
        write_whole(&path, &port.to_be_bytes())?;
        Ok(port)
    }

    /// Keeps the key of a room made here.
    ///
    /// # Errors
    /// [`DataDirError`] if it cannot be written.
    pub fn keep_room(&self, room: &OwnedRoom) -> Result<(), DataDirError> {
        let Some(root) = &self.root else { return Ok(()) };
        let mut bytes = room.key.to_bytes().to_vec();
        bytes.extend(room.secret.bytes);
        bytes.extend(room.secret.epoch.to_be_bytes());
        bytes.extend(room.title.as_deref().unwrap_or_default().as_bytes());
        let pk = RoomPk(room.key.verifying_key().to_bytes());
        write_whole(&room_path(root, &pk), &bytes)
    }

    /// The keys of a room, if it was made here.
    ///
    /// # Errors
    /// [`DataDirError`] if the file cannot be read or is damaged.
    pub fn owned_room(&self, pk: &RoomPk) -> Result<Option<OwnedRoom>, DataDirError> {
        let Some(root) = &self.root else { return Ok(None) };
        let path = room_path(root, pk);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(unusable(&path, source)),
        };
        parse_room(&bytes).map(Some).ok_or(DataDirError::Damaged(path))
    }
}

fn parse_room(bytes: &[u8]) -> Option<OwnedRoom> {
    let (key, rest) = bytes.split_first_chunk::<32>()?;
    let (secret, rest) = rest.split_first_chunk::<16>()?;
    let (epoch, title) = rest.split_first_chunk::<4>()?;
    let title = std::str::from_utf8(title).ok()?;
    Some(OwnedRoom {
        key: SigningKey::from_bytes(key),
        secret: RoomSecret { bytes: *secret, epoch: u32::from_be_bytes(*epoch) },
        title: (!title.is_empty()).then(|| title.to_owned()),
    })
}

fn room_path(root: &Path, pk: &RoomPk) -> PathBuf {
    root.join(ROOMS).join(format!("{}.key", HEXLOWER.encode(&pk.0)))
}

fn kept_key(root: &Path) -> Result<SigningKey, DataDirError> {
    let path = root.join(NODE_KEY);
    if let Some(secret) = read_exact::<32>(&path)? {
        return Ok(SigningKey::from_bytes(&secret));
    }
    let key = SigningKey::from_bytes(&rand::random());
    write_whole(&path, key.as_bytes())?;
    Ok(key)
}

/// Above the range that Linux hands out by itself, so that no other program is given it.
fn drawn_port() -> u16 {
    rand::random_range(61_000..=65_000)
}

fn fresh(second: bool) -> Identity {
    Identity {
        key: SigningKey::from_bytes(&rand::random()),
        incarnation: Incarnation { counter: 0, nonce: rand::random() },
        second,
        port: drawn_port(),
        _lock: None,
    }
}

fn platform_folder() -> Result<PathBuf, DataDirError> {
    use etcetera::BaseStrategy;
    let strategy = etcetera::choose_base_strategy().map_err(|_| DataDirError::NoHome)?;
    Ok(strategy.data_dir().join("roommate"))
}

fn unusable(path: &Path, source: io::Error) -> DataDirError {
    DataDirError::Unusable { path: path.to_owned(), source }
}

fn read_exact<const N: usize>(path: &Path) -> Result<Option<[u8; N]>, DataDirError> {
    match fs::read(path) {
        Ok(bytes) => bytes.try_into().map(Some).map_err(|_| DataDirError::Damaged(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(unusable(path, source)),
    }
}

fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), DataDirError> {
    let beside = path.with_extension(format!("new{}", std::process::id()));
    let write = || {
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(|source| unusable(path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_directory_gives_the_same_node_and_a_later_incarnation() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(Some(folder.path().join("a"))).unwrap();
        let first = data.identity().unwrap();
        let key = first.key.to_bytes();
        let incarnation = first.incarnation;
        drop(first);
        let again = data.identity().unwrap();
        assert_eq!(again.key.to_bytes(), key);
        assert!(again.incarnation > incarnation);
        let kept = (PeerId(again.key.verifying_key().to_bytes()), again.port);
        assert_eq!(data.kept().unwrap(), kept);
    }

    #[test]
    fn a_second_process_takes_a_fresh_node_key_and_still_reads_the_rooms() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(Some(folder.path().to_owned())).unwrap();
        let first = data.identity().unwrap();
        let second = data.identity().unwrap();
        assert!(second.second && !first.second);
        assert_ne!(second.key.to_bytes(), first.key.to_bytes());
        // A link made by the second process for later names what the directory keeps.
        assert_eq!(data.kept().unwrap().0.0, first.key.verifying_key().to_bytes());

        let key = SigningKey::from_bytes(&[9; 32]);
        let pk = RoomPk(key.verifying_key().to_bytes());
        let secret = RoomSecret { bytes: [3; 16], epoch: 2 };
        data.keep_room(&OwnedRoom { key, secret, title: Some("Kitchen".into()) }).unwrap();
        let room = data.owned_room(&pk).unwrap().unwrap();
        assert_eq!(room.title.as_deref(), Some("Kitchen"));
        assert_eq!(room.secret.epoch, 2);
        assert!(data.owned_room(&RoomPk([1; 32])).unwrap().is_none());
    }

    #[test]
    fn a_damaged_key_is_said_and_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(Some(folder.path().to_owned())).unwrap();
        fs::write(folder.path().join(NODE_KEY), b"short").unwrap();
        assert!(matches!(data.identity(), Err(DataDirError::Damaged(_))));
        assert_eq!(fs::read(folder.path().join(NODE_KEY)).unwrap(), b"short");
    }

    #[test]
    fn an_unwritable_directory_is_said_with_a_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"").unwrap();
        let said = DataDir::open(Some(file.join("below"))).unwrap_err().to_string();
        assert!(said.contains("--data-dir"), "{said}");
    }
}
