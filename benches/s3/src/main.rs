//! `s3-bench serve`, `delay`, `run` and `table`: each part is a process of its own, so
//! that a client's CPU and memory are nobody else's. `table` starts the others.

mod clients;
mod delay;
mod measure;
mod null;
mod sign;
mod table;
mod work;

use std::process::ExitCode;
use std::time::Duration;

/// Whatever goes wrong ends the run.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const USAGE: &str = "usage: s3-bench serve
       s3-bench delay HOST:PORT ROUND-TRIP-MS
       s3-bench run CLIENT WORK
       s3-bench table [--quick]
run and table read S3_ENDPOINT, S3_ACCESS_KEY, S3_SECRET_KEY, S3_REGION and S3_BUCKET";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["serve"] => null::serve(),
        ["delay", target, milliseconds] => match milliseconds.parse() {
            Ok(milliseconds) => delay::serve(target, Duration::from_millis(milliseconds)),
            Err(_) => Err(USAGE.into()),
        },
        ["run", client, work] => measure::run(client, work),
        ["table"] => table::print(false),
        ["table", "--quick"] => table::print(true),
        _ => Err(USAGE.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("s3-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
