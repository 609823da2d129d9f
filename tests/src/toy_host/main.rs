//! The host of another team: the same program with a model, a source and a mapper of their own. Nothing
//! of ours names them.

mod fleet;

fn main() -> std::process::ExitCode {
    host::main()
}
