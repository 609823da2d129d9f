//! A driver that does everything right passes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod memory;

fn main() -> std::process::ExitCode {
    memory::kit::<memory::Whole>(memory::Fault::None).main()
}
