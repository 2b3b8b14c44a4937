//! Communities: parts of the network for the nodes of some countries or continents.
//!
//! ```text
//! # a prefix in zeros and ones, then countries, @continents, and once a * for all others
//! 0010 FR @EU
//! 0011 *
//! ```

use crate::proto::prefix::Prefix;

/// Which part of the network applicants get their prefixes from, by where they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Communities(Vec<(Prefix, Vec<String>)>);

/// Why a file of communities makes no sense.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CommunityError {
    /// A line does not begin with zeros and ones.
    #[error("line {0} does not begin with a prefix in zeros and ones")]
    Prefix(usize),
    /// One part is in another.
    #[error("the communities {} and {} overlap", .0.to_bits(), .1.to_bits())]
    Overlap(Prefix, Prefix),
    /// Not exactly one `*`.
    #[error("exactly one community has a * for all other places")]
    Default,
}

impl Default for Communities {
    /// One for the whole network.
    fn default() -> Self {
        Self(vec![(Prefix::WHOLE, vec!["*".into()])])
    }
}

impl Communities {
    /// Reads a file.
    pub fn parse(text: &str) -> Result<Self, CommunityError> {
        let mut communities = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let Some(bits) = words.next() else { continue };
            let prefix = Prefix::from_bits(bits).map_err(|_| CommunityError::Prefix(at + 1))?;
            communities.push((prefix, words.map(str::to_owned).collect::<Vec<_>>()));
        }
        for (at, (one, _)) in communities.iter().enumerate() {
            for (other, _) in &communities[at + 1..] {
                if one.covers(*other) || other.covers(*one) {
                    return Err(CommunityError::Overlap(*one, *other));
                }
            }
        }
        let places = communities.iter().flat_map(|(_, places)| places);
        if places.filter(|place| *place == "*").count() != 1 {
            return Err(CommunityError::Default);
        }
        Ok(Self(communities))
    }

    /// The part for `location`, which is `country,continent` or empty.
    pub fn at(&self, location: &str) -> Prefix {
        let (country, continent) = location.split_once(',').unwrap_or((location, ""));
        let found = |place: &str| {
            let mut listed = self.0.iter();
            listed.find(|(_, places)| places.iter().any(|p| p == place)).map(|(prefix, _)| *prefix)
        };
        // A `*` in what an applicant says is no place.
        let named =
            |place: &str| (!place.is_empty() && place != "*").then(|| found(place)).flatten();
        named(country)
            .or_else(|| named(&format!("@{continent}")))
            .or_else(|| found("*"))
            .unwrap_or(Prefix::WHOLE)
    }

    /// Every part.
    pub fn prefixes(&self) -> impl Iterator<Item = Prefix> {
        self.0.iter().map(|(prefix, _)| *prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# places\n00 FR DE\n01 @EU # the rest of Europe\n\n1 *\n";

    #[test]
    fn a_country_comes_before_its_continent_and_both_before_the_rest() {
        let communities = Communities::parse(FILE).unwrap();
        for (location, bits) in [
            ("FR,EU", "00"),
            ("DE,EU", "00"),
            ("IT,EU", "01"),
            ("JP,AS", "1"),
            ("", "1"),
            ("*,*", "1"),
            ("nonsense", "1"),
        ] {
            assert_eq!(communities.at(location).to_bits(), bits, "{location}");
        }
        assert_eq!(Communities::default().at("FR,EU"), Prefix::WHOLE);
    }

    #[test]
    fn files_that_make_no_sense_say_why() {
        let error = |text: &str| Communities::parse(text).unwrap_err();
        assert_eq!(error(""), CommunityError::Default);
        assert_eq!(error("0 FR\n1 JP"), CommunityError::Default);
        assert_eq!(error("0 *\n1 *"), CommunityError::Default);
        assert_eq!(error("\nFR 0"), CommunityError::Prefix(2));
        let overlap = error("0 *\n01 FR");
        assert_eq!(overlap.to_string(), "the communities 0 and 01 overlap");
    }
}
