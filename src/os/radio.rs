//! Which interfaces are radio.

use std::path::Path;

/// Whether the kernel says that an interface is radio; not if it says nothing of it.
pub fn is_radio(name: &str, index: u32) -> bool {
    is_radio_in(Path::new("/sys/class/net"), name, index)
}

fn is_radio_in(folder: &Path, name: &str, index: u32) -> bool {
    let folder = folder.join(name);
    // What is mounted there may be another network namespace's, with other interfaces of the same names.
    let told = std::fs::read_to_string(folder.join("ifindex"));
    let is_it = told.is_ok_and(|told| told.trim().parse() == Ok(index));
    // Drivers of old have the first only, those of today the second, some both.
    is_it && ["wireless", "phy80211"].iter().any(|sign| folder.join(sign).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn radio_has_a_sign() {
        let folder = tempfile::tempdir().unwrap();
        for (name, index, sign) in
            [("eth0", 2, "statistics"), ("wlan0", 3, "phy80211"), ("wlan1", 4, "wireless")]
        {
            let of = folder.path().join(name);
            std::fs::create_dir_all(of.join(sign)).unwrap();
            std::fs::write(of.join("ifindex"), format!("{index}\n")).unwrap();
        }
        let is = |name, index| is_radio_in(folder.path(), name, index);
        assert!(is("wlan0", 3) && is("wlan1", 4));
        assert!(!is("eth0", 2), "no sign");
        assert!(!is("wlan0", 7), "another namespace's");
        assert!(!is("wlan2", 5), "not there");
        assert!(!is_radio("lo", 1));
    }
}
