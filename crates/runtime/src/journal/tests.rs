use proptest::prelude::*;

use super::*;

fn events() -> Vec<Event> {
    let exit = Exit {
        code: 137,
        signal: Some(9),
        kind: ExitKind::Ended,
        message: "a\n\"b\"\u{1}".into(),
        usage: Usage::default(),
    };
    vec![
        Event::Opened { version: "1".into(), pid: 7, boot_id: "b".into() },
        Event::Started { container: "c".into(), attempt: 0, pid: 8, ticks: 9 },
        Event::Killing { container: "c".into(), until: Timestamp::UNIX_EPOCH, firm: false },
        Event::Exited { container: "c".into(), attempt: 0, exit },
        Event::Stopping { cause: StopCause::Deadline, until: Timestamp::UNIX_EPOCH, at_once: false },
        Event::Refused {
            container: "c".into(),
            volume: "v".into(),
            message: "m".into(),
            retry_at: Timestamp::MIN,
        },
        Event::GaveUp { message: "m".into() },
        Event::Finished,
    ]
}

fn written(dir: &Path, events: Vec<Event>) -> Vec<Record> {
    let mut writer = Writer::create(dir).unwrap();
    let records = events.into_iter().map(|event| writer.push(Timestamp::UNIX_EPOCH, event)).collect();
    writer.flush().unwrap();
    records
}

#[test]
fn records_are_read_as_they_were_written() {
    let dir = tempfile::tempdir().unwrap();
    let records = written(dir.path(), events());
    let mut reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.read().unwrap(), records);
    assert_eq!(reader.read().unwrap(), []);
    // The lock of this process is no obstacle to itself.
    let (mut writer, found) = Writer::open(dir.path()).unwrap().unwrap();
    assert_eq!(found, records);
    let more = writer.push(Timestamp::MAX, Event::Finished);
    assert_eq!(more.seq, records.len() as u64 + 1);
    assert_eq!(reader.read().unwrap(), [], "written without a flush");
    writer.flush().unwrap();
    assert_eq!(reader.read().unwrap(), [more]);
}

#[test]
fn a_shim_is_found_by_its_lock_alone() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), events());
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.shim().unwrap(), None);
}

#[test]
fn what_must_survive_a_crash_is_what_cannot_be_found_out_again() {
    let finals =
        events().into_iter().map(|event| Record { seq: 1, time: Timestamp::UNIX_EPOCH, event }.is_final());
    assert_eq!(finals.collect::<Vec<_>>(), [false, false, false, true, false, false, false, true]);
}

#[test]
fn a_pod_is_what_it_was_specified_to_be_last() {
    let container = |name: &str, image: &str| -> spec::Container {
        serde_json::from_value(serde_json::json!({
            "name": name, "image": image, "role": "regular", "argv": ["true"], "env": [], "cwd": "/",
            "no_new_privileges": false, "mounts": [],
            "termination_message": { "path": "/x", "required": false, "fallback_to_logs": false },
        }))
        .unwrap()
    };
    let pod: spec::Pod = serde_json::from_value(serde_json::json!({
        "version": 3, "handler": "process", "namespace": "ns", "name": "p", "uid": "u", "restart_policy": "Always",
        "grace_seconds": 30, "log_dir": "/log", "log_links_dir": "/links", "memory_volumes": [],
        "containers": [container("a", "one"), container("b", "one")],
    }))
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let respecified = |name, image| Event::Respecified(Box::new(container(name, image)));
    let events = vec![
        Event::Specified(Box::new(pod)),
        respecified("b", "two"),
        respecified("x", "two"),
        Event::Finished,
    ];
    let records = written(dir.path(), events);
    let found = specification(&records).unwrap();
    let images: Vec<_> = found.containers.iter().map(|c| (c.name.as_str(), c.image.as_str())).collect();
    assert_eq!(images, [("a", "one"), ("b", "two")]);
    assert_eq!(specification(&records[1..]), None);
}

#[test]
fn a_record_out_of_order_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let records = written(dir.path(), events());
    let mut bytes = Vec::new();
    for record in [&records[0], &records[2], &records[1]] {
        record.encode(&mut bytes);
    }
    std::fs::write(dir.path().join(FILE_NAME), bytes).unwrap();
    assert_eq!(Reader::open(dir.path()).unwrap().read().unwrap(), records[..1]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a crash tears off or writes over, what comes before it is kept and what follows can be appended.
    #[test]
    fn damage_costs_only_what_comes_after_it(cut in 0usize..2000, flip in proptest::option::of(0usize..2000)) {
        let dir = tempfile::tempdir().unwrap();
        let records = written(dir.path(), events());
        let path = dir.path().join(FILE_NAME);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.truncate(cut);
        if let Some(byte) = flip.and_then(|at| bytes.get_mut(at)) {
            *byte ^= 0x20;
        }
        std::fs::write(&path, &bytes).unwrap();
        let found = Reader::open(dir.path()).unwrap().read().unwrap();
        prop_assert_eq!(&found[..], &records[..found.len()]);
        let first_damage = flip.unwrap_or(usize::MAX).min(bytes.len());
        let whole_lines = bytes[..first_damage].iter().filter(|&&b| b == b'\n').count();
        prop_assert!(found.len() >= whole_lines);
        let (mut writer, kept) = Writer::open(dir.path()).unwrap().unwrap();
        prop_assert_eq!(&kept, &found);
        let added = writer.push(Timestamp::UNIX_EPOCH, Event::Finished);
        writer.flush().unwrap();
        let again = Reader::open(dir.path()).unwrap().read().unwrap();
        prop_assert_eq!(again.last(), Some(&added));
        prop_assert_eq!(again.len(), found.len() + 1);
    }

    /// A reader sees the same records however the file grows between its reads.
    #[test]
    fn a_journal_can_be_read_while_it_is_written(cuts in proptest::collection::vec(0usize..2000, 0..5)) {
        let dir = tempfile::tempdir().unwrap();
        let records = written(dir.path(), events());
        let path = dir.path().join(FILE_NAME);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, "").unwrap();
        let mut reader = Reader::open(dir.path()).unwrap();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).chain([bytes.len()]).collect();
        cuts.sort_unstable();
        let (mut found, mut done) = (Vec::new(), 0);
        for cut in cuts {
            let mut file = File::options().append(true).open(&path).unwrap();
            file.write_all(&bytes[done..cut]).unwrap();
            done = cut;
            found.extend(reader.read().unwrap());
        }
        prop_assert_eq!(found, records);
    }
}
