use proptest::prelude::*;

use super::*;
use crate::logs::{LogOptions, reader::Reader};

fn clock() -> Timestamp {
    "2026-03-01T09:05:07.000000001Z".parse().unwrap()
}

fn read_all(dir: &std::path::Path, options: &LogOptions) -> Vec<u8> {
    let mut reader = Reader::open(dir.to_owned(), 0, options).unwrap();
    let mut all = Vec::new();
    while let Some(part) = reader.read().unwrap() {
        all.extend_from_slice(&part);
    }
    all
}

fn compress_all(dir: &std::path::Path) {
    files::uncompressed(dir, 0).unwrap().iter().for_each(|path| files::compress(path).unwrap());
}

fn text(dir: &std::path::Path) -> String {
    fs::read_to_string(dir.join("0.log")).unwrap()
}

#[test]
fn long_lines_are_split_and_unfinished_ones_kept_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path().to_owned(), 0, clock).unwrap();
    let mut lines = Lines::new(Stream::Stdout);
    let full = vec![b'x'; limits::LOG_LINE_BYTES_MAX];
    writer.write(&mut lines, &full);
    assert_eq!(text(dir.path()), "");
    // Exactly as long as a record may be: not split.
    writer.write(&mut lines, b"\n");
    let stamp = "2026-03-01T09:05:07.000000001Z stdout";
    let x = String::from_utf8(full.clone()).unwrap();
    assert_eq!(text(dir.path()), format!("{stamp} F {x}\n"));
    writer.write(&mut lines, &full);
    writer.write(&mut lines, b"yz");
    assert!(text(dir.path()).ends_with(&format!("{stamp} P {x}\n")));
    writer.write(&mut lines, b"!\nrest");
    assert!(text(dir.path()).ends_with(&format!("{stamp} F yz!\n")));
    writer.finish(&mut lines);
    assert!(text(dir.path()).ends_with(&format!("{stamp} P rest\n")));
    assert_eq!(lines.bytes, 2 * 16384 + 9);
}

#[test]
fn files_are_rotated_at_their_limit_and_the_oldest_removed() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path().to_owned(), 0, clock).unwrap();
    writer.file_bytes_max = 100;
    let mut lines = Lines::new(Stream::Stdout);
    for i in 0..10 {
        writer.write(&mut lines, format!("line {i} {}\n", "-".repeat(40)).as_bytes());
    }
    let files = files::list(dir.path(), 0).unwrap();
    let names: Vec<_> = files.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    // Two rotations in one second get different names, in order.
    let expected = ["12", "13", "14", "15"].map(|second| format!("0.log.20260301-0905{second}"));
    assert_eq!(names[..4], expected);
    assert_eq!(names[4], "0.log");
    compress_all(dir.path());
    let log = String::from_utf8(read_all(dir.path(), &LogOptions::default())).unwrap();
    let firsts: Vec<_> = log.lines().map(|line| &line[..6]).collect();
    assert_eq!(firsts, ["line 5", "line 6", "line 7", "line 8", "line 9"]);
    let tail = LogOptions { tail_lines: Some(3), ..LogOptions::default() };
    assert_eq!(String::from_utf8(read_all(dir.path(), &tail)).unwrap().lines().count(), 3);
}

#[test]
fn a_full_disk_loses_records_and_says_so_when_there_is_room_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path().to_owned(), 0, clock).unwrap();
    let mut lines = Lines::new(Stream::Stdout);
    writer.write(&mut lines, b"before\n");
    let good = std::mem::replace(&mut writer.file, File::options().append(true).open("/dev/full").unwrap());
    writer.write(&mut lines, b"lost 1\nlost 2\n");
    writer.write(&mut lines, b"lost 3\n");
    writer.file = good;
    writer.write(&mut lines, b"after\n");
    let log = read_all(dir.path(), &LogOptions::default());
    let note = "cronlet: 3 log records could not be written and are lost";
    assert_eq!(String::from_utf8(log).unwrap(), format!("before\n{note}\nafter\n"));
}

/// What the test below sets for itself when it runs again where files may not be large.
const CONFINED: &str = "CRONLET_TEST_FILES_ARE_SMALL";

#[test]
fn of_what_was_written_in_part_nothing_stays() {
    if std::env::var_os(CONFINED).is_none() {
        // Files may have 4096 bytes: a write that goes beyond is done in part.
        let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" --exact \"$1\"";
        let name = "logs::writer::tests::of_what_was_written_in_part_nothing_stays";
        let mut command = std::process::Command::new("sh");
        command.args(["-c", script]).arg(std::env::current_exe().unwrap()).arg(name).env(CONFINED, "");
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("1 passed"), "{told}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let part = File::create(dir.path().join("part")).unwrap();
    assert_eq!((&part).write(&[b'x'; 5000]).unwrap(), 4096, "files may be large");
    let mut writer = Writer::open(dir.path().to_owned(), 0, clock).unwrap();
    let mut lines = Lines::new(Stream::Stdout);
    writer.write(&mut lines, b"before\n");
    let before = text(dir.path());
    writer.write(&mut lines, &[&[b'x'; 5000][..], b"\n"].concat());
    assert_eq!(text(dir.path()), before);
    writer.write(&mut lines, b"after\n");
    let note = "cronlet: 1 log records could not be written and are lost";
    let log = read_all(dir.path(), &LogOptions::default());
    assert_eq!(String::from_utf8(log).unwrap(), format!("before\n{note}\nafter\n"));
}

#[test]
fn a_reader_follows_across_rotations() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path().to_owned(), 0, clock).unwrap();
    writer.file_bytes_max = 120;
    let mut lines = Lines::new(Stream::Stdout);
    let mut reader = Reader::open(dir.path().to_owned(), 0, &LogOptions::default()).unwrap();
    let mut log = String::new();
    for i in 0..20 {
        writer.write(&mut lines, format!("line {i}\n").as_bytes());
        if i % 3 == 0 {
            while let Some(part) = reader.read().unwrap() {
                log.push_str(std::str::from_utf8(&part).unwrap());
            }
        }
    }
    while let Some(part) = reader.read().unwrap() {
        log.push_str(std::str::from_utf8(&part).unwrap());
    }
    assert_eq!(log, (0..20).map(|i| format!("line {i}\n")).collect::<String>());
}

/// Output with short and long lines, of which some are not ended.
fn output() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => (16_300usize..16_500).prop_map(|length| vec![b'x'; length]),
        1 => Just(vec![b'y'; 40_000]),
    ];
    (proptest::collection::vec(line, 0..12), any::<bool>()).prop_map(|(lines, ends)| {
        let mut all = lines.join(&b'\n');
        if ends {
            all.push(b'\n');
        }
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a container writes, in whatever pieces it is read: the log gives it back byte by byte.
    #[test]
    fn output_is_read_back_as_it_was_written(output in output(), pieces in proptest::collection::vec(1usize..30_000, 1..20)) {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(dir.path().to_owned(), 0, clock).unwrap();
        writer.file_bytes_max = 30_000;
        let mut lines = Lines::new(Stream::Stderr);
        let (mut rest, mut pieces) = (&output[..], pieces.iter().cycle());
        let mut reader = Reader::open(dir.path().to_owned(), 0, &LogOptions::default()).unwrap();
        let mut found = Vec::new();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(*pieces.next().unwrap()));
            writer.write(&mut lines, piece);
            rest = after;
            compress_all(dir.path());
            while let Some(part) = reader.read().unwrap() {
                found.extend_from_slice(&part);
            }
        }
        writer.finish(&mut lines);
        while let Some(part) = reader.read().unwrap() {
            found.extend_from_slice(&part);
        }
        prop_assert!(found == output);
    }

    /// The tail of a log is the last lines of the output, however long they are and however many files they fill.
    #[test]
    fn a_tail_is_the_last_lines(output in output(), count in 0usize..15) {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(dir.path().to_owned(), 0, clock).unwrap();
        writer.file_bytes_max = 40_000;
        let mut lines = Lines::new(Stream::Stdout);
        for piece in output.chunks(10_000) {
            writer.write(&mut lines, piece);
        }
        writer.finish(&mut lines);
        compress_all(dir.path());
        prop_assume!(files::list(dir.path(), 0).unwrap().len() < limits::LOG_FILES_MAX);
        let all: Vec<&[u8]> = output.split_inclusive(|&b| b == b'\n').collect();
        let expected = all[all.len().saturating_sub(count)..].concat();
        let options = LogOptions { tail_lines: Some(count as u64), ..LogOptions::default() };
        prop_assert!(read_all(dir.path(), &options) == expected);
    }
}
