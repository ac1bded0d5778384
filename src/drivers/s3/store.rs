//! What the driver's verbs share.

use std::sync::Arc;

use super::client::{Client, ListRequest};
use super::keys::Keys;
use super::walker::KnownOrder;
use crate::error::Result;

pub struct Store {
    pub client: Client,
    pub keys: Keys,
    /// In which order the server lists.
    pub order: Arc<KnownOrder>,
}

impl Store {
    /// Whether any key begins with the prefix of a directory.
    pub async fn is_directory(&self, prefix: &str) -> Result<bool> {
        let request = ListRequest { prefix, max_keys: 1, ..ListRequest::default() };
        let page = self.client.list(&request).await?;
        Ok(!page.objects.is_empty())
    }
}
