//! Text that reached a registry by way of its own node.

/// What another node said. Release 0.642 of re6stnet passes it on as Python shows octets, `b'…'`, and its
/// registry hands that out as it is.
pub fn plain(text: &str) -> &str {
    text.strip_prefix("b'").and_then(|rest| rest.strip_suffix('\'')).unwrap_or(text)
}

#[test]
fn what_release_0_642_adds_is_taken_off() {
    for text in ["10.77.0.12,1194,udp", "b'10.77.0.12,1194,udp'"] {
        assert_eq!(plain(text), "10.77.0.12,1194,udp");
    }
    for text in ["", "b'", "b'open", "'"] {
        assert_eq!(plain(text), text);
    }
}
