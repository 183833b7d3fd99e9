//! The bill of materials as SPDX 2.3 JSON: one package for the release, one for each Debian package in it.

use serde_json::{Value, json};

use crate::debian::Package;
use crate::digest;

/// What the document is about.
pub(crate) struct Subject<'a> {
    pub(crate) board: &'a str,
    pub(crate) version: &'a str,
    pub(crate) suite: &'a str,
    pub(crate) epoch: u64,
    pub(crate) root_sha256: &'a str,
}

/// The document; the same inputs give the same text.
pub(crate) fn document(subject: &Subject<'_>, packages: &[Package]) -> Value {
    let name = format!("steadfast-{}-{}", subject.board, subject.version);
    let mut list = vec![json!({
        "SPDXID": "SPDXRef-release",
        "name": "steadfast",
        "versionInfo": subject.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "MIT OR Apache-2.0",
        "copyrightText": "NOASSERTION",
        "primaryPackagePurpose": "OPERATING-SYSTEM",
        "checksums": [{"algorithm": "SHA256", "checksumValue": subject.root_sha256}],
    })];
    let mut relations = vec![relation("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-release")];
    for package in packages {
        let id = identifier(package);
        relations.push(relation("SPDXRef-release", "CONTAINS", &id));
        list.push(describe(package, &id, subject.suite));
    }
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": format!("urn:uuid:{}", digest::uuid(&format!("{name} {}", subject.root_sha256))),
        "creationInfo": {
            "created": utc(subject.epoch),
            "creators": [format!("Tool: steadfast-image-{}", env!("CARGO_PKG_VERSION"))],
        },
        "packages": list,
        "relationships": relations,
    })
}

fn describe(package: &Package, id: &str, suite: &str) -> Value {
    let Package { name, version, arch, source, sha256 } = package;
    json!({
        "SPDXID": id,
        "name": name,
        "versionInfo": version,
        "supplier": "Organization: Debian",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "sourceInfo": format!("built from the Debian source package {source}"),
        "checksums": [{"algorithm": "SHA256", "checksumValue": sha256}],
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator":
                format!("pkg:deb/debian/{}@{}?arch={arch}&distro={suite}", encode(name), encode(version)),
        }],
    })
}

fn relation(from: &str, kind: &str, to: &str) -> Value {
    json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to})
}

/// SPDX identifiers hold letters, digits, dots and dashes; two names must not meet in one.
fn identifier(package: &Package) -> String {
    let plain: String = package
        .name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .collect();
    let mark = &digest::of_text(&format!("{} {}", package.name, package.arch))[..8];
    format!("SPDXRef-deb-{plain}-{mark}")
}

fn encode(text: &str) -> String {
    let kept = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '~');
    let one = |c: char| if kept(c) { c.to_string() } else { format!("%{:02X}", u32::from(c)) };
    text.chars().map(one).collect()
}

/// Seconds since 1970 as SPDX writes a time.
fn utc(epoch: u64) -> String {
    let (days, second) = (epoch / 86_400, epoch % 86_400);
    // Days to civil date, after Howard Hinnant's algorithm, with March as the first month.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn package(name: &str, version: &str) -> Package {
        Package {
            name: name.into(),
            version: version.into(),
            arch: "arm64".into(),
            source: name.into(),
            sha256: "00".into(),
        }
    }

    fn subject() -> Subject<'static> {
        Subject { board: "b", version: "1.0.0", suite: "trixie", epoch: 0, root_sha256: "ab" }
    }

    #[test]
    fn every_package_is_contained_by_the_release_under_its_own_identifier() {
        let document =
            document(&subject(), &[package("libstdc++6", "14"), package("libstdc--6", "1:2+b3")]);
        assert_eq!(document["spdxVersion"], "SPDX-2.3");
        let list = document["packages"].as_array().expect("a list");
        let mut ids: Vec<_> = list.iter().map(|p| p["SPDXID"].to_string()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 3);
        let relations = document["relationships"].as_array().expect("a list");
        let contained = relations.iter().filter(|r| r["relationshipType"] == "CONTAINS");
        assert_eq!(contained.count(), 2);
        assert_eq!(
            list[2]["externalRefs"][0]["referenceLocator"],
            "pkg:deb/debian/libstdc--6@1%3A2%2Bb3?arch=arm64&distro=trixie"
        );
    }

    #[test]
    fn the_release_and_every_package_carry_what_they_are_checked_and_traced_by() {
        let mut package = package("libc6", "2.41-12");
        (package.source, package.sha256) = ("glibc".into(), "cd".into());
        let subject = Subject { epoch: 951_782_400, ..subject() };
        let document = document(&subject, &[package]);
        let (release, libc) = (&document["packages"][0], &document["packages"][1]);
        assert_eq!(release["checksums"], json!([{"algorithm": "SHA256", "checksumValue": "ab"}]));
        assert_eq!(libc["checksums"], json!([{"algorithm": "SHA256", "checksumValue": "cd"}]));
        assert_eq!(libc["sourceInfo"], "built from the Debian source package glibc");
        assert_eq!(document["creationInfo"]["created"], "2000-02-29T00:00:00Z");
    }

    #[test]
    fn one_package_for_two_processors_has_two_identifiers() {
        let (first, mut second) = (package("libc6", "2.41"), package("libc6", "2.41"));
        second.arch = "armhf".into();
        assert_ne!(identifier(&first), identifier(&second));
    }

    #[test]
    fn two_roots_under_one_version_are_two_documents() {
        let other = Subject { root_sha256: "cd", ..subject() };
        let namespace =
            |subject: &Subject<'_>| document(subject, &[])["documentNamespace"].to_string();
        assert_ne!(namespace(&subject()), namespace(&other));
        assert!(namespace(&other).starts_with("\"urn:uuid:"));
    }

    #[test]
    fn times_are_civil_dates() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(utc(1_767_225_599), "2025-12-31T23:59:59Z");
        // 2100 is no leap year.
        assert_eq!(utc(4_107_542_400), "2100-03-01T00:00:00Z");
    }

    #[test]
    fn the_same_inputs_give_the_same_document() {
        let packages = [package("dash", "1")];
        assert_eq!(document(&subject(), &packages), document(&subject(), &packages));
    }
}
