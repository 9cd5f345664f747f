//! Holds `src/` to the rooms of ARCHITECTURE.md.
//!
//! Cargo forbids no import inside one crate, so this test reads the sources and fails on each forbidden edge, naming
//! file and line. What is compiled for tests only (`#[cfg(test)]`, `tests.rs`, `tests/`) may import and read what it likes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Every room, and what it may import beside itself. `main` stands for `src/main.rs` and `src/lib.rs`.
const ROOMS: [(&str, &[&str]); 8] = [
    ("domain", &[]),
    ("models", &["domain"]),
    ("store", &["domain"]),
    ("app", &["domain", "models", "store"]),
    ("rpc", &["app", "domain"]),
    ("server", &["domain", "models", "store", "app", "rpc"]),
    ("cli", &["domain", "rpc::pb", "server"]),
    ("main", &["cli", "server"]),
];
/// Parts of the store that nobody names but themselves and the server.
const ADAPTERS: [&str; 2] = ["store::memory", "store::embedded"];

/// Families of crates, and the only places that may mention them.
const CRATES: [(&str, &[&str]); 6] = [
    ("tonic", &["rpc", "server", "cli"]),
    ("prost", &["rpc", "server", "cli"]),
    ("sled", &["store/embedded"]),
    ("linfa", &["models"]),
    ("ndarray", &["models"]),
    ("tokio", &["store", "app", "rpc", "server", "cli", "main"]),
];
/// Rooms without input and output, and the modules of `std` that would bring it in.
const PURE: [&str; 2] = ["domain", "models"];
const IMPURE_STD: [&str; 4] = ["env", "fs", "net", "process"];

/// Functions that read a clock or a random generator or make an id. `clippy.toml` bans them by path; this net is
/// coarser and also catches a clock that nobody has banned yet.
const READS: [&str; 6] = ["now", "now_v7", "new_v4", "random", "thread_rng", "from_entropy"];
const READERS: [&str; 1] = ["app/context"];
/// The command line may time its own progress.
const CLOCK_READERS: [&str; 2] = ["app/context", "cli"];

const LINES_MAX: usize = 600;
const LINES_MAX_MAIN: usize = 80;

#[test]
fn every_source_file_keeps_to_its_room() {
    let files = sources(Path::new(env!("CARGO_MANIFEST_DIR")), "src");
    assert!(files.len() > 30, "found only {} source files: the check would check nothing", files.len());
    let offences: Vec<String> = files.iter().flat_map(|(path, text)| offences(path, text)).collect();
    assert!(offences.is_empty(), "see ARCHITECTURE.md, Rooms:\n{}", offences.join("\n"));
}

#[test]
fn a_planted_offence_is_found_with_its_line() {
    let long = "\n".repeat(LINES_MAX + 1);
    let planted = [
        ("src/domain/x.rs:2", "\nuse crate::rpc::pb;"),
        ("src/domain/profile/x.rs:1", "fn f() { super::super::super::store::open() }"),
        ("src/domain/x.rs:2", "mod inner {\n    use super::super::super::app::Context;\n}"),
        ("src/domain/x.rs:1", "type Shared = std::sync::Arc<dyn crate::store::Store>;"),
        ("src/models/x.rs:2", "use crate as root;\nfn f() { root::app::run() }"),
        ("src/store/port.rs:1", "use super::embedded::Journal;"),
        ("src/store/mod.rs:2", "pub mod memory;\npub use memory::MemoryStore;"),
        ("src/app/x.rs:3", "use crate::{\n    domain::id,\n    store::{memory::MemoryStore, Store},\n};"),
        ("src/app/x.rs:2", "use crate::store;\nfn f() { store::embedded::open() }"),
        ("src/app/x.rs:2", "use crate::store::{self, Store};\nfn f() { store::memory::open() }"),
        ("src/app/x.rs:1", "use crate::rpc::pb;"),
        ("src/rpc/x.rs:1", "use crate::store::Store;"),
        ("src/server/x.rs:1", "use crate::cli::demo;"),
        ("src/cli/x.rs:1", "use crate::rpc::convert;"),
        ("src/main.rs:1", "use rapport::store::Store;"),
        ("src/app/x.rs:1", "use tonic::Status;"),
        ("src/app/x.rs:1", "#[derive(::prost::Message)]\nstruct S;"),
        ("src/store/memory/x.rs:1", "fn f(db: &sled::Db) {}"),
        ("src/rpc/x.rs:1", "use linfa_logistic::LogisticRegression;"),
        ("src/app/x.rs:1", "use ndarray::Array2;"),
        ("src/models/x.rs:1", "async fn f() { tokio::task::yield_now().await }"),
        ("src/domain/x.rs:1", "use std::{fmt, fs};"),
        ("src/app/x.rs:2", "use std::time::Instant;\nfn f() { Instant::now(); }"),
        ("src/rpc/x.rs:1", "fn f() { g(jiff::Timestamp::now) }"),
        ("src/cli/x.rs:1", "fn f() { uuid::Uuid::now_v7(); }"),
        ("src/domain/mod.rs:2", "//! Words.\nfn f(x: [u8; 2]) -> u8 { x[0] }"),
        ("src/store/mod.rs:2", "trait T { fn a(&self); }\nimpl T for U { fn a(&self) {} }"),
        ("src/attic/x.rs:1", ""),
        ("src/app/x.rs:601", &long),
    ];
    for (place, text) in planted {
        let (path, _) = place.split_once(':').expect("path:line");
        let found = offences(path, text);
        assert!(found.len() == 1 && found[0].starts_with(&format!("{place}: ")), "{text}\ngave {found:?}");
    }
}

#[test]
fn what_is_allowed_is_not_reported() {
    let allowed = [
        ("src/domain/x.rs", "//! See `crate::rpc`.\n/// tonic::Status\nconst A: &str = \"use crate::rpc;\"; // sled"),
        ("src/domain/x.rs", "#[cfg(test)]\nmod tests {\n    use crate::store::memory;\n}"),
        ("src/app/tests.rs", "use crate::store::memory::MemoryStore;"),
        ("src/store/embedded/tests/x.rs", "use crate::store::memory::MemoryStore;"),
        ("src/domain/profile/x.rs", "pub(in crate::domain) fn f() { super::super::time::days(1); }"),
        ("src/app/x.rs", "use crate::store::{Commit, Store};\nfn f(context: &Context) { context.now(); }"),
        ("src/app/context.rs", "fn now() { std::time::SystemTime::now(); uuid::Uuid::now_v7(); }"),
        ("src/store/embedded/x.rs", "use super::super::{Error, Store};\nuse sled::Db;"),
        ("src/server/x.rs", "use crate::store::embedded::EmbeddedStore;"),
        ("src/cli/x.rs", "use crate::rpc::pb;\nfn f() { std::time::Instant::now(); }"),
        ("src/main.rs", "#[tokio::main]\nasync fn main() { rapport::cli::run().await }"),
        ("src/store/mod.rs", "mod memory;\npub trait T {\n    fn f(&self) -> [u8; 2];\n}"),
    ];
    for (path, text) in allowed {
        assert_eq!(offences(path, text), Vec::<String>::new(), "{text}");
    }
}

/// Every Rust file below `folder`, by its path from `root`, with its text.
fn sources(root: &Path, folder: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root.join(folder)).expect("a readable folder") {
        let entry = entry.expect("a readable entry");
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            files.extend(sources(root, &path));
        } else if path.ends_with(".rs") {
            let text = fs::read_to_string(entry.path()).expect("a readable file");
            files.push((path, text));
        }
    }
    files.sort();
    files
}

/// What is wrong with a file, each as `path:line: words`.
fn offences(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut report = |line: usize, words: String| found.push(format!("{path}:{line}: {words}"));

    let room = room_of(path);
    let Some((_, may_import)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        report(1, format!("`{room}` is no room"));
        return found;
    };
    let (lines, lines_max) = (text.lines().count(), if room == "main" { LINES_MAX_MAIN } else { LINES_MAX });
    if lines > lines_max {
        report(lines_max + 1, format!("has {lines} lines; the limit is {lines_max}"));
    }
    if path.ends_with("/tests.rs") || path.contains("/tests/") {
        return found;
    }

    let source = Source::read(path, text);
    if path.ends_with("/mod.rs") {
        for line in source.bodies.iter() {
            report(*line, "mod.rs holds no logic; give the function a file of its own".to_owned());
        }
    }
    for (line, mention) in source.mentions() {
        let words = foreign_room(path, room, may_import, &mention)
            .or_else(|| foreign_crate(path, &mention))
            .or_else(|| impurity(path, room, &mention));
        if let Some(words) = words {
            report(line, words);
        }
    }
    found
}

fn room_of(path: &str) -> &str {
    let inner = path.trim_start_matches("src/");
    match inner.split_once('/') {
        Some((room, _)) => room,
        None if inner == "lib.rs" => "main",
        None => inner.trim_end_matches(".rs"),
    }
}

/// True when `path` is one of `places` below `src`, or lies in it.
fn is_in(path: &str, places: &[&str]) -> bool {
    places.iter().any(|place| {
        let rest = path.strip_prefix("src/").and_then(|path| path.strip_prefix(place));
        rest.is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
    })
}

fn foreign_room(path: &str, room: &str, may_import: &[&str], mention: &[String]) -> Option<String> {
    let ("crate", target) = (mention[0].as_str(), mention[1..].join("::")) else { return None };
    let reaches = |part: &&&str| target == **part || target.starts_with(&format!("{part}::"));
    if let Some(adapter) = ADAPTERS.iter().find(reaches) {
        let may_name = room == "server" || is_in(path, &[&adapter.replace("::", "/")]);
        return (!may_name).then(|| format!("only `server` may name the adapter `{adapter}`"));
    }
    let is_foreign = ROOMS.iter().any(|(name, _)| *name != room && reaches(&name));
    let is_allowed = may_import.iter().any(|part| reaches(&part));
    (is_foreign && !is_allowed).then(|| format!("`{room}` may import [{}], not `{target}`", may_import.join(", ")))
}

fn foreign_crate(path: &str, mention: &[String]) -> Option<String> {
    let name = &mention[0];
    let is_of = |family: &str| name == family || name.starts_with(&format!("{family}_"));
    let (family, places) = CRATES.iter().find(|(family, _)| is_of(family))?;
    (!is_in(path, places)).then(|| format!("only {} may mention {family}", places.join(", ")))
}

fn impurity(path: &str, room: &str, mention: &[String]) -> Option<String> {
    if mention[0] == "std" && PURE.contains(&room) && mention.get(1).is_some_and(|m| IMPURE_STD.contains(&m.as_str())) {
        return Some(format!("`{room}` does no I/O: {}", mention.join("::")));
    }
    let read = mention[1..].last().filter(|read| mention[0] != "crate" && READS.contains(&read.as_str()))?;
    let readers: &[&str] = if read == "now" { &CLOCK_READERS } else { &READERS };
    (!is_in(path, readers)).then(|| format!("only app::Context may call {}", mention.join("::")))
}

/// What a file mentions, without comments, texts and what is compiled for tests only.
#[derive(Default)]
struct Source {
    /// Every path, `use` trees expanded, with the line it ends on.
    paths: Vec<(usize, Vec<String>)>,
    /// What a `use` or `mod` of the file binds to a name.
    names: BTreeMap<String, Vec<String>>,
    /// Lines of the functions that have a body.
    bodies: Vec<usize>,
}

impl Source {
    fn read(path: &str, text: &str) -> Self {
        let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
        let inner = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
        let module: Vec<String> = match inner {
            "lib" | "main" => Vec::new(),
            inner => inner.split('/').map(str::to_owned).collect(),
        };
        let mut source = Self::default();
        source.read_items(tokens, &module);
        source
    }

    /// Every path from its beginning: `crate` first where it is ours, names that the file binds replaced.
    fn mentions(&self) -> impl Iterator<Item = (usize, Vec<String>)> {
        self.paths.iter().map(|(line, path)| {
            let mut path = path.clone();
            // A name may stand for another one; a chain of more than a few would be a circle.
            for _ in 0..4 {
                match self.names.get(&path[0]).filter(|_| path.len() > 1 && path[0] != "crate") {
                    Some(bound) if bound[0] != path[0] => drop(path.splice(..1, bound.iter().cloned())),
                    _ => break,
                }
            }
            (*line, path)
        })
    }

    fn read_items(&mut self, tokens: TokenStream, module: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let next = tokens.get(at + 1);
            at = match (token, next) {
                (TokenTree::Punct(_), Some(next)) if is_test_only(next) => after_item(&tokens, at + 2),
                (TokenTree::Group(group), _) => {
                    self.read_items(group.stream(), module);
                    at + 1
                }
                (TokenTree::Ident(word), _) if word == "use" => self.read_tree(&tokens, at + 1, Vec::new(), module),
                (TokenTree::Ident(word), Some(TokenTree::Ident(name))) if word == "mod" => {
                    let child = [module, &[name.to_string()]].concat();
                    self.names.insert(name.to_string(), [vec!["crate".to_owned()], child.clone()].concat());
                    if let Some(TokenTree::Group(body)) = tokens.get(at + 2) {
                        self.read_items(body.stream(), &child);
                    }
                    at + 3
                }
                (TokenTree::Ident(word), Some(TokenTree::Ident(name))) if word == "fn" => {
                    if tokens[after_item(&tokens, at) - 1].to_string() != ";" {
                        self.bodies.push(name.span().start().line);
                    }
                    at + 2
                }
                (TokenTree::Ident(_), _) => self.read_path(&tokens, at, module),
                _ => at + 1,
            };
        }
    }

    /// Reads `a::b::c` from `at` and returns where it ends.
    fn read_path(&mut self, tokens: &[TokenTree], mut at: usize, module: &[String]) -> usize {
        let mut path = Vec::new();
        let mut line = 0;
        while let Some(TokenTree::Ident(word)) = tokens.get(at) {
            path.push(word.to_string());
            line = word.span().start().line;
            let is_followed = (1..=2).all(|ahead| tokens.get(at + ahead).is_some_and(|token| token.to_string() == ":"));
            at += if is_followed { 3 } else { 1 };
            if !is_followed {
                break;
            }
        }
        self.paths.push((line, absolute(path, module)));
        at
    }

    /// Reads one tree of a `use` below `path` from `at`, and returns where it ends.
    fn read_tree(&mut self, tokens: &[TokenTree], mut at: usize, mut path: Vec<String>, module: &[String]) -> usize {
        let mut leaf = None;
        while let Some(token) = tokens.get(at) {
            match token {
                TokenTree::Ident(word) if word == "as" => {
                    leaf = tokens.get(at + 1).map(|alias| (alias.to_string(), alias.span().start().line));
                    at += 1;
                }
                TokenTree::Ident(word) => {
                    if word != "self" || path.is_empty() {
                        path.push(word.to_string());
                    }
                    leaf = path.last().map(|name| (name.clone(), word.span().start().line));
                }
                TokenTree::Punct(sign) if sign.as_char() == ':' => {}
                TokenTree::Punct(sign) if sign.as_char() == '*' => path.push("*".to_owned()),
                TokenTree::Group(group) => {
                    let branches: Vec<TokenTree> = group.stream().into_iter().collect();
                    let mut branch = 0;
                    while branch < branches.len() {
                        branch = self.read_tree(&branches, branch, path.clone(), module) + 1;
                    }
                    return at + 1;
                }
                _ => break,
            }
            at += 1;
        }
        if let Some((name, line)) = leaf {
            let path = absolute(path, module);
            self.names.insert(name, path.clone());
            self.paths.push((line, path));
        }
        at
    }
}

/// Replaces `self`, `super` and our own name at the beginning by the path from `crate`.
fn absolute(path: Vec<String>, module: &[String]) -> Vec<String> {
    let supers = path.iter().take_while(|word| *word == "super").count();
    let (base, rest) = match path[0].as_str() {
        "crate" | "rapport" => (&module[..0], &path[1..]),
        "self" => (module, &path[1..]),
        "super" => (&module[..module.len().saturating_sub(supers)], &path[supers..]),
        _ => return path,
    };
    [&["crate".to_owned()], base, rest].concat()
}

/// True for the brackets of `#[cfg(test)]`.
fn is_test_only(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group)
        if group.delimiter() == Delimiter::Bracket && group.stream().to_string().replace(' ', "") == "cfg(test)")
}

/// Where the item that is open at `at` has ended: behind its braces or its semicolon.
fn after_item(tokens: &[TokenTree], at: usize) -> usize {
    let is_end = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        token => token.to_string() == ";",
    };
    tokens[at..].iter().position(is_end).map_or(tokens.len(), |end| at + end + 1)
}
