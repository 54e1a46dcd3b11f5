//! WASI 0.1's reads and writes, which take a list of buffers.
//!
//! Wasmtime uses the first buffer that is not empty, and counts the list and that
//! buffer against what a call may copy (`Limits::hostcall_fuel`). What it would refuse
//! for want of that is a short read or write here, as POSIX allows and every caller
//! must expect; a list that is too long by itself is refused. So that nothing is
//! written that no room was taken for, Wasmtime is handed that one buffer and no
//! other, however the list is made.

use wasmtime::Caller;
use wasmtime_wasi::p1::types::{Ciovec, Errno};
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as p1, WasiSnapshotPreview1};
use wiggle::GuestMemory;

use crate::files::{P1, enter, read_u32};
use crate::{CoreLinker, Guest};

/// Bytes of one entry of a list: address and length.
const ENTRY: usize = size_of::<Ciovec>();

/// Redefines what differs; shadowing must be allowed.
pub(crate) fn core(linker: &mut CoreLinker) -> wasmtime::Result<()> {
    macro_rules! call {
        ($name:literal, $function:ident, writes: $writes:literal $(, $more:ident: $ty:ty)*) => {
            linker.func_wrap_async(
                P1,
                $name,
                |mut caller: Caller<'_, Guest>,
                 (fd, list, count, $($more,)* done): (i32, i32, i32, $($ty,)* i32)| {
                    Box::new(async move {
                        let (memory, fuel) = enter(&mut caller)?;
                        let (bytes, guest) = memory.data_and_store_mut(&mut caller);
                        let Some(mut used) = Used::of(bytes, list, count, fuel) else {
                            return Ok(Errno::Nomem as i32);
                        };
                        let written = if $writes { used.length } else { 0 };
                        let room = guest.places.room(fd.cast_unsigned(), written.into()).await;
                        let Ok(room) = room else {
                            return Ok(Errno::Nospc as i32);
                        };
                        if let Some(room) = &room {
                            used.shorten(room.bytes);
                        }
                        guest.wasi.set_hostcall_fuel(fuel);
                        let before = used.stand_alone(bytes);
                        let result = p1::$function(
                            &mut guest.wasi,
                            &mut GuestMemory::Unshared(bytes),
                            fd,
                            used.list,
                            used.count,
                            $($more,)*
                            done,
                        )
                        .await;
                        used.undo(bytes, before);
                        if $writes
                            && matches!(result, Ok(error) if error == Errno::Success as i32)
                            && guest.places.is_file(fd.cast_unsigned())
                        {
                            let written = read_u32(bytes, done).unwrap_or(0);
                            guest.cell.wrote(written.into());
                        }
                        result
                    })
                },
            )?;
        };
    }
    call!("fd_read", fd_read, writes: false);
    call!("fd_pread", fd_pread, writes: false, offset: i64);
    call!("fd_write", fd_write, writes: true);
    call!("fd_pwrite", fd_pwrite, writes: true, offset: i64);
    Ok(())
}

/// The part of a guest's list that a call uses.
#[derive(PartialEq, Eq, Debug)]
struct Used {
    /// Where it begins, and how many entries it has: one, unless all are empty.
    list: i32,
    count: i32,
    /// How much of the buffer is used; none if all are empty.
    length: u32,
}

impl Used {
    /// The first buffer that is not empty, as far as `fuel` suffices beside the list; none
    /// if it does not suffice.
    fn of(memory: &[u8], list: i32, count: i32, fuel: usize) -> Option<Self> {
        let entries = count.cast_unsigned() as usize;
        let left = fuel.checked_sub(entries.checked_mul(ENTRY)?)?;
        let listed = memory.get(list.cast_unsigned() as usize..);
        let listed = listed.unwrap_or_default().chunks_exact(ENTRY).take(entries);
        let lengths = listed.map(|entry| read_u32(entry, 4).unwrap_or(0));
        let found = (0i32..).zip(lengths).find(|(_, length)| *length > 0);
        let Some((number, length)) = found else {
            // Nothing is copied; where the list is not, Wasmtime says so.
            return Some(Self {
                list,
                count,
                length: 0,
            });
        };
        let length = length.min(u32::try_from(left).unwrap_or(u32::MAX));
        (length > 0).then(|| Self {
            // It lies in memory, whose addresses have 32 bits.
            list: list.wrapping_add(number.wrapping_mul(ENTRY as i32)),
            count: 1,
            length,
        })
    }

    /// Uses no more than so many bytes.
    fn shorten(&mut self, most: u64) {
        self.length = self.length.min(u32::try_from(most).unwrap_or(u32::MAX));
    }

    /// Where the buffer's length stands in memory, if one is used.
    fn length_in<'a>(&self, memory: &'a mut [u8]) -> Option<&'a mut [u8; 4]> {
        let entry = memory.get_mut(self.list.cast_unsigned() as usize..)?;
        let length = entry.get_mut(4..)?.first_chunk_mut()?;
        (self.length > 0).then_some(length)
    }

    /// Writes into the list how much of the buffer is used: how long it was.
    fn stand_alone(&self, memory: &mut [u8]) -> [u8; 4] {
        let length = self.length_in(memory);
        length.map_or([0; 4], |length| {
            std::mem::replace(length, self.length.to_le_bytes())
        })
    }

    /// Gives the guest its list back, unless it was read into.
    fn undo(&self, memory: &mut [u8], before: [u8; 4]) {
        if let Some(length) = self.length_in(memory)
            && *length == self.length.to_le_bytes()
        {
            *length = before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list of buffers of these lengths, at 8.
    fn list(lengths: &[u32]) -> Vec<u8> {
        let mut memory = vec![0; 8];
        for length in lengths {
            memory.extend([0; 4]);
            memory.extend(length.to_le_bytes());
        }
        memory
    }

    fn used(lengths: &[u32], fuel: usize) -> Option<(i32, i32, u32)> {
        let count = i32::try_from(lengths.len()).unwrap();
        let used = Used::of(&list(lengths), 8, count, fuel)?;
        Some((used.list, used.count, used.length))
    }

    #[test]
    fn one_buffer_is_used_as_far_as_may_be_copied() {
        assert_eq!(used(&[5, 7], 100), Some((8, 1, 5)));
        assert_eq!(used(&[0, 0, 7, 9], 100), Some((24, 1, 7)));
        assert_eq!(used(&[0, 0, 7, 9], 36), Some((24, 1, 4)));
        assert_eq!(used(&[0, 0, 7, 9], 32), None, "the list takes all");
        assert_eq!(used(&[0, 0, 7, 9], 31), None, "the list takes more");
        assert_eq!(used(&[0, 0], 16), Some((8, 2, 0)));
        assert_eq!(used(&[], 0), Some((8, 0, 0)));
    }

    #[test]
    fn lists_that_are_nowhere_are_left_to_wasmtime() {
        let memory = list(&[0, 5]);
        for (at, count) in [(8, 1), (100, 1), (-1, 1), (20, 1), (24, 9), (17, 2)] {
            let used = Used::of(&memory, at, count, 1_000).unwrap();
            let whole = Used {
                list: at,
                count,
                length: 0,
            };
            assert_eq!(used, whole);
        }
        assert!(Used::of(&memory, 8, -1, usize::MAX >> 40).is_none());
    }

    #[test]
    fn the_guest_gets_its_list_back() {
        let mut memory = list(&[0, 50, 60]);
        let before = memory.clone();
        let mut used = Used::of(&memory, 8, 3, 1_000).unwrap();
        used.shorten(20);
        let length = used.stand_alone(&mut memory);
        assert_eq!(memory, list(&[0, 20, 60]));
        used.undo(&mut memory, length);
        assert_eq!(memory, before);
        // Unless it was read into.
        let length = used.stand_alone(&mut memory);
        memory[20] = 9;
        used.undo(&mut memory, length);
        assert_eq!(memory[20], 9);
    }
}
