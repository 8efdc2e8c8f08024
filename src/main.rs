//! The `trunkline` program: everything is in `gateway`.

fn main() -> std::process::ExitCode {
    gateway::cli::main()
}
