//! What the operating system saw: between the write of a commit and the answer lies a sync of the file.
//!
//! The trace is that of strace with `-f -y -xx`: one line for each call, or two where another thread came in between,
//! with the path behind each file descriptor, and all bytes in hexadecimal.

use std::collections::HashMap;

/// What was seen of the commits of one connection on which one call at a time was made.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Writes to the journal.
    pub(crate) commits: usize,
    /// Answers behind a write whose file was synced.
    pub(crate) answers: usize,
}

/// Reads a trace; an error says where an answer began before the commit before it was durable.
pub(crate) fn check(trace: &str) -> Result<Seen, String> {
    let (mut seen, mut unsynced, mut answered) = (Seen::default(), None::<String>, true);
    // The file whose sync a thread has begun.
    let mut syncing = HashMap::<&str, String>::new();
    for (number, line) in trace.lines().enumerate() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        let path = path_of(call);
        let is_written = |to: fn(&str) -> bool| is_write(call) && path.as_deref().is_some_and(to);
        if is_written(|path| path.ends_with(".journal")) {
            seen.commits += 1;
            (unsynced, answered) = (path.clone(), false);
        } else if call.starts_with("fdatasync(") {
            syncing.extend(path.clone().map(|path| (thread, path)));
        }
        let ends_well = call.contains("fdatasync") && call.ends_with("= 0");
        if ends_well && unsynced.is_some() && syncing.get(thread) == unsynced.as_ref() {
            unsynced = None;
        }
        if is_written(|path| path.starts_with("socket:")) && begins_answer(call) {
            if let Some(path) = unsynced {
                return Err(format!("line {}: an answer begins before {path} was synced: {line}", number + 1));
            }
            seen.answers += usize::from(!answered);
            answered = true;
        }
    }
    Ok(seen)
}

fn is_write(call: &str) -> bool {
    ["write(", "writev(", "sendto(", "sendmsg(", "pwrite64("].iter().any(|name| call.starts_with(name))
}

/// What the first file descriptor stands for.
fn path_of(call: &str) -> Option<String> {
    let (_, arguments) = call.split_once('(')?;
    let (descriptor, rest) = arguments.split_once('<')?;
    descriptor.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    let (path, _) = rest.split_once('>')?;
    let decoded = || String::from_utf8_lossy(&bytes_of(path)).into_owned();
    Some(if path.starts_with("\\x") { decoded() } else { path.to_owned() })
}

/// Whether headers are among the HTTP/2 frames of a write.
fn begins_answer(call: &str) -> bool {
    const FRAME_HEADER_BYTES: usize = 9;
    const HEADERS: u8 = 1;
    // Everything in quotes, one after the other.
    let bytes: Vec<u8> = call.split('"').skip(1).step_by(2).flat_map(bytes_of).collect();
    let mut rest = bytes.as_slice();
    while let Some(header) = rest.get(..FRAME_HEADER_BYTES) {
        if header[3] == HEADERS {
            return true;
        }
        let length = header[..3].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        rest = rest.get(FRAME_HEADER_BYTES + length..).unwrap_or_default();
    }
    false
}

/// What stands in hexadecimal.
fn bytes_of(text: &str) -> Vec<u8> {
    let digits = text.split("\\x").skip(1);
    digits.filter_map(|digits| u8::from_str_radix(digits.get(..2)?, 16).ok()).collect()
}

#[test]
fn an_answer_before_its_sync_is_noticed_in_a_trace() {
    let write = r#"7 write(9</d/journal/1.journal>, "\xf5\x52", 2) = 2"#;
    let (begun, ended) = ("7 fdatasync(9</d/journal/1.journal> <unfinished ...>", "7 <... fdatasync resumed>) = 0");
    let window = r#"8 writev(4<socket:[3]>, [{iov_base="\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x01", iov_len=13}], 1) = 13"#;
    let answer =
        r#"8 writev(4<socket:[3]>, [{iov_base="\x00\x00\x01\x01\x04\x00\x00\x00\x01\x88", iov_len=10}], 1) = 10"#;
    let trace = |lines: &[&str]| check(&lines.join("\n"));
    assert_eq!(trace(&[write, window, begun, ended, answer]), Ok(Seen { commits: 1, answers: 1 }));
    assert!(trace(&[write, begun, answer, ended]).is_err(), "the sync had only begun");
    assert!(trace(&[write, answer]).is_err(), "nothing was synced");
    let failed = "7 fdatasync(9</d/journal/1.journal>) = -1 EIO (Input/output error)";
    assert!(trace(&[write, failed, answer]).is_err(), "the sync failed");
    let other = "7 fdatasync(9</d/journal/2.journal>) = 0";
    assert!(trace(&[write, other, answer]).is_err(), "another file was synced");
}
