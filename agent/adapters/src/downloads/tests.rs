use super::*;
use steadfast_core::{At, Digest, Failure, Outcome, Slot};
use tempfile::TempDir;

fn offer(source: &str, content: Option<Digest>) -> Offer {
    Offer { source: source.try_into().expect("short"), at: At::Now, content, set: None }
}

fn downloads() -> (TempDir, Downloads) {
    let folder = tempfile::tempdir().expect("a folder");
    let downloads = Downloads::new(folder.path(), [1; 16]).leaving(0);
    (folder, downloads)
}

/// What came of this offer: a part with its record, and a whole one.
fn begun(downloads: &Downloads, offer: &Offer) {
    let mut partial = downloads.open(offer).expect("writable");
    partial.comes_from(&offer.source, None, 4).expect("writable");
    partial.append(b"hsqs").expect("writable");
    partial.finish().expect("writable");
    let mut partial = downloads.open(offer).expect("writable");
    partial.comes_from(&offer.source, None, 9).expect("writable");
    partial.append(b"hs").expect("writable");
}

fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path().join("downloads")).expect("it was made");
    let names = entries.map(|entry| entry.expect("readable").file_name().into_string());
    let mut names: Vec<String> = names.map(|name| name.expect("our own names are text")).collect();
    names.sort();
    names
}

#[test]
fn only_what_the_offer_under_way_needs_is_kept() {
    let (folder, downloads) = downloads();
    downloads.keep(Needed::Never).expect("there is nothing yet");
    let content = Some(Digest([3; 32]));
    let (old, new) = (offer("http://a/1", None), offer("http://a/2", content));
    begun(&downloads, &old);
    begun(&downloads, &new);
    fs::write(folder.path().join("downloads/stray"), "").expect("writable");
    assert_eq!(names(&folder).len(), 7);
    // Another URL for the same bytes needs what is here.
    downloads.keep(Needed::By(&offer("http://b/3", content))).expect("its own folder");
    let key = format!("content-{}", Digest([3; 32]));
    let kept = ["part", "raucb", "record"].map(|kind| format!("{key}.{kind}"));
    assert_eq!(names(&folder), kept);
    downloads.keep(Needed::Never).expect("its own folder");
    assert_eq!(names(&folder), Vec::<String>::new());
}

#[test]
fn a_file_that_goes_or_cannot_go_while_the_others_are_removed_keeps_none_of_them() {
    let (folder, downloads) = downloads();
    begun(&downloads, &offer("http://a/1", None));
    let unneeded = downloads.unneeded(Needed::Never).expect("its own folder");
    assert_eq!(unneeded.len(), 3);
    fs::rename(&unneeded[0], folder.path().join("renamed meanwhile")).expect("writable");
    remove(unneeded).expect("what is gone is gone");
    assert_eq!(names(&folder), Vec::<String>::new());
    begun(&downloads, &offer("http://a/1", None));
    fs::create_dir(folder.path().join("downloads/stays")).expect("writable");
    downloads.keep(Needed::Never).expect_err("it is no file");
    assert_eq!(names(&folder), ["stays"]);
}

#[test]
fn a_name_tells_nothing_of_the_url() {
    let (_folder, downloads) = downloads();
    let offer = offer("http://a/x.raucb?token=secret", None);
    let place = downloads.place(&offer).expect("a URL");
    assert!(!place.display().to_string().contains("secret"), "{}", place.display());
}

#[test]
fn a_file_is_used_where_it_lies() {
    let (_folder, downloads) = downloads();
    assert_eq!(downloads.place(&offer("/media/usb/x.raucb", Some(Digest([3; 32])))), None);
}

#[test]
fn what_the_network_cut_off_is_kept_for_the_next_offer_and_what_is_whole_is_not() {
    let (folder, downloads) = downloads();
    begun(&downloads, &offer("http://a/1", None));
    downloads.keep(Needed::Later).expect("its own folder");
    let ends: Vec<String> =
        names(&folder).iter().filter_map(|name| Some(name.split_once('.')?.1.to_owned())).collect();
    assert_eq!(ends, ["part", "record"]);
}

#[test]
fn a_download_is_needed_until_it_is_installed_or_its_offer_ended_for_good() {
    let wanted = offer("http://a/1", None);
    let fetching = Update::Fetching { offer: wanted.clone(), attempt: 1, begun: None };
    let verifying = Update::Verifying { offer: wanted.clone(), attempt: 1, begun: None };
    for update in [fetching, verifying] {
        assert_eq!(Needed::by(&Node { update, ..Node::default() }), Needed::By(&wanted));
    }
    let pending = Pending::Offer(wanted.clone(), None);
    assert_eq!(Needed::by(&Node { pending, ..Node::default() }), Needed::By(&wanted));
    assert_eq!(Needed::by(&Node::default()), Needed::Never);
    for (cause, needed) in [(Cause::Network, Needed::Later), (Cause::Space, Needed::Never)] {
        let failure = Some(Failure::new(cause, format_args!("")));
        let ending =
            Ending { version: None, set: None, slot: Slot::B, outcome: Outcome::Refused, failure };
        assert_eq!(Needed::by(&Node { last: Some(ending), ..Node::default() }), needed);
    }
}
