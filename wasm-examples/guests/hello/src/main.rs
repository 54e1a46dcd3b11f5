//! Greets whom the arguments name, from the pod that the environment names.

use std::env;

fn main() {
    let names: Vec<String> = env::args().skip(1).collect();
    let whom = if names.is_empty() {
        "world".to_owned()
    } else {
        names.join(" ")
    };
    println!("Hello, {whom}!");
    if let Ok(pod) = env::var("POD_NAME") {
        println!("I am the pod {pod}.");
    }
}
