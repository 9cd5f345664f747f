//! Lines that become one event together: which belong together, and which are left out with a broken one.
//!
//! An order of which one line is broken is left out as a whole. Were it sent without that line, the mended file would
//! bring another content under the same event id, and the server would refuse the whole order for ever.

use std::collections::{HashMap, HashSet};

use super::columns::Line;
use super::fault::Fault;

/// The groups whose lines are still being read.
#[derive(Debug, Default)]
pub struct Groups {
    are_scattered: bool,
    /// The group of the line before, which ends with the next line of another one.
    current: Option<(String, Group)>,
    /// Groups that wait for the end of the file because more of their lines may follow, in the order of their first.
    held: Vec<Group>,
    /// Their positions by key.
    held_by_key: HashMap<String, usize>,
    /// The key of the line before.
    last_key: Option<String>,
    ahead: Ahead,
}

/// What a look ahead found: groups that come back although the mapping says that none does.
#[derive(Debug, Default)]
struct Ahead {
    current: Option<String>,
    ended: HashSet<String>,
    returning: HashSet<String>,
}

/// Some lines with the same key.
#[derive(Debug, Default)]
pub struct Group {
    /// The lines, as long as all of them are sound.
    pub lines: Vec<Line>,
    /// How many there are, broken ones included.
    pub size: u64,
    /// How many of them are broken.
    pub broken: u64,
    /// What is wrong with those.
    pub faults: Vec<Fault>,
}

impl Groups {
    /// No groups yet. Where they are scattered, none ends before the file does.
    pub fn new(are_scattered: bool) -> Self {
        Self { are_scattered, ..Self::default() }
    }

    /// True where the file must be looked through before its lines are taken: a group that comes back later must be
    /// known before its first lines are sent.
    pub fn need_look_ahead(&self) -> bool {
        !self.are_scattered
    }

    /// Looks at the key of a line that will be taken later.
    pub fn look_ahead(&mut self, key: &str) {
        let ahead = &mut self.ahead;
        if ahead.current.as_deref() == Some(key) {
            return;
        }
        if ahead.ended.contains(key) {
            ahead.returning.insert(key.to_owned());
        }
        ahead.ended.extend(ahead.current.replace(key.to_owned()));
    }

    /// Ends the look ahead; what only it needs is given back.
    pub fn end_look_ahead(&mut self) {
        self.ahead.current = None;
        self.ahead.ended = HashSet::new();
    }

    /// Whether a line with this key comes back after other groups, which it must not.
    pub fn comes_back(&self, key: &str) -> bool {
        self.ahead.returning.contains(key)
            && self.held_by_key.contains_key(key)
            && self.last_key.as_deref() != Some(key)
    }

    /// The first line of the group with this key, as long as all of its lines are sound.
    pub fn first_line(&self, key: &str) -> Option<&Line> {
        let current = self.current.as_ref().filter(|(current, _)| current == key).map(|(_, group)| group);
        let held = || self.held_by_key.get(key).and_then(|position| self.held.get(*position));
        current.or_else(held)?.lines.first()
    }

    /// Adds a line to the group with this key; `faults` is empty for a sound one. Returns a group that ends with it.
    pub fn add(&mut self, key: String, line: Line, faults: Vec<Fault>) -> Option<Group> {
        self.last_key = Some(key.clone());
        if self.are_scattered || self.ahead.returning.contains(&key) {
            let position = *self.held_by_key.entry(key).or_insert(self.held.len());
            if position == self.held.len() {
                self.held.push(Group::default());
            }
            self.held[position].add(line, faults);
            return None;
        }
        if let Some((_, group)) = self.current.as_mut().filter(|(current, _)| *current == key) {
            group.add(line, faults);
            return None;
        }
        let mut group = Group::default();
        group.add(line, faults);
        self.current.replace((key, group)).map(|(_, ended)| ended)
    }

    /// The groups that are left at the end of the file.
    pub fn finish(&mut self) -> impl Iterator<Item = Group> + use<> {
        self.held_by_key.clear();
        self.current.take().map(|(_, group)| group).into_iter().chain(std::mem::take(&mut self.held))
    }
}

impl Group {
    fn add(&mut self, line: Line, mut faults: Vec<Fault>) {
        self.size += 1;
        if !faults.is_empty() {
            self.broken += 1;
            self.faults.append(&mut faults);
        }
        if self.faults.is_empty() {
            self.lines.push(line);
        } else {
            // Nothing will be made of them; a file with many broken orders costs no memory.
            self.lines = Vec::new();
        }
    }
}
