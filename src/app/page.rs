//! Pages: how many items at a time, and where the next page begins.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::application::App;
use super::customer::Read;
use super::error::Result;
use crate::domain::id::Revision;
use crate::domain::limits;
use crate::domain::violation::{ViolationReason, Violations};

/// What a caller asks for.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    /// How many items at most; 0 is the default, more than the limit is lowered to it.
    pub size: i32,
    /// Where to begin: empty, or a token that the same call gave out.
    pub token: String,
}

/// Some items, and where the next ones are.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Token of the next page, empty at the end and only there.
    pub next_token: String,
    binding: Binding,
}

/// Something that is listed: a page may end after any of them.
pub trait Listed {
    /// What names the place of the item in its list.
    type Cursor: Serialize;

    /// The place of the item in its list.
    fn cursor(&self) -> Self::Cursor;
}

impl<T: Listed> Page<T> {
    /// A page of `items`; with `more` another one follows the last of them.
    pub(super) fn new(items: Vec<T>, more: bool, binding: Binding) -> Self {
        let next_token = match items.last() {
            Some(last) if more => token(&binding, &last.cursor()),
            _ => String::new(),
        };
        Self { items, next_token, binding }
    }

    /// A page whose next one begins after `cursor`, whatever its own last item is.
    pub(super) fn before(items: Vec<T>, cursor: &T::Cursor, binding: Binding) -> Self {
        Self { items, next_token: token(&binding, cursor), binding }
    }

    /// Ends the page after its first `length` items, at least one, because a reply would become too large; the next
    /// page begins with the others.
    pub fn end_after(&mut self, length: usize) {
        let length = length.max(1);
        if length < self.items.len() {
            self.items.truncate(length);
            self.next_token = self.items.last().map(|last| token(&self.binding, &last.cursor())).unwrap_or_default();
        }
    }
}

/// What a token holds: the cursor, and a digest of it and of the call that it belongs to.
#[derive(Serialize, Deserialize)]
struct Token {
    seal: u64,
    cursor: Vec<u8>,
}

/// Ties a token to a method, a workspace and the arguments that choose the items.
#[derive(Debug, Clone, Copy)]
pub(super) struct Binding(u64);

impl Binding {
    pub(super) fn new(method: &str, workspace: &str, arguments: &impl Serialize) -> Self {
        let mut digest = blake3::Hasher::new();
        digest.update(method.as_bytes()).update(&[0]).update(workspace.as_bytes()).update(&[0]);
        digest.update(&postcard::to_allocvec(arguments).unwrap_or_default());
        Self(first_bytes(digest.finalize().as_bytes()))
    }

    /// The cursor in a token of this call.
    pub(super) fn open<C: DeserializeOwned>(self, token: &str) -> Option<C> {
        let token: Token = postcard::from_bytes(&unhex(token)?).ok()?;
        if token.seal != self.seal(&token.cursor) {
            return None;
        }
        postcard::from_bytes(&token.cursor).ok()
    }

    /// Tells a token of this call from one of another call, and from one that was altered.
    fn seal(self, cursor: &[u8]) -> u64 {
        first_bytes(blake3::Hasher::new().update(&self.0.to_le_bytes()).update(cursor).finalize().as_bytes())
    }
}

fn first_bytes(digest: &[u8; 32]) -> u64 {
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Where the page that was asked for begins, and how long it is.
pub(super) struct Begin<C> {
    /// The last commit that the page shows.
    pub(super) revision: Revision,
    /// How many items to give at most.
    pub(super) limit: usize,
    /// The item after which to begin; `None` is at the first.
    pub(super) after: Option<C>,
}

impl App {
    /// Checks the read of a page, its size and its token included.
    pub(super) fn check_page<C: DeserializeOwned>(
        &self,
        read: &Read,
        page: &PageRequest,
        binding: &Binding,
    ) -> Result<Begin<C>> {
        let mut faults = read.faults.clone();
        let (limit, after) = (page.limit(&mut faults), page.cursor(binding, &mut faults));
        Ok(Begin { revision: self.check_with(read, faults)?, limit, after })
    }
}

impl PageRequest {
    /// How many items to give at most; a negative size is a fault.
    fn limit(&self, faults: &mut Violations) -> usize {
        match usize::try_from(self.size) {
            Ok(0) => limits::PAGE_SIZE_DEFAULT,
            Ok(size) => size.min(limits::PAGE_SIZE_MAX),
            Err(_) => {
                faults.add("page_size", "must not be negative");
                limits::PAGE_SIZE_DEFAULT
            }
        }
    }

    /// The cursor in the token; `None` for the first page. A token that does not belong to this call is a fault.
    fn cursor<C: DeserializeOwned>(&self, binding: &Binding, faults: &mut Violations) -> Option<C> {
        if self.token.is_empty() {
            return None;
        }
        let cursor = binding.open(&self.token);
        if cursor.is_none() {
            let description = "was not given out by this method for these arguments";
            faults.add_because(ViolationReason::PageTokenInvalid, "page_token", description);
        }
        cursor
    }
}

/// The token of what begins after `cursor`.
pub(super) fn token(binding: &Binding, cursor: &impl Serialize) -> String {
    let cursor = postcard::to_allocvec(cursor).unwrap_or_default();
    let token = Token { seal: binding.seal(&cursor), cursor };
    hex(&postcard::to_allocvec(&token).unwrap_or_default())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits?;
    (digits.len() % 2 == 0).then(|| digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_works_only_for_the_call_that_gave_it_out() {
        let binding = Binding::new("ListProfiles", "acme", &"all");
        let token = token(&binding, &7_u64);
        assert_eq!(binding.open::<u64>(&token), Some(7));
        for other in [Binding::new("ListProfiles", "other", &"all"), Binding::new("ListProfiles", "acme", &"some")] {
            assert_eq!(other.open::<u64>(&token), None);
        }
    }

    #[test]
    fn an_altered_token_is_refused() {
        let binding = Binding::new("ListProfiles", "acme", &());
        let token = token(&binding, &1_000_000_u64);
        for position in 0..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[position] = if altered[position] == b'0' { b'1' } else { b'0' };
            let altered = String::from_utf8(altered).expect("digits");
            assert_eq!(binding.open::<u64>(&altered), None, "at {position}");
        }
    }

    impl Listed for u64 {
        type Cursor = Self;

        fn cursor(&self) -> u64 {
            *self
        }
    }

    #[test]
    fn a_page_that_ends_early_goes_on_where_it_ended() {
        let binding = Binding::new("ListProfiles", "acme", &"all");
        let mut page = Page::new(vec![1, 2, 3], false, binding);
        assert!(page.next_token.is_empty());
        page.end_after(2);
        assert_eq!(page.items, [1, 2]);
        assert_eq!(binding.open::<u64>(&page.next_token), Some(2));
    }

    #[test]
    fn a_page_never_ends_before_its_first_item() {
        let mut page = Page::new(vec![1, 2], false, Binding::new("m", "w", &()));
        page.end_after(0);
        assert_eq!(page.items, [1]);
    }

    #[test]
    fn a_made_up_token_is_refused() {
        for token in ["x", "0", "00", "zz", "ffffffffffffffffffffffff", "ä"] {
            assert_eq!(Binding::new("m", "w", &()).open::<u64>(token), None, "{token}");
        }
    }

    #[test]
    fn sizes_have_a_default_and_a_bound() {
        let mut faults = Violations::new();
        let mut limit = |size| PageRequest { size, token: String::new() }.limit(&mut faults);
        assert_eq!((limit(0), limit(5_000)), (50, 1_000));
        limit(-1);
        assert_eq!(faults.len(), 1);
    }
}
