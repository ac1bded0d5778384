//! Answers and requests in XML.

use quick_xml::Reader;
use quick_xml::events::Event;

/// Deeper than any answer of a service.
const DEEPEST: usize = 64;

/// Whether this is one document from its first tag to the last, without definitions of
/// its own. A reader that is content with less takes half a list for a list.
pub fn is_whole(document: &[u8]) -> bool {
    let mut reader = Reader::from_reader(document);
    let (mut depth, mut roots) = (0usize, 0usize);
    loop {
        match reader.read_event() {
            Ok(Event::Start(_)) => {
                roots += usize::from(depth == 0);
                depth += 1;
            }
            Ok(Event::Empty(_)) => roots += usize::from(depth == 0),
            Ok(Event::End(_)) => depth = depth.saturating_sub(1),
            Ok(Event::Eof) => return depth == 0 && roots == 1,
            Ok(Event::DocType(_)) | Err(_) => return false,
            Ok(_) => {}
        }
        if depth > DEEPEST {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_document_is_none() {
        let whole = "<?xml version=\"1.0\"?>\n<a x=\"1\"><b>text &amp; more</b><c/></a>";
        assert!(is_whole(whole.as_bytes()));
        assert!(is_whole(format!("  \n{whole}\n").as_bytes()));
        assert!(is_whole(b"<a/>"));
        for cut in 0..whole.len() {
            assert!(!is_whole(&whole.as_bytes()[..cut]), "{}", &whole[..cut]);
        }
    }

    #[test]
    fn what_is_more_or_deeper_than_an_answer_is_none() {
        assert!(!is_whole(b"<a/><b/>"));
        assert!(!is_whole(b"<a></b>"));
        assert!(!is_whole(b"text"));
        assert!(!is_whole(b"<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>"));
        let deep = "<a>".repeat(100) + &"</a>".repeat(100);
        assert!(!is_whole(deep.as_bytes()));
    }
}
