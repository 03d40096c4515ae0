//! Load by `wrk`.

use std::{process::Command, time::Duration};

use anyhow::{Context, Result, bail};

/// What one round of load saw.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    /// Requests answered.
    pub requests: f64,
    /// Per second.
    pub per_second: f64,
    /// Half of the requests took less.
    pub p50_ms: f64,
    /// All but one in a hundred took less.
    pub p99_ms: f64,
    /// Answers that were not 2xx or 3xx, and failures of sockets.
    pub failed: u64,
}

/// One thread, so many keep-alive connections.
///
/// # Errors
/// `wrk` is missing or says something unexpected.
pub fn run(url: &str, headers: &[String], connections: usize, duration: Duration) -> Result<Load> {
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", "--latency", "-c", &connections.to_string(), "-d", &format!("{}s", duration.as_secs())]);
    for header in headers {
        wrk.args(["-H", header]);
    }
    let output = wrk.arg(url).output().context("cannot run `wrk`")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("`wrk` failed: {}{text}", String::from_utf8_lossy(&output.stderr));
    }
    parse(&text).with_context(|| format!("cannot read the output of `wrk`:\n{text}"))
}

fn parse(text: &str) -> Option<Load> {
    let mut load = Load::default();
    for line in text.lines().map(str::trim) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["50%", time] => load.p50_ms = milliseconds(time)?,
            ["99%", time] => load.p99_ms = milliseconds(time)?,
            ["Requests/sec:", rate] => load.per_second = rate.parse().ok()?,
            [count, "requests", "in", ..] => load.requests = count.parse().ok()?,
            ["Non-2xx", "or", "3xx", "responses:", count] => load.failed += count.parse::<u64>().ok()?,
            ["Socket", "errors:", counts @ ..] => {
                load.failed += counts
                    .iter()
                    .filter_map(|word| word.trim_end_matches(',').parse::<u64>().ok())
                    .sum::<u64>();
            }
            _ => {}
        }
    }
    (load.requests > 0.0).then_some(load)
}

fn milliseconds(text: &str) -> Option<f64> {
    let end = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at_checked(end)?;
    let factor = match unit {
        "us" => 0.001,
        "ms" => 1.0,
        "s" => 1_000.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp, reason = "tests assert")]
    use super::*;

    #[test]
    fn the_output_of_wrk_is_read() {
        let text = "Running 2s test @ http://127.0.0.1:8080/\n  1 threads and 32 connections\n  Latency Distribution\n     50%  600.00us\n     75%    0.99ms\n     90%    1.00ms\n     99%    1.50ms\n  98345 requests in 2.00s, 110.00MB read\n  Socket errors: connect 0, read 1, write 0, timeout 0\n  Non-2xx or 3xx responses: 3\nRequests/sec:  49123.50\nTransfer/sec:     55.00MB\n";
        let load = parse(text).unwrap();
        assert_eq!((load.requests, load.per_second, load.failed), (98345.0, 49123.5, 4));
        assert_eq!((load.p50_ms, load.p99_ms), (0.6, 1.5));
    }
}
