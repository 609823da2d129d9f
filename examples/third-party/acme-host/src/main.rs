//! The host of Acme. A crate that is named nowhere but in `Cargo.toml` is not linked: `use … as _` links it.

use sink_parquet_cdm as _;

fn main() -> std::process::ExitCode {
    host::main()
}
