//! `steadfast set`: makes, signs and shows a workload set, on a build host as well as on a node.
//!
//! What is shown is what was read back and verified, whichever of the three it was.

use super::output::{Console, Line, Tone, clean};
use super::{NotMade, ToolError, chain};
use crate::cli::{BuildArgs, InspectArgs, SetCommand, SignArgs};
use serde::Serialize;
use serde_json::json;
use std::error::Error;
use std::path::Path;
use steadfast_adapters::manifest::Policy;
use steadfast_adapters::workload_set::{
    self, Demands, Keyring, Recipe, SetImage, Signed, SigningKey, Standing, WorkloadSet,
};

/// Digits of a digest that are enough for a person.
const SHORT: usize = 12;

/// Whose signatures are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Judge {
    /// What a keyring said of them.
    Keyring,
    /// The one who signs, who trusts nobody by that.
    Signer,
}

/// Makes, signs or shows it.
pub(super) fn run(command: &SetCommand, console: &mut Console<'_>) -> Result<(), ToolError> {
    match command {
        SetCommand::Build(args) => build(args, console),
        SetCommand::Sign(args) => sign(args, console),
        SetCommand::Inspect(args) => inspect(args, console),
    }
}

fn build(args: &BuildArgs, console: &mut Console<'_>) -> Result<(), ToolError> {
    let recipe = Recipe {
        manifests: &args.manifests,
        generation: args.generation,
        minimum_os: args.minimum_os.clone(),
        images: &args.images,
        architecture: &args.arch,
    };
    let set = workload_set::build(&recipe, &args.output);
    let set = set.map_err(|error| not_made(format!("{} was not made", name(&args.output)), &error));
    let next = format!("steadfast set sign {} --key KEY.pem", name(&args.output));
    match (set?, args.json) {
        (set, true) => console.json(&Shown::of(&set))?,
        (set, false) => {
            let mut lines = lines(&args.output, &set, Judge::Keyring);
            lines.push(Line::new("next", next));
            console.print(&lines)?;
        }
    }
    Ok(())
}

fn sign(args: &SignArgs, console: &mut Console<'_>) -> Result<(), ToolError> {
    let fail = |error: &dyn Error| not_made(format!("{} was not signed", name(&args.set)), error);
    let key = SigningKey::read(&args.key).map_err(|error| fail(&error))?;
    let signed = workload_set::sign(&args.set, &key).map_err(|error| fail(&error))?;
    let (set, done) = match &signed {
        Signed::Now(set) => (set, "signed by"),
        Signed::Before(set) => (set, "nothing written: it was signed before by"),
    };
    match args.json {
        true => console.json(&Shown::of(set))?,
        false => {
            let mut lines = lines(&args.set, set, Judge::Signer);
            lines.push(Line::new("done", format!("{done} key {}", short(&key.id()))));
            console.print(&lines)?;
        }
    }
    Ok(())
}

fn inspect(args: &InspectArgs, console: &mut Console<'_>) -> Result<(), ToolError> {
    let keyring = args.keyring.as_deref().map(Keyring::read).transpose();
    let what = format!("{} was not looked at", name(&args.set));
    let keyring = keyring.map_err(|error| not_made(what, &error))?;
    let policy = Policy::whole_node();
    let architecture = args.arch.as_deref();
    let demands = Demands { keyring: keyring.as_ref(), architecture, policy: &policy };
    match (workload_set::read(&args.set, demands), args.json) {
        (Ok(set), true) => console.json(&Shown::of(&set))?,
        (Ok(set), false) => console.print(&lines(&args.set, &set, Judge::Keyring))?,
        (Err(error), json) => {
            let refused = not_made(format!("{} is refused", name(&args.set)), &error);
            if json {
                console.json(&json!({ "taken": false, "because": refused.because }))?;
            }
            return Err(refused.into());
        }
    }
    Ok(())
}

fn not_made(what: String, error: &dyn Error) -> NotMade {
    let because = chain(error);
    let because = because.iter().flat_map(|text| text.lines()).map(str::to_owned);
    NotMade { what, because: because.collect() }
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

fn short(digest: &impl ToString) -> String {
    digest.to_string().chars().take(SHORT).collect()
}

/// The screen of one set.
fn lines(path: &Path, set: &WorkloadSet, judge: Judge) -> Vec<Line> {
    let system = match &set.minimum_os {
        Some(version) => format!("needs {version} or newer"),
        None => "any version".to_owned(),
    };
    let mut lines = vec![
        Line::new("set", format!("{}, generation {}", name(path), set.generation)),
        Line::new("digest", format!("sha256:{}", set.digest)),
        Line::new("system", system),
    ];
    lines.extend(signed(set, judge));
    lines.extend(column("images", images(set)));
    lines.extend(column("pods", pods(set)));
    lines.extend(warnings(set, judge));
    lines
}

fn signed(set: &WorkloadSet, judge: Judge) -> Vec<Line> {
    let told = set.signatures.iter().map(|signature| {
        let (what, tone) = match (signature.standing, judge) {
            (Standing::Holds, Judge::Keyring) => (", which is trusted", Tone::Plain),
            (Standing::Holds, Judge::Signer) => ("", Tone::Plain),
            (Standing::Stranger, _) => (", which is not in the keyring", Tone::Plain),
            (Standing::NotLookedAt, _) => (", not verified", Tone::Warn),
        };
        (format!("by key {}{what}", short(&signature.key)), tone)
    });
    let mut told: Vec<_> = told.collect();
    if told.is_empty() {
        told.push(("by nobody".to_owned(), Tone::Warn));
    }
    let labels = std::iter::once("signed").chain(std::iter::repeat(""));
    labels.zip(told).map(|(label, (text, tone))| Line::new(label, text).toned(tone)).collect()
}

fn images(set: &WorkloadSet) -> Vec<[String; 2]> {
    let image = |it: &SetImage| {
        let told = format!("{}  {}  {}", short(&it.digest), set.architecture, size(it.size));
        [it.reference.clone(), told]
    };
    set.images.iter().map(image).collect()
}

fn pods(set: &WorkloadSet) -> Vec<[String; 2]> {
    let pods = set.pods.iter().map(|pod| {
        let containers = pod.containers.iter().map(|it| it.name.as_str());
        [pod.name.as_str().to_owned(), containers.collect::<Vec<_>>().join(", ")]
    });
    pods.collect()
}

/// A noun, and its rows in two columns.
fn column(label: &'static str, rows: Vec<[String; 2]>) -> Vec<Line> {
    let rows: Vec<_> = rows.into_iter().map(|row| row.map(|text| clean(&text))).collect();
    let width = rows.iter().map(|[left, _]| left.chars().count()).max().unwrap_or_default();
    let labels = std::iter::once(label).chain(std::iter::repeat(""));
    let row = |(label, [left, right]): (_, [String; 2])| {
        Line::new(label, format!("{left:width$}  {right}"))
    };
    labels.zip(rows).map(row).collect()
}

fn warnings(set: &WorkloadSet, judge: Judge) -> Vec<Line> {
    let unused = set.images.iter().filter(|image| image.used == 0);
    let unused = unused.map(|image| format!("no pod names the image {}", image.reference));
    let holds = set.signatures.iter().any(|it| it.standing == Standing::Holds);
    let nobody = (!holds && judge == Judge::Keyring).then(|| match set.signatures.is_empty() {
        true => "nobody vouches for it: it is not signed".to_owned(),
        false => "nobody vouches for it: no keyring was given".to_owned(),
    });
    let all = unused.chain(nobody);
    all.map(|text| Line::new("warning", text).toned(Tone::Warn)).collect()
}

/// As people read it: a unit, and one digit behind the point.
fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1024 => return format!("{bytes} B"),
        1024..1_048_576 => (1 << 10, "KiB"),
        1_048_576..1_073_741_824 => (1 << 20, "MiB"),
        _ => (1_u64 << 30, "GiB"),
    };
    format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit)
}

/// What `--json` prints.
#[derive(Serialize)]
struct Shown {
    taken: bool,
    set: String,
    generation: u64,
    minimum_os: Option<String>,
    signatures: Vec<ShownSignature>,
    architecture: String,
    images: Vec<ShownImage>,
    files: Vec<String>,
    pods: Vec<ShownPod>,
}

#[derive(Serialize)]
struct ShownSignature {
    key: String,
    standing: &'static str,
}

#[derive(Serialize)]
struct ShownImage {
    reference: String,
    digest: String,
    size: u64,
    used: usize,
}

#[derive(Serialize)]
struct ShownPod {
    name: String,
    containers: Vec<String>,
}

impl Shown {
    fn of(set: &WorkloadSet) -> Shown {
        let signatures = set.signatures.iter().map(|it| ShownSignature {
            key: format!("sha256:{}", it.key),
            standing: match it.standing {
                Standing::Holds => "holds",
                Standing::Stranger => "stranger",
                Standing::NotLookedAt => "not-verified",
            },
        });
        let images = set.images.iter().map(|it| ShownImage {
            reference: it.reference.clone(),
            digest: format!("sha256:{}", it.digest),
            size: it.size,
            used: it.used,
        });
        let pods = set.pods.iter().map(|it| ShownPod {
            name: it.name.as_str().to_owned(),
            containers: it.containers.iter().map(|it| it.name.clone()).collect(),
        });
        Shown {
            taken: true,
            set: format!("sha256:{}", set.digest),
            generation: set.generation,
            minimum_os: set.minimum_os.as_ref().map(ToString::to_string),
            signatures: signatures.collect(),
            architecture: set.architecture.clone(),
            images: images.collect(),
            files: set.files.clone(),
            pods: pods.collect(),
        }
    }
}

#[cfg(test)]
mod tests;
