//! Places for mounts in volumes: where a container mounts one thing below another that is only to read, nobody could make
//! the place later (kubelet's `MakeNestedMountpoints`).
//!
//! Always true: a link in the volume is not followed, because containers may have made it.

use crate::manifest::{Container, Mount, Pod, There, VolumeSource};
use rustix::fs::{Mode, OFlags, mkdirat, open, openat};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::io;
use std::path::{Component, Path, PathBuf};

/// A place in a volume.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Below the volume.
    pub(super) path: PathBuf,
    /// What is mounted there.
    pub(super) kind: Kind,
}

/// What is mounted at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Folder,
    File,
}

/// Those that the containers of a pod need in this volume.
pub(super) fn places(pod: &Pod, volume: &str) -> BTreeSet<Place> {
    let of = |container| places_of(pod, container, volume);
    pod.containers.iter().flat_map(of).collect()
}

fn places_of(pod: &Pod, container: &Container, volume: &str) -> Vec<Place> {
    let mounted = container.mounts.iter().map(|mount| (mount.place(), kind(pod, mount)));
    let all: Vec<_> = mounted.chain([(container.message_place(), Kind::File)]).collect();
    let whole = container.mounts.iter().filter(|it| it.volume == volume && it.part.is_none());
    let mut places = Vec::new();
    for top in whole.map(Mount::place) {
        let below = |path: &Path, top: &Path| path != top && path.starts_with(top);
        for (path, kind) in all.iter().filter(|(path, _)| below(path, &top)) {
            // What is mounted between the two has the place.
            if !all.iter().any(|(between, _)| below(between, &top) && below(path, between)) {
                let path = path.strip_prefix(&top).expect("it lies below").to_owned();
                places.push(Place { path, kind: *kind });
            }
        }
    }
    places
}

fn kind(pod: &Pod, mount: &Mount) -> Kind {
    let volume = pod.volumes.iter().find(|volume| volume.name == mount.volume);
    match volume.map(|volume| &volume.source) {
        Some(VolumeSource::Files(files))
            if files.iter().any(|file| Some(&file.path) == mount.part.as_ref()) =>
        {
            Kind::File
        }
        Some(VolumeSource::Host { there, .. }) => match there {
            There::Anything | There::FolderOrNew | There::Folder => Kind::Folder,
            _ => Kind::File,
        },
        _ => Kind::Folder,
    }
}

/// Makes those that are not there. Where something else is in the way, the runtime will say so.
pub(super) fn make(volume: &Path, places: &BTreeSet<Place>) -> io::Result<()> {
    for place in places {
        match make_one(volume, place) {
            Ok(()) | Err(Errno::NOTDIR | Errno::LOOP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn make_one(volume: &Path, place: &Place) -> rustix::io::Result<()> {
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut here = open(volume, folder, Mode::empty())?;
    let mut parts = place.path.components().peekable();
    while let Some(Component::Normal(part)) = parts.next() {
        let made = match (parts.peek(), place.kind) {
            (None, Kind::File) => {
                let new = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                openat(&here, part, new, Mode::from_raw_mode(0o644)).map(drop)
            }
            _ => mkdirat(&here, part, Mode::from_raw_mode(0o755)),
        };
        match made {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        if parts.peek().is_some() {
            here = openat(&here, part, folder, Mode::empty())?;
        }
    }
    Ok(())
}
