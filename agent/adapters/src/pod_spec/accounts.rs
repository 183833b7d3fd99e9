//! As whom a container runs: numbers, from what the manifest and the image say and the image's own list of users.

use super::{ImageConfig, SpecError};
use crate::manifest::{Pod, Security};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// How long a list of an image may be, in bytes.
const MOST: u64 = 1 << 20;

/// The users and groups of an image: its `/etc/passwd` and `/etc/group`, either of which may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// `/etc/passwd`, or nothing.
    pub passwd: String,
    /// `/etc/group`, or nothing.
    pub group: String,
}

impl Accounts {
    /// Those of an image that is unpacked or mounted here. A link in it leads nowhere else, and what is no file, or
    /// longer than a mebibyte, is an error.
    pub fn below(root: &Path) -> io::Result<Accounts> {
        Ok(Accounts { passwd: list(root, "etc/passwd")?, group: list(root, "etc/group")? })
    }
}

fn list(root: &Path, name: &str) -> io::Result<String> {
    let root = open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    // Nothing waits for whoever writes into a pipe.
    let how = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = match openat2(&root, name, how, Mode::empty(), inside) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(String::new()),
        Err(error) => return Err(error.into()),
    };
    if !FileType::from_raw_mode(fstat(&file)?.st_mode).is_file() {
        return Err(io::Error::other(format!("/{name} of the image is no file")));
    }
    let mut bytes = Vec::new();
    File::from(file).take(MOST + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MOST {
        true => Err(io::Error::other(format!("/{name} of the image is longer than a mebibyte"))),
        false => Ok(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// As whom a container runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// All groups, the first among them, so that giving one up gives nobody the rights of others (CVE-2022-36109).
    pub(super) groups: BTreeSet<u32>,
}

impl User {
    /// `runAsUser` and `runAsGroup` before what the image says; without a group that of the user in the image's list,
    /// else 0. The image's groups of that user count, too (`supplementalGroupsPolicy: Merge`).
    pub(super) fn of(
        pod: &Pod,
        security: &Security,
        image: &ImageConfig,
        accounts: &Accounts,
    ) -> Result<User, SpecError> {
        // The image's group belongs to the image's user.
        let (user, group) = match security.user {
            Some(uid) => (uid.to_string(), None),
            None => said(image)?,
        };
        let uid = accounts.uid(&user)?;
        let number = user.parse::<u32>().is_ok();
        let mut accounts_of = accounts.users();
        let account = accounts_of.find(|it| if number { it.uid == uid } else { it.name == user });
        let gid = match (security.group, group) {
            (Some(gid), _) => gid,
            (None, Some(group)) => accounts.gid(group)?,
            (None, None) => account.as_ref().map_or(0, |user| user.gid),
        };
        if security.non_root && uid == 0 {
            return Err(SpecError::Root);
        }
        let of_image = account.iter().flat_map(|user| accounts.groups_with(user.name));
        let of_pod = pod.groups.iter().copied().chain(pod.fs_group);
        Ok(User { uid, gid, groups: of_image.chain(of_pod).chain([gid]).collect() })
    }
}

/// The image's user, and its group when there is one.
fn said(image: &ImageConfig) -> Result<(String, Option<&str>), SpecError> {
    let said = image.user.as_deref().unwrap_or_default();
    let (user, group) = match said.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (said, None),
    };
    match group.is_some_and(|group| group.is_empty() || group.contains(':')) {
        true => Err(SpecError::NotAUser(said.to_owned())),
        false => Ok((if user.is_empty() { "0" } else { user }.to_owned(), group)),
    }
}

/// A line of `/etc/passwd`.
struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
}

impl Accounts {
    /// What is no line of that form is passed over, as every program does (passwd(5), group(5)).
    fn users(&self) -> impl Iterator<Item = Account<'_>> {
        self.passwd.lines().filter_map(|line| {
            let mut fields = line.trim().split(':');
            let (name, uid, gid) = (fields.next()?, fields.nth(1)?, fields.next()?);
            Some(Account { name, uid: uid.parse().ok()?, gid: gid.parse().ok()? })
        })
    }

    /// Each group with its members, by commas.
    fn groups(&self) -> impl Iterator<Item = (&str, u32, &str)> {
        self.group.lines().filter_map(|line| {
            let mut fields = line.trim().split(':');
            let (name, gid) = (fields.next()?, fields.nth(1)?);
            Some((name, gid.parse().ok()?, fields.next().unwrap_or_default()))
        })
    }

    fn uid(&self, user: &str) -> Result<u32, SpecError> {
        let named = || self.users().find(|known| known.name == user).map(|known| known.uid);
        user.parse().ok().or_else(named).ok_or_else(|| SpecError::NoSuchUser(user.to_owned()))
    }

    fn gid(&self, group: &str) -> Result<u32, SpecError> {
        let named = || self.groups().find(|(name, ..)| *name == group).map(|(_, gid, _)| gid);
        group.parse().ok().or_else(named).ok_or_else(|| SpecError::NoSuchGroup(group.to_owned()))
    }

    fn groups_with<'a>(&'a self, user: &'a str) -> impl Iterator<Item = u32> + 'a {
        let with = move |members: &str| members.split(',').any(|member| member.trim() == user);
        let groups = self.groups().filter(move |(name, _, members)| *name != user && with(members));
        groups.map(|(_, gid, _)| gid)
    }
}
