//! The `cdm` program. All of it is in the library, so that another host can link drivers of its own
//! and be the same program.

fn main() -> std::process::ExitCode {
    host::main()
}
