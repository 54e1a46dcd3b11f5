//! Eats memory, one mebibyte after the other, until it gets no more.

use std::hint::black_box;

const MEBIBYTE: usize = 1 << 20;

fn main() {
    let mut eaten = Vec::new();
    loop {
        eaten.push(black_box(vec![1_u8; MEBIBYTE]));
        println!("{} MiB", eaten.len());
    }
}
