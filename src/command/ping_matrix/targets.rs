//! Which hosts are probed: `node` objects, or lines of `NAME ADDRESS…`.

use std::io::Read;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use crate::command::Failure;
use crate::command::json::{self, Node, Object};
use crate::proto::matrix::ping::Plane;

/// Reads targets from a file, or from standard input if it is called `-`.
pub fn read(file: &Path) -> Result<Vec<Node>, Failure> {
    let name = file.display();
    let text = read_text(file)?;
    let nodes = parse(&text).map_err(|reason| Failure::usage(format!("{name}: {reason}")))?;
    if nodes.is_empty() {
        return Err(Failure::usage(format!(
            "{name} names no target: write one `NAME ADDRESS` a line"
        )));
    }
    Ok(nodes)
}

/// The text of a file, or of standard input if it is called `-`.
pub fn read_text(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(|_| ())
    } else {
        std::fs::read_to_string(file).map(|content| text = content)
    };
    read.map_err(|error| Failure::failed(format!("cannot read {}: {error}", file.display())))?;
    Ok(text)
}

/// The address of a target in a plane.
pub fn address(node: &Node, plane: Plane) -> Option<IpAddr> {
    match plane {
        Plane::Ipv4 => node.ipv4.map(IpAddr::V4),
        Plane::Ipv6 => node.ipv6.map(IpAddr::V6),
        Plane::Sdn => node.sdn.map(IpAddr::V6),
    }
}

fn parse(text: &str) -> Result<Vec<Node>, String> {
    if text.trim_start().starts_with('{') {
        let objects = json::parse_lines(text).map_err(|error| error.to_string())?;
        let node = |object| match object {
            Object::Node(node) => Some(node),
            _ => None,
        };
        return Ok(objects.into_iter().filter_map(node).collect());
    }
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(at, line)| parse_line(line).map_err(|why| format!("line {at}: {why}"))).collect()
}

/// `paris 198.51.100.1 3fff::1 sdn=2001:db8:42:1::1`
fn parse_line(line: &str) -> Result<Node, String> {
    let mut words = line.split_whitespace();
    let mut node = Node { name: words.next().unwrap_or_default().to_owned(), ..Node::default() };
    for word in words {
        let wrong = || format!("{word} is not an address; write ADDRESS or sdn=ADDRESS");
        if let Some(sdn) = word.strip_prefix("sdn=") {
            node.sdn = Some(sdn.parse::<Ipv6Addr>().map_err(|_| wrong())?);
            continue;
        }
        match word.parse().map_err(|_| wrong())? {
            IpAddr::V4(address) => node.ipv4 = Some(address),
            IpAddr::V6(address) => node.ipv6 = Some(address),
        }
    }
    if node.ipv4.is_none() && node.ipv6.is_none() && node.sdn.is_none() {
        return Err(format!("{} has no address", node.name));
    }
    Ok(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_words_and_objects_say_the_same() {
        let words = parse("# servers\nparis 198.51.100.1 3fff::1 sdn=2001:db8::1\n\n").unwrap();
        let object = r#"{"type":"node","name":"paris","ipv4":"198.51.100.1","ipv6":"3fff::1","sdn":"2001:db8::1","colour":"blue"}"#;
        assert_eq!(words, parse(object).unwrap());
        assert_eq!(address(&words[0], Plane::Sdn).unwrap().to_string(), "2001:db8::1");
    }

    #[test]
    fn objects_of_other_types_are_skipped_and_rubbish_is_not() {
        let node = r#"{"type":"node","name":"a","ipv4":"192.0.2.1"}"#;
        let text = format!("{node}\n{{\"type\":\"from-the-future\",\"x\":1}}\n");
        assert_eq!(parse(&text).unwrap().len(), 1);
        assert!(parse(&format!("{node}\nrubbish")).unwrap_err().starts_with("line 2: "));
        let wrong = r#"{"type":"node","name":"a","ipv4":"no"}"#;
        assert!(parse(&format!("{node}\n{wrong}")).unwrap_err().starts_with("line 2: "));
    }

    #[test]
    fn a_line_without_an_address_is_named() {
        assert_eq!(parse("a 192.0.2.1\nb").unwrap_err(), "line 2: b has no address");
        assert!(parse("a somewhere").unwrap_err().starts_with("line 1: somewhere is not"));
    }
}
