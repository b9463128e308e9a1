//! The reading end of a pipe that a test writes in chunks.

use std::io::Read;
use std::sync::mpsc::Receiver;

/// A pipe into which a test writes; a chunk that was written is read at once or not at all.
pub(crate) struct Pipe(pub(crate) Receiver<Vec<u8>>, pub(crate) Vec<u8>);

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.1.is_empty() {
            self.1 = self.0.recv().unwrap_or_default();
        }
        let count = buffer.len().min(self.1.len());
        buffer[..count].copy_from_slice(&self.1[..count]);
        self.1.drain(..count);
        Ok(count)
    }
}
