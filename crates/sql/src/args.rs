//! Where the args of fetched jobs lie.

use bytes::{Bytes, BytesMut};
use gristmill_core::Args;

/// Args up to this size, in bytes, lie together in blocks.
const SHARED: usize = 4 * 1024;
/// The size of a block, in bytes, at most.
const BLOCK: usize = 64 * 1024;

/// Copies args out of a driver's rows.
///
/// Small ones lie together in blocks, so that a job costs no allocation for them; a long-running job keeps a
/// block of 64 KiB in memory, no more. Those larger than 4 KiB have an allocation of their own.
///
/// ```
/// let mut blocks = gristmill_sql::ArgsBlocks::default();
/// let batch: [&[u8]; 2] = [b"1", b"2"];
/// let kept: Vec<_> = batch.iter().zip((1..=2).rev()).map(|(args, left)| blocks.keep(args, left)).collect();
/// assert_eq!(kept[1].as_bytes(), b"2");
/// ```
#[derive(Debug, Default)]
pub struct ArgsBlocks {
    /// The rest of the block.
    block: BytesMut,
}

impl ArgsBlocks {
    /// A copy of args that a row holds. `left` is how many are still to be kept, these among them: a new
    /// block has room for so many of their size. Where the blocks outlive a batch, it is [`usize::MAX`].
    #[inline]
    pub fn keep(&mut self, args: &[u8], left: usize) -> Args {
        if args.len() > SHARED {
            return Args::from_stored(Bytes::copy_from_slice(args));
        }
        if self.block.capacity() < args.len() {
            self.block = BytesMut::with_capacity(args.len().saturating_mul(left).clamp(args.len(), BLOCK));
        }
        self.block.extend_from_slice(args);
        Args::from_stored(self.block.split().freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn args_of_every_size_are_kept_as_they_are() {
        let mut blocks = ArgsBlocks::default();
        let sizes = [0, 1, SHARED, SHARED + 1, 3, 2 * BLOCK, 0, SHARED];
        let wanted: Vec<Vec<u8>> = (1_u8..).zip(sizes).map(|(byte, size)| vec![byte; size]).collect();
        let kept: Vec<Args> = wanted.iter().map(|args| blocks.keep(args, 1)).collect();
        assert!(kept.iter().zip(&wanted).all(|(kept, wanted)| kept.as_bytes() == wanted.as_slice()));
    }

    #[test]
    fn small_args_share_a_block_with_room_for_those_that_are_left() {
        let mut blocks = ArgsBlocks::default();
        let first = blocks.keep(b"abcd", 2);
        let second = blocks.keep(b"efgh", 1);
        assert_eq!(second.as_bytes().as_ptr(), first.as_bytes().as_ptr_range().end);
        assert_eq!(blocks.block.capacity(), 0);
        blocks.keep(b"ijkl", usize::MAX);
        assert_eq!(blocks.block.capacity(), BLOCK - 4);
    }
}
