//! Follows WebSocket frame headers (RFC 6455 section 5.2) just enough to know where one frame ends and the next begins.

/// Where a stream of frames stands.
#[derive(Debug, Default)]
pub struct FrameEdges {
    header: Vec<u8>,
    payload_left: u64,
}

impl FrameEdges {
    /// At the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the next byte begins a frame.
    #[must_use]
    pub fn at_edge(&self) -> bool {
        self.header.is_empty() && self.payload_left == 0
    }

    /// Follows the next bytes of the stream.
    pub fn see(&mut self, mut bytes: &[u8]) {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.payload_left > 0 {
                let skip = usize::try_from(self.payload_left).unwrap_or(usize::MAX).min(bytes.len());
                self.payload_left -= skip as u64;
                bytes = bytes.get(skip..).unwrap_or_default();
                continue;
            }
            self.header.push(first);
            bytes = rest;
            if let Some(length) = payload_length(&self.header) {
                self.payload_left = length;
                self.header.clear();
            }
        }
    }
}

/// The payload's length, once the header is complete: 2 bytes, 0/2/8 of extended length, 0/4 of mask.
fn payload_length(header: &[u8]) -> Option<u64> {
    let second = *header.get(1)?;
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    if header.len() < 2 + extended + mask {
        return None;
    }
    let length = header.get(2..2 + extended)?.iter().fold(0_u64, |n, &b| n.wrapping_shl(8) | u64::from(b));
    Some(if extended == 0 { u64::from(second & 0x7f) } else { length })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_found_at_every_split() {
        let mut stream = vec![0x81, 5];
        stream.extend(b"hello");
        stream.extend([0x82, 126, 1, 0]);
        stream.extend([7; 256]);
        stream.extend([0x89, 0x80, 1, 2, 3, 4]);
        let ends = [7, 7 + 4 + 256, 7 + 4 + 256 + 6];
        for step in 1..9 {
            let mut edges = FrameEdges::new();
            let mut seen = 0;
            for chunk in stream.chunks(step) {
                edges.see(chunk);
                seen += chunk.len();
                assert_eq!(edges.at_edge(), ends.contains(&seen), "after {seen} bytes in steps of {step}");
            }
        }
    }
}
