//! What a pod may refer to: the ConfigMaps and Secrets of its set, and the node's policy.

use super::config::{Kind, Object};
use super::names;
use super::policy::Policy;
use super::read::{At, Fields, Flag, Taken};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// The ConfigMaps and Secrets of a set.
#[derive(Default)]
pub(super) struct Given {
    pub(super) objects: BTreeMap<(Kind, String), Object>,
    /// Some were refused, so that it is not known what is missing.
    pub(super) incomplete: bool,
}

/// What the reading of one pod looks at.
pub(super) struct Context<'a> {
    pub(super) given: &'a Given,
    pub(super) policy: &'a Policy,
    /// What the pod refers to and has got.
    used: RefCell<BTreeSet<(Kind, String)>>,
}

/// Whether what is referred to has to be there (`optional`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Required,
    Optional,
}

impl Need {
    pub(super) fn of(fields: &mut Fields<'_>) -> Need {
        match fields.flag("optional", Flag::Unset) {
            true => Need::Optional,
            false => Need::Required,
        }
    }
}

/// A reference as it is written: the object's name, where it stands, and whether it is needed.
pub(super) struct Reference<'a> {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) at: At<'a>,
    pub(super) need: Need,
}

impl<'a> Reference<'a> {
    /// The reference in these fields, with the field that holds the name.
    pub(super) fn read(
        fields: &mut Fields<'a>,
        kind: Kind,
        name: &'static str,
    ) -> Taken<Reference<'a>> {
        let need = Need::of(fields);
        let (name, at) = fields.needed(name, |at| Ok((names::subdomain(at.clone())?, at)))?;
        Ok(Reference { kind, name, at, need })
    }
}

impl<'a> Context<'a> {
    pub(super) fn new(given: &'a Given, policy: &'a Policy) -> Context<'a> {
        Context { given, policy, used: RefCell::default() }
    }

    /// What is referred to; none when it is not there and need not be.
    pub(super) fn object(&self, reference: &Reference<'_>) -> Taken<Option<&'a Object>> {
        let Reference { kind, name, at, need } = reference;
        let key = (*kind, name.clone());
        match self.given.objects.get(&key) {
            Some(object) => {
                self.used.borrow_mut().insert(key);
                Ok(Some(object))
            }
            None if self.given.incomplete || *need == Need::Optional => Ok(None),
            None => Err(at.refuse(format!("there is no {kind} {name} in the set"))),
        }
    }

    /// The digests of what was referred to, in the order of kinds and names.
    pub(super) fn digests(&self) -> Vec<(String, [u8; 32])> {
        let used = self.used.borrow();
        let digest = |key: &(Kind, String)| self.given.objects.get(key).map(|it| it.digest);
        let named =
            used.iter().filter_map(|key| Some((format!("{} {}", key.0, key.1), digest(key)?)));
        named.collect()
    }
}
