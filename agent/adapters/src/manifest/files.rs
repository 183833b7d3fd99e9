//! Volumes that are made of files: `configMap`, `secret`, `downwardAPI`, and `projected` of several of them.

use super::config::{Content, Kind};
use super::env::{field_ref, of_map};
use super::given::{Context, Need, Reference};
use super::names;
use super::object::Meta;
use super::read::{At, Fields, NotTaken, Taken};
use std::collections::BTreeSet;

/// One file of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Below the mount, with `/` between its parts; never leads out of it.
    pub path: String,
    /// Its permissions, at most 0777.
    pub mode: u32,
    /// What is in it.
    pub content: Content,
}

/// Those of a volume with one source.
pub(super) fn of_one(
    at: &At<'_>,
    source: &str,
    meta: &Meta,
    context: &Context<'_>,
) -> Taken<Vec<File>> {
    let mut fields = at.fields("a volume's source")?;
    let mode = default_mode(&mut fields);
    let files = match source {
        "configMap" => keys(&mut fields, (Kind::ConfigMap, "name"), mode, context),
        "secret" => keys(&mut fields, (Kind::Secret, "secretName"), mode, context),
        _ => downward(&mut fields, mode, meta),
    };
    fields.close(&[]);
    apart(at, files?)
}

const NOT_PROJECTED: NotTaken = &[
    ("serviceAccountToken", "there is no API server that a token could be for"),
    ("clusterTrustBundle", "there is no API server to ask: put the certificates into a ConfigMap"),
    ("podCertificate", "there is no API server to ask: put the certificate into a Secret"),
];

/// Those of a `projected` volume.
pub(super) fn of_many(at: &At<'_>, meta: &Meta, context: &Context<'_>) -> Taken<Vec<File>> {
    let mut fields = at.fields("a volume's source")?;
    let mode = default_mode(&mut fields);
    let sources = fields.needed("sources", |at| {
        at.list(|at| {
            let mut fields = at.fields("a source")?;
            let source = fields.one_of(&["configMap", "secret", "downwardAPI"], NOT_PROJECTED)?;
            let files = fields.needed(source, |at| {
                let mut fields = at.fields("a source")?;
                let files = match source {
                    "configMap" => keys(&mut fields, (Kind::ConfigMap, "name"), mode, context),
                    "secret" => keys(&mut fields, (Kind::Secret, "name"), mode, context),
                    _ => downward(&mut fields, mode, meta),
                };
                fields.close(&[]);
                files
            });
            fields.close(NOT_PROJECTED);
            files
        })
    });
    fields.close(&[]);
    apart(at, sources?.into_iter().flatten().collect())
}

fn default_mode(fields: &mut Fields<'_>) -> u32 {
    fields.maybe("defaultMode", mode).unwrap_or(0o644)
}

fn mode(at: At<'_>) -> Taken<u32> {
    let because = "has to be permissions: from 0000 to 0777, or the same as a decimal number";
    at.unsigned(0..=0o777).map_err(|_| at.refuse(because))
}

/// Keys of a ConfigMap or a Secret: those of `items`, or all of them.
fn keys(
    fields: &mut Fields<'_>,
    (kind, name): (Kind, &'static str),
    default: u32,
    context: &Context<'_>,
) -> Taken<Vec<File>> {
    let at = fields.at().clone();
    let reference = Reference::read(fields, kind, name);
    let items = fields.find("items");
    let reference = reference?;
    let Some(object) = context.object(&reference)? else { return Ok(Vec::new()) };
    let Some(items) = items else {
        let file = |(key, content): (&String, &Content)| File {
            path: key.clone(),
            mode: default,
            content: content.clone(),
        };
        let files: Vec<File> = object.files().map(file).collect();
        at.resolve(files.len())?;
        return Ok(files);
    };
    let files = items.list(|at| {
        at.resolve(1)?;
        let mut fields = at.fields("an item")?;
        let key = fields.needed("key", |at| Ok((at.text()?, at)));
        let path = fields.needed("path", names::relative);
        let mode = fields.maybe("mode", mode).unwrap_or(default);
        fields.close(&[]);
        let (key, key_at) = key?;
        match object.file(key) {
            Some(content) => Ok(Some(File { path: path?, mode, content: content.clone() })),
            None if reference.need == Need::Optional => Ok(None),
            None => {
                let name = &reference.name;
                Err(key_at.refuse(format!("there is no key {key} in {kind} {name}")))
            }
        }
    })?;
    Ok(files.into_iter().flatten().collect())
}

const NOT_DOWNWARD: NotTaken = &[("resourceFieldRef", "is not supported")];

/// What a pod is told of itself.
fn downward(fields: &mut Fields<'_>, default: u32, meta: &Meta) -> Taken<Vec<File>> {
    Ok(fields.list("items", |at| {
        at.resolve(1)?;
        let mut fields = at.fields("an item")?;
        let path = fields.needed("path", names::relative);
        let mode = fields.maybe("mode", mode).unwrap_or(default);
        let source = fields.one_of(&["fieldRef"], NOT_DOWNWARD);
        let content = source.and_then(|source| {
            fields.needed(source, |at| field_ref(&at, |path| content(path, meta)))
        });
        fields.close(NOT_DOWNWARD);
        Ok(File { path: path?, mode, content: content? })
    }))
}

fn content(path: &str, meta: &Meta) -> Option<Content> {
    Some(match path {
        "metadata.name" => Content::of(&meta.name),
        "metadata.namespace" => Content::of("default"),
        "metadata.labels" => meta.labels.all(),
        "metadata.annotations" => meta.annotations.all(),
        _ => of_map(path, meta)?,
    })
}

/// The files in the order of their paths, if no two of them are in each other's way.
fn apart(at: &At<'_>, mut files: Vec<File>) -> Taken<Vec<File>> {
    files.sort_by(|one, other| one.path.cmp(&other.path));
    let paths: BTreeSet<&str> = files.iter().map(|it| it.path.as_str()).collect();
    let twice = files.windows(2).find(|pair| pair[0].path == pair[1].path);
    let below = || {
        let parents = |path: &'_ str| path.match_indices('/').map(|it| it.0).collect::<Vec<_>>();
        let mut files = files.iter();
        files.find(|it| parents(&it.path).into_iter().any(|end| paths.contains(&it.path[..end])))
    };
    match twice.map(|pair| &pair[1]).or_else(below) {
        Some(file) => {
            Err(at.refuse(format!("two of its files are in each other's way: {}", file.path)))
        }
        None => Ok(files),
    }
}
