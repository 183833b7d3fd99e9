//! One message on the wire: its length, then its postcard bytes.
//!
//! ```text
//! length u32 LE (at most MAX_FRAME) | postcard, exactly that long
//! ```
//!
//! Always true: nothing longer than [`MAX_FRAME`] is sent, and nothing longer is allocated for,
//! whatever the other side claims. Reading asynchronously is [`length`], then [`decode`].

use super::MAX_FRAME;
use serde::{Serialize, de::DeserializeOwned};
use std::io::{self, ErrorKind, Read, Write};

/// How many bytes say how long a frame is.
pub const HEAD: usize = 4;

/// Why a message was not sent or not received.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other side closed the connection between two messages.
    #[error("the connection was closed")]
    Closed,
    /// The other side closed the connection within a message.
    #[error("the connection was closed within a message")]
    CutOff,
    /// The message is longer than [`MAX_FRAME`].
    #[error("a message of {0} bytes is longer than {MAX_FRAME}")]
    TooLong(u64),
    /// The bytes are no such message.
    #[error("the bytes are not a message of this version")]
    NotPostcard(#[source] postcard::Error),
    /// The bytes go on after the message.
    #[error("{0} bytes follow the message in its frame")]
    Trailing(usize),
    /// The connection failed.
    #[error("the connection failed")]
    Io(#[source] io::Error),
}

/// The frame of `message`, its length included.
pub fn encode(message: &impl Serialize) -> Result<Vec<u8>, FrameError> {
    let frame = postcard::to_extend(message, vec![0; HEAD]).map_err(FrameError::NotPostcard)?;
    let length = frame.len() - HEAD;
    let head = u32::try_from(length).ok().filter(|length| *length <= MAX_FRAME);
    let head = head.ok_or(FrameError::TooLong(length as u64))?;
    let mut frame = frame;
    frame[..HEAD].copy_from_slice(&head.to_le_bytes());
    Ok(frame)
}

/// How many bytes follow this head.
pub fn length(head: [u8; HEAD]) -> Result<usize, FrameError> {
    match u32::from_le_bytes(head) {
        length if length <= MAX_FRAME => Ok(length as usize),
        length => Err(FrameError::TooLong(length.into())),
    }
}

/// The message in the bytes that follow a head.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    match postcard::take_from_bytes(body).map_err(FrameError::NotPostcard)? {
        (message, []) => Ok(message),
        (_, rest) => Err(FrameError::Trailing(rest.len())),
    }
}

/// Sends one message.
pub fn write_frame(to: &mut impl Write, message: &impl Serialize) -> Result<(), FrameError> {
    let frame = encode(message)?;
    to.write_all(&frame).and_then(|()| to.flush()).map_err(FrameError::Io)
}

/// Receives one message.
pub fn read_frame<T: DeserializeOwned>(from: &mut impl Read) -> Result<T, FrameError> {
    let mut head = [0; HEAD];
    // The first byte alone tells a connection that ended from one that was cut off.
    fill(from, &mut head[..1], FrameError::Closed)?;
    fill(from, &mut head[1..], FrameError::CutOff)?;
    let mut body = vec![0; length(head)?];
    fill(from, &mut body, FrameError::CutOff)?;
    decode(&body)
}

fn fill(from: &mut impl Read, buffer: &mut [u8], ended: FrameError) -> Result<(), FrameError> {
    from.read_exact(buffer).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => ended,
        _ => FrameError::Io(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Request, Response};
    use steadfast_core::At;

    fn update() -> Request {
        let source = "/data/steadfast-1.2.0.raucb".into();
        Request::Update { source, at: At::Window, content: None, set: None }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut wire = Vec::new();
        for message in [&update(), &Request::Watch] {
            write_frame(&mut wire, message).expect("a vector takes it");
        }
        let wire = &mut wire.as_slice();
        assert_eq!(read_frame::<Request>(wire).expect("whole"), update());
        assert_eq!(read_frame::<Request>(wire).expect("whole"), Request::Watch);
        assert!(matches!(read_frame::<Request>(wire), Err(FrameError::Closed)));
    }

    #[test]
    fn the_bytes_on_the_wire_are_a_length_and_postcard() {
        let refused = Response::Refused { because: "no".into() };
        assert_eq!(encode(&refused).expect("short"), b"\x04\0\0\0\x03\x02no");
    }

    #[test]
    fn a_frame_that_is_cut_anywhere_is_no_message() {
        let whole = encode(&update()).expect("short");
        for end in 1..whole.len() {
            let read = read_frame::<Request>(&mut &whole[..end]);
            assert!(matches!(read, Err(FrameError::CutOff)), "{end}: {read:?}");
        }
    }

    #[test]
    fn garbage_in_a_whole_frame_is_no_message() {
        let read = read_frame::<Request>(&mut &b"\x02\0\0\0\xff\xff"[..]);
        assert!(matches!(read, Err(FrameError::NotPostcard(_))), "{read:?}");
        let read = read_frame::<Request>(&mut &b"\x02\0\0\0\0\0"[..]);
        assert!(matches!(read, Err(FrameError::Trailing(1))), "{read:?}");
    }

    #[test]
    fn a_frame_that_claims_too_much_is_refused_before_it_is_read() {
        let head = (MAX_FRAME + 1).to_le_bytes();
        let read = read_frame::<Request>(&mut &head[..]);
        assert!(matches!(read, Err(FrameError::TooLong(1_048_577))), "{read:?}");
    }

    #[test]
    fn the_longest_frame_goes_through_and_one_byte_more_does_not() {
        // Three bytes of length and one of the variant stand before the text.
        let because = |length: u32| Response::Refused { because: "x".repeat(length as usize) };
        let longest = encode(&because(MAX_FRAME - 4)).expect("as long as is allowed");
        assert!(read_frame::<Response>(&mut longest.as_slice()).is_ok());
        let error = encode(&because(MAX_FRAME - 3)).expect_err("one byte too many");
        assert!(matches!(error, FrameError::TooLong(1_048_577)), "{error:?}");
    }
}
