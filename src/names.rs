//! An ordered list of strings in one allocation, as a listing returns it: ten
//! thousand names cost two vectors, and each is followed by a NUL for C.

/// Push in any order; `sort` puts them right and drops duplicates.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Each name followed by one NUL.
    text: String,
    /// Where each name starts and ends, the NUL excluded.
    spans: Vec<(usize, usize)>,
}

impl Names {
    pub fn new() -> Names {
        Names::default()
    }

    /// Appends a name. A NUL within it would end it early for C.
    pub fn push(&mut self, name: &str) {
        self.push_joined("", name);
    }

    /// Appends `directory` + "/" + `name` without building that string first;
    /// `directory` is "" for children of the root.
    pub fn push_child(&mut self, directory: &str, name: &str) {
        let start = self.text.len();
        self.text.push_str(directory);
        self.text.push('/');
        self.finish(start, name);
    }

    fn push_joined(&mut self, prefix: &str, name: &str) {
        let start = self.text.len();
        self.text.push_str(prefix);
        self.finish(start, name);
    }

    fn finish(&mut self, start: usize, name: &str) {
        self.text.push_str(name);
        self.spans.push((start, self.text.len()));
        self.text.push('\0');
    }

    pub fn len(&self) -> usize {
        self.spans.len()
    }

    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    pub fn get(&self, index: usize) -> Option<&str> {
        let (start, end) = *self.spans.get(index)?;
        self.text.get(start..end)
    }

    /// The name with the NUL that follows it.
    pub fn get_with_nul(&self, index: usize) -> Option<&str> {
        let (start, end) = *self.spans.get(index)?;
        self.text.get(start..=end)
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.spans.iter().map(|&(start, end)| self.text.get(start..end).unwrap_or_default())
    }

    /// Byte order, without duplicates. Costs one pass when that holds already.
    pub fn sort(&mut self) {
        let text = self.text.as_bytes();
        let name = |&(start, end): &(usize, usize)| text.get(start..end).unwrap_or_default();
        if !self.spans.is_sorted_by(|a, b| name(a) < name(b)) {
            self.spans.sort_unstable_by(|a, b| name(a).cmp(name(b)));
            self.spans.dedup_by(|a, b| name(a) == name(b));
        }
    }

    /// The first `limit` names after `start_after`, of a sorted list.
    #[must_use]
    pub fn page(&self, start_after: Option<&str>, limit: usize) -> Names {
        let mut page = Names::new();
        let after = |name: &&str| start_after.is_none_or(|start| *name > start);
        self.iter().filter(after).take(limit).for_each(|name| page.push(name));
        page
    }
}

impl<'a> FromIterator<&'a str> for Names {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Names {
        let mut list = Names::new();
        names.into_iter().for_each(|name| list.push(name));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_and_drops_duplicates() {
        let mut names: Names = ["/b", "/a", "/b", "/a-"].into_iter().collect();
        names.sort();
        assert_eq!(names.iter().collect::<Vec<_>>(), ["/a", "/a-", "/b"]);
        assert_eq!(names.get_with_nul(2), Some("/b\0"));
        assert_eq!(names.get(3), None);
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_overlap() {
        let names: Names = ["/a", "/b", "/c"].into_iter().collect();
        let first = names.page(None, 2);
        assert_eq!(first.iter().collect::<Vec<_>>(), ["/a", "/b"]);
        let rest = names.page(first.get(1), 2);
        assert_eq!(rest.iter().collect::<Vec<_>>(), ["/c"]);
        assert!(names.page(Some("/c"), 2).is_empty());
    }
}
