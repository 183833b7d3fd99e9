use crate::http::loopback::{Loopback, Reply};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

/// What is offered, and how; a test may change it while it is served.
pub(super) struct Offered {
    pub(super) body: Vec<u8>,
    /// A header line that tells this content from another.
    pub(super) validator: Option<&'static str>,
    pub(super) serves_ranges: bool,
    /// Whether `If-Range` is understood.
    pub(super) compares: bool,
    /// After so many bytes of the body a connection breaks.
    pub(super) cut: usize,
    /// How many bytes may still be sent, in all; then the connection stays open and silent.
    pub(super) stalls: usize,
    /// How many connections are still answered; the others are told 503.
    pub(super) answers: usize,
    /// Which bytes were sent, connection by connection.
    pub(super) sent: Vec<Range<usize>>,
    /// Told before each answer how many there were.
    pub(super) watched: Box<dyn FnMut(usize) + Send>,
}

pub(super) struct Server {
    loopback: Loopback,
    offered: Arc<Mutex<Offered>>,
}

/// A bundle of so many bytes, all different places told apart.
pub(super) fn bundle(length: usize) -> Vec<u8> {
    let words = (0_u32..).flat_map(|number| number.wrapping_mul(0x9e37_79b9).to_le_bytes());
    b"hsqs".iter().copied().chain(words).take(length).collect()
}

impl Server {
    /// A server that does everything right.
    pub(super) async fn of(body: Vec<u8>) -> Server {
        let offered = Arc::new(Mutex::new(Offered {
            body,
            validator: Some("ETag: \"one\""),
            serves_ranges: true,
            compares: true,
            cut: usize::MAX,
            stalls: usize::MAX,
            answers: usize::MAX,
            sent: Vec::new(),
            watched: Box::new(|_| {}),
        }));
        let served = Arc::clone(&offered);
        let loopback = Loopback::plain(move |request| {
            served.lock().expect("no test panics while it holds it").answer(request)
        });
        Server { loopback: loopback.await, offered }
    }

    pub(super) fn url(&self) -> String {
        self.loopback.url("/release.raucb")
    }

    pub(super) fn offered(&self) -> MutexGuard<'_, Offered> {
        self.offered.lock().expect("the server does not panic")
    }

    /// Which bytes were sent, one connection after the other.
    pub(super) fn sent(&self) -> Vec<Range<usize>> {
        self.offered().sent.clone()
    }

    /// What was sent, over the one connection that there was.
    pub(super) fn only_sent(&self) -> Range<usize> {
        let sent = self.sent();
        let [range] = sent.as_slice() else { panic!("one connection: {sent:?}") };
        range.clone()
    }

    /// How many bytes were sent.
    pub(super) fn count(&self) -> usize {
        self.sent().iter().map(ExactSizeIterator::len).sum()
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.loopback.requests()
    }
}

impl Offered {
    fn answer(&mut self, request: &str) -> Reply {
        let answered = self.sent.len();
        (self.watched)(answered);
        let Some(left) = self.answers.checked_sub(1) else {
            return Reply::Bytes("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n".to_owned());
        };
        self.answers = left;
        let total = self.body.len();
        let field = |name: &str| {
            let mut lines = request.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        };
        let ours = self.validator.and_then(|line| line.split_once(": ")).map(|(_, value)| value);
        let unchanged =
            !self.compares || field("if-range").is_none_or(|theirs| Some(theirs) == ours);
        let range = field("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let range = range.filter(|_| self.serves_ranges && unchanged).map(|(first, last)| {
            let end = last.parse().map_or(total, |last: usize| total.min(last + 1));
            first.parse().expect("our own client asks by numbers")..end
        });
        let validator = self.validator.map(|line| format!("{line}\r\n")).unwrap_or_default();
        let (head, wanted) = match range {
            Some(range) if range.start >= total => {
                let line = format!("Content-Range: bytes */{total}");
                let text = format!("HTTP/1.1 416 X\r\n{line}\r\nContent-Length: 0\r\n\r\n");
                return Reply::Bytes(text);
            }
            Some(range) => {
                let (first, last) = (range.start, range.end - 1);
                (format!("206 X\r\nContent-Range: bytes {first}-{last}/{total}"), range)
            }
            None => ("200 X".to_owned(), 0..total),
        };
        let length = wanted.len();
        let stops = self.stalls < length.min(self.cut);
        let count = length.min(self.cut).min(self.stalls);
        self.stalls -= count.min(self.stalls);
        let sent = wanted.start..wanted.start + count;
        let mut bytes =
            format!("HTTP/1.1 {head}\r\n{validator}Content-Length: {length}\r\n\r\n").into_bytes();
        bytes.extend_from_slice(&self.body[sent.clone()]);
        self.sent.push(sent);
        if stops { Reply::Stalls(bytes) } else { Reply::Raw(bytes) }
    }
}
