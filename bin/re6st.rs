//! The executable: hands its arguments to the library and takes an exit code back.

fn main() -> std::process::ExitCode {
    re6st::cli::main(std::env::args_os())
}
