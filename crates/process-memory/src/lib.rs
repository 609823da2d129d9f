//! How a program gets memory from the system.

/// An allocation of at least this many bytes is mapped on its own and goes back to the system when it is freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE_BYTES: libc::c_int = 4 * 1024 * 1024;

/// The number of free bytes at the end of the heap above which they go back to the system.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT_BYTES: libc::c_int = 4 * 1024 * 1024;

/// From now on the memory of a large record goes back to the system when the record is gone. Without it, glibc keeps up to
/// 64 MiB in each thread that ever had one: eight records of 15 MB, loaded one after the other, took 270 MiB instead of 110.
///
/// It is called once, at the beginning of a program. With another C library it does nothing.
pub fn give_back_large() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (option, bytes) in [(libc::M_MMAP_THRESHOLD, LARGE_BYTES), (libc::M_TRIM_THRESHOLD, KEPT_BYTES)] {
        // SAFETY: `mallopt` takes two numbers by value and keeps no pointer; it takes the lock of the allocator, so that
        // other threads may allocate meanwhile. What it answers, whether it knows the option, does not matter.
        #[allow(unsafe_code)]
        unsafe {
            libc::mallopt(option, bytes);
        }
    }
}
