//! Who vouches for a set.

use super::*;

#[test]
fn a_set_is_taken_when_a_key_of_the_keyring_signed_it() {
    let world = World::new();
    let key = world.key(1);
    let bytes = world.signed(&[&key]);
    let set = world.read(&bytes, Some(&world.keyring(&[&world.key(2), &key]))).expect("trusted");
    assert_eq!(set.signatures, [Signature { key: key.id(), standing: Standing::Holds }]);
}

#[test]
fn without_a_keyring_nobody_vouches() {
    let world = World::new();
    let key = world.key(1);
    let set = world.read(&world.signed(&[&key]), None).expect("whole");
    assert_eq!(set.signatures, [Signature { key: key.id(), standing: Standing::NotLookedAt }]);
}

#[test]
fn with_a_keyring_a_set_without_a_signature_is_refused() {
    let world = World::new();
    let keyring = world.keyring(&[&world.key(1)]);
    assert_eq!(said(world.read(&world.bytes(), Some(&keyring))), "nobody signed it");
}

#[test]
fn a_strangers_signature_is_refused() {
    let world = World::new();
    let stranger = world.key(9);
    let bytes = world.signed(&[&stranger]);
    let said = said(world.read(&bytes, Some(&world.keyring(&[&world.key(1)]))));
    let because = format!("it is signed by key {} and by no key that is trusted", stranger.id());
    assert_eq!(said, because);
}

#[test]
fn while_keys_change_a_set_has_both_signatures_in_whatever_order() {
    let (one, other) = (World::new(), World::new());
    let keys = [one.key(1), one.key(2)];
    let bytes = one.signed(&[&keys[0], &keys[1]]);
    assert_eq!(bytes, other.signed(&[&keys[1], &keys[0]]));
    for key in &keys {
        let set = one.read(&bytes, Some(&one.keyring(&[key]))).expect("trusted");
        let standings = set.signatures.iter().map(|it| (it.key == key.id(), it.standing));
        let mut standings: Vec<_> = standings.collect();
        standings.sort_by_key(|(own, _)| !own);
        assert_eq!(standings, [(true, Standing::Holds), (false, Standing::Stranger)]);
    }
}

#[test]
fn a_key_signs_a_set_once() {
    let world = World::new();
    let key = world.key(1);
    let bytes = world.signed(&[&key]);
    assert!(matches!(sign(&world.set(), &key), Ok(Signed::Before(_))));
    assert_eq!(world.bytes(), bytes);
}

/// The archive with its only signature altered by `change`: the manifest, then the payload.
fn resigned(bytes: &[u8], change: impl FnOnce(&mut Value, &mut Value)) -> Vec<u8> {
    let mut files = untar(bytes);
    let roots: Value = serde_json::from_slice(&files["index.json"]).expect("JSON");
    let [set, signature] = roots["manifests"].as_array().expect("a list").as_slice() else {
        panic!("a set and a signature: {roots}")
    };
    let mut manifest = at(&files, signature);
    let mut payload = at(&files, &manifest["layers"][0]);
    for old in [signature, &manifest["layers"][0]] {
        let digest = old["digest"].as_str().expect("a digest").replace(':', "/");
        files.remove(&format!("blobs/{digest}"));
    }
    change(&mut manifest, &mut payload);
    let kind = manifest["layers"][0]["mediaType"].as_str().expect("a kind").to_owned();
    manifest["layers"][0] = document(&mut files, &kind, &payload);
    let mut new = document(&mut files, MANIFEST, &manifest);
    new["artifactType"] = signature["artifactType"].clone();
    tar(&layout(files, &[set.clone(), new]))
}

#[test]
fn a_signature_that_its_key_did_not_make_is_refused() {
    let world = World::new();
    let (key, thief) = (world.key(1), world.key(9));
    let keyring = world.keyring(&[&key]);
    let bytes = world.signed(&[&thief]);
    // The thief's signature under the name of the trusted key.
    let named = json!(format!("sha256:{}", key.id()));
    let forged = resigned(&bytes, |_, payload| payload["key"] = named.clone());
    let because = format!(
        "the signature of key {} does not hold: somebody else made it, or it is damaged",
        key.id()
    );
    assert_eq!(said(world.read(&forged, Some(&keyring))), because);
    // Whoever signs it now does not cover that up.
    assert!(world.read(&forged, None).is_ok());
    world.put("press.tar", &forged);
    let refused = sign(&world.set(), &key).expect_err("refused");
    assert_eq!(refused.to_string(), because);
}

#[test]
fn a_signature_of_another_set_is_refused() {
    let (world, mut other) = (World::new(), World::new());
    let key = world.key(1);
    let keyring = world.keyring(&[&key]);
    let mut files = untar(&world.bytes());
    let mine: Value = serde_json::from_slice(&files["index.json"]).expect("JSON");
    let mut changed = Files::new();
    let image = image(&mut changed, "arm64", "another bridge");
    other.give("press/bridge:1.8.2", &tar(&layout(changed, &[image])));
    let theirs = untar(&other.signed(&[&key]));
    let roots: Value = serde_json::from_slice(&theirs["index.json"]).expect("JSON");
    let signature = roots["manifests"][1].clone();
    let manifest = at(&theirs, &signature);
    for part in [&signature, &manifest["layers"][0]] {
        let name = part["digest"].as_str().expect("a digest").replace(':', "/");
        let name = format!("blobs/{name}");
        files.insert(name.clone(), theirs[&name].clone());
    }
    let set = mine["manifests"][0].clone();
    let moved = tar(&layout(files, &[set.clone(), signature]));
    let refused = said(world.read(&moved, Some(&keyring)));
    assert!(refused.contains("is of another set, sha256:"), "{refused}");
    // The same with a manifest that says it were this one's.
    let signed = world.signed(&[&key]);
    let payload_of = |bytes: &[u8], of: &Files| {
        let there: Value = serde_json::from_slice(&of["index.json"]).expect("JSON");
        let manifest = at(of, &there["manifests"][1]);
        let theirs = at(of, &manifest["layers"][0]);
        resigned(bytes, |_, payload| *payload = theirs)
    };
    let refused = said(world.read(&payload_of(&signed, &theirs), Some(&keyring)));
    assert!(refused.contains("is of another set, sha256:"), "{refused}");
    // And with a payload that says so, too: then the signature itself does not hold.
    let digest = set["digest"].clone();
    let named = resigned(&payload_of(&signed, &theirs), |_, payload| payload["set"] = digest);
    assert!(said(world.read(&named, Some(&keyring))).contains("does not hold"));
}

#[test]
fn a_signature_for_another_purpose_is_refused() {
    let world = World::new();
    let key = world.key(1);
    let keyring = world.keyring(&[&key]);
    let bytes = world.signed(&[&key]);
    let other = resigned(&bytes, |_, payload| payload["purpose"] = json!("something else v1"));
    let refused = said(world.read(&other, Some(&keyring)));
    assert_eq!(refused, "it has a signature that was made for another purpose: something else v1");
    // What a key signs without the purpose is no signature of a set.
    let digest = world.read(&bytes, None).expect("whole").digest;
    let bare = key.sign(format!("sha256:{digest}\n").as_bytes());
    let bare: String = bare.iter().map(|byte| format!("{byte:02x}")).collect();
    let bare = resigned(&bytes, |_, payload| payload["signature"] = json!(bare));
    assert!(said(world.read(&bare, Some(&keyring))).contains("does not hold"));
}

#[test]
fn a_signature_of_another_shape_is_refused() {
    let world = World::new();
    let key = world.key(1);
    let bytes = world.signed(&[&key]);
    for (signature, because) in [
        (json!("12"), "it has no signature"),
        (json!("é".repeat(64)), "it has no signature"),
        (json!("0f".repeat(65)), "it has no signature"),
        (json!(12), "is not what it should be"),
    ] {
        let other = resigned(&bytes, |_, payload| payload["signature"] = signature.clone());
        let refused = world.refused(&other);
        assert!(refused.contains(because), "{signature}: {refused}");
    }
    let other = resigned(&bytes, |manifest, _| drop(manifest["subject"].take()));
    assert!(world.refused(&other).contains("is of another set"));
}
