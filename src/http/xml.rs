//! Answers and requests in XML.

use serde::de::DeserializeOwned;

use crate::error::{Code, Error, Result};

/// Reads an answer. What cannot be read may have been cut off on its way, and is worth
/// another try.
pub fn parse<T: DeserializeOwned>(answer: &[u8]) -> Result<T> {
    let fault = || Error::new(Code::Unavailable, "an answer that is not the XML it should be");
    let text = std::str::from_utf8(answer).map_err(|_| fault())?;
    quick_xml::de::from_str(text).map_err(|_| fault())
}

/// A text as it stands between tags.
pub fn escape(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}
