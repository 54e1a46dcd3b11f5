//! Never ends: counts for ever, without a host call that could be refused.

use std::hint::black_box;

fn main() {
    println!("counting for ever");
    let mut count = 0_u64;
    loop {
        count = black_box(count).wrapping_add(1);
    }
}
