//! Names of regions. AWS adds some every year, so that they are known by their form.

/// `eu-central-1`, `us-gov-west-1`, `us-iso-east-1`: an area, directions, a number.
pub fn is_of_aws(region: &str) -> bool {
    let parts: Vec<&str> = region.split('-').collect();
    let Some((number, words)) = parts.split_last() else { return false };
    let letters = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    let area = words.first().is_some_and(|area| (2..=5).contains(&area.len()));
    let known_form = (2..=3).contains(&words.len()) && words.iter().all(letters) && area;
    // One has letters and a digit in front: `us-isob-east-1` and such fit the same form.
    known_form && (1..=2).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit())
}

/// What somebody else calls a region goes into the signature as it is.
pub fn can_be_signed_for(region: &str) -> bool {
    !region.contains('/') && region.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_of_aws_are_known_by_their_form() {
        for good in [
            "us-east-1",
            "eu-central-2",
            "ap-southeast-7",
            "us-gov-west-1",
            "cn-northwest-1",
            "us-isob-east-1",
            "eusc-de-east-1",
            "mx-central-1",
        ] {
            assert!(is_of_aws(good), "{good}");
        }
        for bad in ["", "nowhere", "us-east", "us-east-", "default", "US-EAST-1", "us east-1", "1"]
        {
            assert!(!is_of_aws(bad), "{bad}");
        }
    }

    #[test]
    fn any_other_word_can_be_signed_for() {
        assert!(can_be_signed_for("default") && can_be_signed_for("garage_1"));
        assert!(!can_be_signed_for("a/b") && !can_be_signed_for("a b"));
    }
}
