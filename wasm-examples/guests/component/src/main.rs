//! A guest that is built as a WASI 0.2 component: it exports `wasi:cli/run`.
//!
//! Nothing in the source shows it; the target wasm32-wasip2 does it. It prints
//! its arguments and environment, sorted, to show that both arrive.

use std::env;

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    println!(
        "I am a component, called with {} arguments: {}",
        args.len(),
        args.join(" ")
    );
    let mut variables: Vec<(String, String)> = env::vars().collect();
    variables.sort();
    for (name, value) in variables {
        println!("{name}={value}");
    }
}
