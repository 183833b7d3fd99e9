//! From a tree to values: every field is read once, and what nobody read is refused.
//!
//! ```text
//! At ──fields──▶ Fields ──maybe, needed──▶ At of a field ──text, number, list──▶ a value
//!                  └──close──▶ a refusal for each field that is left
//! ```
//!
//! Always true: a refusal has the whole path and the line of what it is about; after one the reading goes on where it
//! can, so that one look shows all of them, and whatever came of it is thrown away.

use super::refusal::{Refusal, Refused};
use super::yaml::{Entry, Node, Style, Value};
use std::cell::{Cell, RefCell};
use std::ops::RangeInclusive;

/// What was read, or why it is not taken.
pub(super) type Taken<T> = Result<T, Refusal>;

/// Fields that Kubernetes has and a node has not, with the reason.
pub(super) type NotTaken = &'static [(&'static str, &'static str)];

/// How many files of volumes and variables of environments a set may come to.
const MAX_RESOLVED: usize = 20_000;

/// What is refused so far.
#[derive(Default)]
pub(super) struct Door {
    refusals: RefCell<Vec<Refusal>>,
    more: Cell<usize>,
    resolved: Cell<usize>,
}

impl Door {
    pub(super) fn refuse(&self, refusal: Refusal) {
        let mut refusals = self.refusals.borrow_mut();
        match refusals.len() < Refused::MOST {
            true => refusals.push(refusal),
            false => self.more.set(self.more.get() + 1),
        }
    }

    /// What was taken; a refusal is kept here.
    pub(super) fn taken<T>(&self, taken: Taken<T>) -> Option<T> {
        taken.map_err(|refusal| self.refuse(refusal)).ok()
    }

    pub(super) fn has_refused(&self) -> bool {
        !self.refusals.borrow().is_empty()
    }

    pub(super) fn verdict<T>(self, set: T) -> Result<T, Refused> {
        let mut refusals = self.refusals.into_inner();
        refusals.sort();
        refusals.dedup();
        match refusals.is_empty() {
            true => Ok(set),
            false => Err(Refused { refusals, more: self.more.get() }),
        }
    }
}

/// A value, and where it stands.
#[derive(Clone)]
pub(super) struct At<'a> {
    door: &'a Door,
    file: &'a str,
    line: usize,
    node: &'a Node,
    path: String,
}

impl<'a> At<'a> {
    /// A document.
    pub(super) fn document(door: &'a Door, file: &'a str, node: &'a Node) -> At<'a> {
        At { door, file, line: node.line, node, path: String::new() }
    }

    pub(super) fn door(&self) -> &'a Door {
        self.door
    }

    pub(super) fn node(&self) -> &'a Node {
        self.node
    }

    pub(super) fn refuse(&self, because: impl Into<String>) -> Refusal {
        self.refuse_part("", because)
    }

    /// Where it stands, for a refusal of something else.
    pub(super) fn place(&self) -> String {
        format!("{} in line {} of {}", self.path, self.line, self.file)
    }

    /// The same for something in it that is not there.
    fn refuse_part(&self, part: &str, because: impl Into<String>) -> Refusal {
        Refusal::new(self.file, self.line, self.path_of(part), &because.into())
    }

    fn path_of(&self, part: &str) -> String {
        let plain = part.chars().all(|c| c.is_ascii_alphanumeric());
        match (part.is_empty(), self.path.is_empty(), plain) {
            (true, ..) => self.path.clone(),
            (_, true, true) => part.to_owned(),
            (_, false, true) => format!("{}.{part}", self.path),
            (.., false) => format!("{}[{}]", self.path, part.escape_debug()),
        }
    }

    /// A field of it, for a refusal that comes after it was read; itself when it is not there.
    pub(super) fn part(&self, name: &str) -> At<'a> {
        let Value::Map(entries) = &self.node.value else { return self.clone() };
        let entry = entries.iter().find(|entry| entry.key == name);
        entry.map_or_else(|| self.clone(), |entry| self.entry(entry))
    }

    /// The name of the object that this is the document of.
    pub(super) fn name(&self) -> At<'a> {
        self.part("metadata").part("name")
    }

    fn entry(&self, entry: &'a Entry) -> At<'a> {
        let path = self.path_of(&entry.key);
        At { line: entry.line, node: &entry.node, path, ..*self }
    }

    pub(super) fn list<T>(&self, read: impl Fn(At<'a>) -> Taken<T>) -> Taken<Vec<T>> {
        let Value::List(items) = &self.node.value else {
            return Err(self.refuse("has to be a list"));
        };
        let items = items.iter().enumerate().map(|(number, node)| {
            let path = format!("{}[{number}]", self.path);
            read(At { line: node.line, node, path, ..*self })
        });
        Ok(items.filter_map(|item| self.door.taken(item)).collect())
    }

    /// A map with keys that the manifest chose, in the order of its text.
    pub(super) fn entries<T>(&self, read: impl Fn(&'a str, At<'a>) -> Taken<T>) -> Taken<Vec<T>> {
        let Value::Map(entries) = &self.node.value else {
            return Err(self.refuse("has to be a map"));
        };
        let items = entries.iter().map(|entry| read(&entry.key, self.entry(entry)));
        Ok(items.filter_map(|item| self.door.taken(item)).collect())
    }

    /// A map with the fields that `what` has.
    pub(super) fn fields(&self, what: &'static str) -> Taken<Fields<'a>> {
        match &self.node.value {
            Value::Map(entries) => Ok(Fields { at: self.clone(), what, entries, read: Vec::new() }),
            _ => Err(self.refuse(format!("has to be {what}, as a map of its fields"))),
        }
    }

    /// Text, as it may stand in a file that is a volume: with any character.
    pub(super) fn content(&self) -> Taken<&'a str> {
        match &self.node.value {
            Value::Text(text) if text.is_text() => Ok(&text.text),
            Value::Text(text) => {
                let what = text.other_than_text().unwrap_or_default();
                Err(self.refuse(format!("has to be text and is {what} to YAML: put it in quotes")))
            }
            Value::Null => Err(self.refuse("has no value; an empty text is \"\"")),
            _ => Err(self.refuse("has to be text")),
        }
    }

    /// Text, as it can be handed to a program.
    pub(super) fn text(&self) -> Taken<&'a str> {
        match self.content()? {
            text if text.contains('\0') => Err(self.refuse("has a zero byte in it")),
            text => Ok(text),
        }
    }

    /// A scalar as it is written, whatever YAML takes it for.
    pub(super) fn written(&self) -> Taken<&'a str> {
        match &self.node.value {
            Value::Text(text) => Ok(&text.text),
            _ => Err(self.refuse("has to be one value")),
        }
    }

    /// Whether it is a whole number to YAML.
    pub(super) fn is_number(&self) -> bool {
        matches!(&self.node.value, Value::Text(text) if !text.is_text())
    }

    pub(super) fn flag(&self) -> Taken<bool> {
        match &self.node.value {
            Value::Text(text) if text.style == Style::Plain => match text.text.as_str() {
                "true" | "True" | "TRUE" => Ok(true),
                "false" | "False" | "FALSE" => Ok(false),
                _ => Err(self.refuse("has to be true or false")),
            },
            _ => Err(self.refuse("has to be true or false, without quotes")),
        }
    }

    /// A whole number within these bounds. With a zero before it, it is octal, as in Kubernetes.
    pub(super) fn number(&self, bounds: RangeInclusive<i64>) -> Taken<i64> {
        let wrong = || {
            let (least, most) = (bounds.start(), bounds.end());
            self.refuse(format!("has to be a whole number from {least} to {most}, without quotes"))
        };
        let Value::Text(text) = &self.node.value else { return Err(wrong()) };
        if text.style == Style::Quoted {
            return Err(wrong());
        }
        let octal = text.text.strip_prefix("0o").or_else(|| text.text.strip_prefix('0'));
        let number = match octal {
            Some(digits) if digits.starts_with(|c: char| c.is_ascii_digit()) => {
                i64::from_str_radix(digits, 8)
            }
            _ => text.text.parse(),
        };
        number.ok().filter(|number| bounds.contains(number)).ok_or_else(wrong)
    }

    /// The same where it cannot be negative.
    pub(super) fn unsigned(&self, bounds: RangeInclusive<u32>) -> Taken<u32> {
        let number = self.number(i64::from(*bounds.start())..=i64::from(*bounds.end()))?;
        Ok(u32::try_from(number).expect("the bounds are such numbers"))
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Taken<T> {
        let found = self.written().ok();
        let chosen = words.iter().find(|(word, _)| found == Some(*word));
        let words = || words.iter().map(|(word, _)| quoted(word)).collect::<Vec<_>>().join(", ");
        chosen.map(|(_, value)| *value).ok_or_else(|| {
            let one = if words().contains(',') { "one of " } else { "" };
            self.refuse(format!("has to be {one}{}", words()))
        })
    }

    /// Counts files and variables that the set comes to.
    pub(super) fn resolve(&self, number: usize) -> Taken<()> {
        let resolved = self.door.resolved.get().saturating_add(number);
        self.door.resolved.set(resolved);
        match resolved <= MAX_RESOLVED {
            true => Ok(()),
            false => Err(self.refuse(format!(
                "the set comes to more than {MAX_RESOLVED} files and variables here"
            ))),
        }
    }
}

fn quoted(word: &str) -> &str {
    if word.is_empty() { "\"\"" } else { word }
}

/// The fields of a map, of which each one has to be asked for.
pub(super) struct Fields<'a> {
    at: At<'a>,
    what: &'static str,
    entries: &'a [Entry],
    read: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// The map itself.
    pub(super) fn at(&self) -> &At<'a> {
        &self.at
    }

    /// The same fields, as it is known by now what they are of.
    pub(super) fn of(self, what: &'static str) -> Fields<'a> {
        Fields { what, ..self }
    }

    /// A field. With `null` in it, it is not there.
    pub(super) fn find(&mut self, name: &'static str) -> Option<At<'a>> {
        self.read.push(name);
        let mut there = self.entries.iter().filter(|it| !matches!(it.node.value, Value::Null));
        there.find(|entry| entry.key == name).map(|entry| self.at.entry(entry))
    }

    /// A field that can be left out. A refusal of what is in it is kept by the door.
    pub(super) fn maybe<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(At<'a>) -> Taken<T>,
    ) -> Option<T> {
        let at = self.find(name)?;
        self.at.door.taken(read(at))
    }

    /// A field that has to be there.
    pub(super) fn needed<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(At<'a>) -> Taken<T>,
    ) -> Taken<T> {
        match self.find(name) {
            Some(at) => read(at),
            None => Err(self.at.refuse_part(name, "is missing")),
        }
    }

    /// A list that can be left out.
    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(At<'a>) -> Taken<T>,
    ) -> Vec<T> {
        self.maybe(name, |at| at.list(read)).unwrap_or_default()
    }

    /// `true` or `false`, with what it is when it is left out.
    pub(super) fn flag(&mut self, name: &'static str, default: Flag) -> bool {
        self.maybe(name, |at| at.flag()).unwrap_or(default == Flag::Set)
    }

    /// A field that is taken with these values only, because with them it changes nothing here.
    pub(super) fn only(&mut self, name: &'static str, values: &[&str], because: &str) {
        self.maybe(name, |at| match at.written()? {
            value if values.contains(&value) => Ok(()),
            _ => Err(at.refuse(because)),
        });
    }

    /// Whether there is nothing else than these.
    pub(super) fn holds_only(&self, names: &[&str]) -> bool {
        let mut there = self.entries.iter().filter(|it| !matches!(it.node.value, Value::Null));
        there.all(|entry| names.contains(&entry.key.as_str()))
    }

    /// The one of these fields that is there.
    pub(super) fn one_of(
        &mut self,
        names: &[&'static str],
        not_taken: NotTaken,
    ) -> Taken<&'static str> {
        let there = |name: &str| {
            let mut there = self.entries.iter().filter(|it| !matches!(it.node.value, Value::Null));
            there.any(|entry| entry.key == name)
        };
        let found: Vec<_> = names.iter().copied().filter(|name| there(name)).collect();
        let stranger = not_taken.iter().find(|(name, _)| there(name));
        match (found.as_slice(), stranger) {
            ([one], _) => Ok(one),
            ([], Some((name, because))) => {
                let at = self.find(name);
                Err(at.unwrap_or_else(|| self.at.clone()).refuse(*because))
            }
            ([], None) => Err(self.at.refuse(format!("has to have one of {}", names.join(", ")))),
            (found, _) => {
                self.read.extend(found);
                Err(self.at.refuse(format!("has {} and may have one of them", found.join(" and "))))
            }
        }
    }

    /// Refuses what nobody read.
    pub(super) fn close(self, not_taken: NotTaken) {
        for entry in self.entries.iter().filter(|it| !self.read.contains(&it.key.as_str())) {
            let known = not_taken.iter().find(|(name, _)| *name == entry.key);
            let unknown = || format!("{} has no such field", self.what);
            let because = known.map_or_else(unknown, |(_, because)| (*because).to_owned());
            // `null` in a field that Kubernetes has is as if it were not there.
            if known.is_none() || !matches!(entry.node.value, Value::Null) {
                self.at.door.refuse(self.at.entry(entry).refuse(because));
            }
        }
    }
}

/// What a field is when it is left out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flag {
    Set,
    Unset,
}
