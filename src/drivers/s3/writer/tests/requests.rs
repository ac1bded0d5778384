//! How many requests an upload makes, and what it holds meanwhile.

use super::*;
