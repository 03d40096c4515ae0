//! Floods end, transfers live.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use super::*;

const BUDGET: u32 = 1000;
const START: Duration = Duration::from_secs(5);

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
    bytes.extend_from_slice(payload);
    bytes
}

/// How many times `frames` passed at one instant before the flood was seen; at most `limit`.
fn survived(frames: &[u8], limit: usize) -> usize {
    let mut meter = FrameMeter::new(BUDGET);
    (0..limit).take_while(|_| meter.see(frames, START).is_ok()).count()
}

#[test]
fn each_kind_of_flood_ends_within_a_thousand_frames() {
    for (name, flood) in [
        ("SETTINGS", frame(4, 0, &[])),
        ("SETTINGS with values", frame(4, 0, &[0, 4, 0, 1, 0, 0])),
        ("SETTINGS ACK", frame(4, 1, &[])),
        ("PING", frame(6, 0, &[0; 8])),
        ("PRIORITY", frame(2, 0, &[0; 5])),
        ("WINDOW_UPDATE", frame(8, 0, &[0, 0, 0, 1])),
        ("RST_STREAM", frame(3, 0, &[0; 4])),
        ("unknown", frame(0xBE, 0xFF, b"grease")),
        ("empty DATA", frame(0, 0, &[])),
        ("padded empty DATA", frame(0, 8, &[9, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        ("CONTINUATION", frame(9, 0, &[])),
        ("GOAWAY", frame(7, 0, &[0; 8])),
    ] {
        let frames = survived(&flood, 5000) + 1;
        assert!((400..=1000).contains(&frames), "{name}: {frames}");
    }
}

#[test]
fn resetting_requests_is_not_free() {
    let mut rapid_reset = frame(1, 5, &[0x82]);
    rapid_reset.extend(frame(3, 0, &[0; 4]));
    assert!(survived(&rapid_reset, 5000) < 1000);
}

#[test]
fn a_flood_behind_few_requests_and_bytes_ends() {
    let mut meter = FrameMeter::new(BUDGET);
    meter.see(&frame(1, 4, &[0x82]), START).unwrap();
    meter.see(&frame(0, 0, &[0; 3000]), START).unwrap();
    let ping = frame(6, 0, &[0; 8]);
    let frames = (0..5000)
        .take_while(|_| {
            let lives = meter.see(&ping, START).is_ok();
            meter.sent(17);
            lives
        })
        .count();
    assert!(frames < 1020, "{frames}");
    assert_eq!(meter.see(&[], START + Duration::from_secs(60)), Err(ControlFlood), "a flood is not forgiven");
}

#[test]
fn a_download_pays_for_no_pings() {
    let mut meter = FrameMeter::new(BUDGET);
    meter.sent(1 << 30);
    let ping = frame(6, 0, &[0; 8]);
    assert!((0..5000).take_while(|_| meter.see(&ping, START).is_ok()).count() < 1000);
}

#[test]
fn an_upload_of_a_gibibyte_lives() {
    let mut meter = FrameMeter::new(BUDGET);
    let mut burst = frame(0, 0, &vec![0; 16384]);
    burst.extend(frame(6, 0, &[0; 8]));
    burst.extend(frame(4, 1, &[]));
    for _ in 0..65536 {
        meter.see(&burst, START).unwrap();
    }
}

#[test]
fn a_download_of_a_gibibyte_lives() {
    let mut meter = FrameMeter::new(BUDGET);
    let mut acknowledgement = frame(8, 0, &[0, 0, 64, 0]);
    acknowledgement.extend(frame(8, 0, &[0, 0, 64, 0]));
    // With a window of 16 MiB that is acknowledged late.
    let window = (16 << 20) / 16384;
    for frame in 0..65536 + window {
        if frame < 65536 {
            meter.sent(16393);
        }
        if frame >= window {
            meter.see(&acknowledgement, START).unwrap();
        }
    }
}

#[test]
fn keep_alive_pings_live() {
    let mut meter = FrameMeter::new(BUDGET);
    for second in 0..100_000u64 {
        meter.see(&frame(6, 0, &[0; 8]), START + Duration::from_millis(second * 150)).unwrap();
    }
}

#[test]
fn many_requests_live() {
    let mut meter = FrameMeter::new(BUDGET);
    for _ in 0..100_000 {
        meter.see(&frame(1, 5, &[0x82, 0x84]), START).unwrap();
        meter.see(&frame(0, 1, &[]), START).unwrap();
    }
}

#[test]
fn cuts_change_nothing() {
    let mut stream = Vec::new();
    for round in 0..200u8 {
        stream.extend(frame(round % 12, round, &vec![1; usize::from(round)]));
    }
    let mut whole = FrameMeter::new(BUDGET);
    whole.see(&stream, START).unwrap();
    for size in [1, 2, 3, 7, 8, 9, 10, 100] {
        let mut cut = FrameMeter::new(BUDGET);
        for piece in stream.chunks(size) {
            cut.see(piece, START).unwrap();
        }
        assert_eq!(
            (cut.units, cut.ahead, cut.received),
            (whole.units, whole.ahead, whole.received),
            "{size}"
        );
    }
}
