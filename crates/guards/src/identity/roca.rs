//! Recognizes RSA moduli made by the broken generator of CVE-2017-15361, whose keys can be factored.

/// Such primes are `k * M + (65537^a mod M)` with `M` the product of small primes, so the modulus is a power of 65537
/// modulo each of them. A sound modulus has that form with a probability below 2^-27.
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
    107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// Whether a modulus (big-endian) bears the mark.
pub(super) fn is_weak(modulus: &[u8]) -> bool {
    PRIMES.iter().all(|&prime| {
        let rest = modulus.iter().fold(0_u32, |rest, &byte| (rest * 256 + u32::from(byte)) % prime);
        is_power_of_generator(rest, prime)
    })
}

fn is_power_of_generator(rest: u32, prime: u32) -> bool {
    let mut power = 1;
    for _ in 0..prime {
        if power == rest {
            return true;
        }
        power = power * (65_537 % prime) % prime;
    }
    false
}
