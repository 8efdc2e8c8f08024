use super::*;
use crate::test_kit::Folder;

const SESSION: &str = "0123456789abcdef0123456789abcdef";

fn sent(folder: &Folder) -> Evidence {
    Evidence::read(folder.root(), SESSION)
}

#[test]
fn only_what_is_in_the_log_may_have_left() {
    let folder = Folder::new();
    let mut log = SentLog::start(folder.root(), SESSION).unwrap();
    log.mark(AttemptId(7)).unwrap();
    log.mark(AttemptId(5)).unwrap();
    let evidence = sent(&folder);
    assert_eq!(evidence, Evidence::Sent { floor: 0, attempts: [5, 7].into() });
    assert!(evidence.proves_unsent(6) && !evidence.proves_unsent(7));
}

#[test]
fn a_log_of_another_session_or_a_missing_one_proves_nothing() {
    let folder = Folder::new();
    assert_eq!(sent(&folder), Evidence::None);
    drop(SentLog::start(folder.root(), SESSION).unwrap());
    let other = "f".repeat(32);
    assert_eq!(Evidence::read(folder.root(), &other), Evidence::None);
    forget(folder.root()).unwrap();
    assert!(!sent(&folder).proves_unsent(1));
}

#[test]
fn a_torn_or_turned_byte_proves_nothing() {
    let folder = Folder::new();
    let mut log = SentLog::start(folder.root(), SESSION).unwrap();
    log.mark(AttemptId(9)).unwrap();
    let path = folder.path("sent.log");
    let whole = std::fs::read(&path).unwrap();
    for damaged in [whole[..whole.len() - 1].to_vec(), whole[..20].to_vec(), {
        let mut turned = whole.clone();
        turned[HEADER_LEN] ^= 1;
        turned
    }] {
        std::fs::write(&path, damaged).unwrap();
        assert_eq!(sent(&folder), Evidence::None);
    }
}

#[test]
fn two_segments_are_kept_and_what_was_dropped_is_below_the_floor() {
    let folder = Folder::new();
    let mut log = SentLog::start(folder.root(), SESSION).unwrap();
    log.records_max = 2;
    for attempt in [10, 11, 20, 21, 30] {
        log.mark(AttemptId(attempt)).unwrap();
    }
    // 10 and 11 are gone; the floor is the largest number of the dropped segment.
    let evidence = sent(&folder);
    assert_eq!(evidence, Evidence::Sent { floor: 11, attempts: [20, 21, 30].into() });
    assert!(!evidence.proves_unsent(10) && evidence.proves_unsent(25));
    std::fs::remove_file(folder.path("sent.old")).unwrap();
    assert_eq!(sent(&folder), Evidence::None);
}

#[test]
fn a_log_that_cannot_be_written_is_removed_and_begun_again_above_a_floor() {
    let folder = Folder::new();
    let mut log = SentLog::start(folder.root(), SESSION).unwrap();
    log.mark(AttemptId(40)).unwrap();
    // Writing to a file opened for reading fails as a full disk does.
    log.file = Some(File::open(folder.path("sent.log")).unwrap());
    log.mark(AttemptId(41)).unwrap();
    assert_eq!(sent(&folder), Evidence::None);
    log.mark(AttemptId(42)).unwrap();
    let evidence = sent(&folder);
    assert_eq!(evidence, Evidence::Sent { floor: 41, attempts: [42].into() });
    assert!(!evidence.proves_unsent(41) && evidence.proves_unsent(43));
}

#[test]
fn a_second_gateway_on_the_folder_is_refused_until_the_first_is_gone() {
    let folder = Folder::new();
    let first = FolderLock::take(folder.root()).unwrap();
    let refused = FolderLock::take(folder.root()).unwrap_err();
    assert_eq!(refused, StoreError::Held { path: folder.path("ledger.lock") });
    drop(first);
    FolderLock::take(folder.root()).unwrap();
}
