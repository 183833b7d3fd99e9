//! The frames of the control socket, read by the tool: what was read takes no byte too many and says the same when it
//! is sent again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};
use steadfast::protocol::{HEAD, Request, Response, decode, encode, read_frame};
use steadfast_fuzz::limited;

fuzz_target!(|data: &[u8]| limited(data, judge));

fn judge(data: &[u8]) {
    body::<Request>(data);
    body::<Response>(data);
    stream::<Request>(data);
    stream::<Response>(data);
}

/// What stands in a frame. Bytes are compared: a number that is none equals nothing, not even itself.
fn body<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok(message) = decode::<T>(bytes) else { return };
    let Ok(frame) = encode(&message) else { return };
    let again: T = decode(&frame[HEAD..]).expect("what is sent can be received");
    assert_eq!(encode(&again).ok(), Some(frame));
}

/// Frame by frame, until one is wrong or the connection ends.
fn stream<T: DeserializeOwned>(bytes: &[u8]) {
    let mut rest = bytes;
    loop {
        let before = rest;
        if read_frame::<T>(&mut rest).is_err() {
            return;
        }
        let head = before.first_chunk::<HEAD>().expect("a frame has a head");
        let taken = before.len() - rest.len();
        assert_eq!(taken, HEAD + u32::from_le_bytes(*head) as usize);
    }
}
