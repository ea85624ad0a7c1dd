//! An answer of HTTP/1.1 in the bytes that have come so far (RFC 9112).

use std::io;

/// An answer.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct HttpResponse {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// Whether the connection can be used again.
    pub(super) keeps: bool,
}

/// Reads the first answer in `bytes`; `None` if it is not complete yet. With `ended` nothing more will come.
///
/// # Errors
///
/// When it never will be an answer.
pub(super) fn parse(mut bytes: &[u8], ended: bool) -> io::Result<Option<HttpResponse>> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut head = httparse::Response::new(&mut headers);
        let length = match head.parse(bytes).map_err(|error| wrong(&error.to_string()))? {
            httparse::Status::Complete(length) => length,
            httparse::Status::Partial if ended => return Err(wrong("it ended early")),
            httparse::Status::Partial => return Ok(None),
        };
        let rest = bytes.get(length..).unwrap_or_default();
        let status = head.code.unwrap_or_default();
        if (100..200).contains(&status) {
            // A word between; the answer comes after it.
            bytes = rest;
            continue;
        }
        let header = |name: &str| {
            let found = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            found.and_then(|header| str::from_utf8(header.value).ok()).map(str::trim)
        };
        let is = |name: &str, value: &str| {
            header(name).is_some_and(|said| said.to_ascii_lowercase().contains(value))
        };
        let keeps = head.version == Some(1) && !is("connection", "close");
        let (body, keeps) = if status == 204 || status == 304 {
            (Some(Vec::new()), keeps)
        } else if is("transfer-encoding", "chunked") {
            (chunks(rest)?, keeps)
        } else if let Some(length) = header("content-length") {
            let length = length.parse().map_err(|_| wrong("its length is no number"))?;
            (rest.get(..length).map(<[u8]>::to_vec), keeps)
        } else {
            // It ends with the connection.
            (ended.then(|| rest.to_vec()), false)
        };
        return match body {
            Some(body) => Ok(Some(HttpResponse { status, body, keeps })),
            None if ended => Err(wrong("it ended early")),
            None => Ok(None),
        };
    }
}

/// Whether `path` can stand in a request.
pub(super) fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.len() <= PATH_MAX && path.bytes().all(|it| it.is_ascii_graphic())
}

/// The body that comes in pieces, each with its length before it (RFC 9112 section 7.1); `None` before the last one.
fn chunks(mut rest: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let size = httparse::parse_chunk_size(rest).map_err(|_| wrong("a piece has no length"))?;
        let httparse::Status::Complete((start, size)) = size else { return Ok(None) };
        if size == 0 {
            return Ok(Some(body));
        }
        let size = usize::try_from(size).map_err(|_| wrong("a piece is too long"))?;
        let piece = rest.get(start..).unwrap_or_default();
        let Some((piece, after)) = piece.split_at_checked(size) else { return Ok(None) };
        let Some(after) = after.get(2..) else { return Ok(None) };
        body.extend_from_slice(piece);
        rest = after;
    }
}

fn wrong(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the BMC's answer is no HTTP: {why}"))
}

const HEADERS_MAX: usize = 64;

/// No BMC has longer ones.
const PATH_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_with_its_last_byte() {
        let plain = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        let chunked =
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                        3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
        for text in [&plain[..], &chunked[..]] {
            let whole = parse(text, false).unwrap().unwrap();
            assert_eq!(whole, HttpResponse { status: 200, body: b"hello".to_vec(), keeps: true });
            let least = text.len() - if text == plain { 1 } else { 5 };
            for length in 0..least {
                assert_eq!(parse(&text[..length], false).unwrap(), None, "{length}");
                assert!(parse(&text[..length], true).is_err(), "{length}");
            }
        }
    }

    #[test]
    fn an_answer_may_end_with_the_connection() {
        let text = b"HTTP/1.0 401 Unauthorized\r\n\r\nno";
        assert_eq!(parse(text, false).unwrap(), None);
        let response = parse(text, true).unwrap().unwrap();
        assert_eq!(response, HttpResponse { status: 401, body: b"no".to_vec(), keeps: false });
        let empty = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
        assert!(!parse(empty, false).unwrap().unwrap().keeps);
    }

    #[test]
    fn rubbish_is_refused() {
        for text in [
            &b"SSH-2.0-dropbear\r\n"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        ] {
            assert!(parse(text, true).is_err(), "{}", String::from_utf8_lossy(text));
        }
        let good = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n0\r\n\r\n";
        for place in 0..good.len() {
            for byte in 0..=u8::MAX {
                let mut text = good.to_vec();
                text[place] = byte;
                // What comes is an answer, none yet, or an error.
                let _ = parse(&text, byte % 2 == 0);
            }
        }
        assert!(is_path("/redfish/v1/Systems/1"));
        assert!(!is_path("redfish") && !is_path("/a b") && !is_path("/a\r\nX: y"));
    }
}
