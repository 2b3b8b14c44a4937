//! Writes re6st-json(7) from the documentation of `command/json.rs`, so that page and types stay one.

use std::fmt::Write;

/// The source that defines the vocabulary.
const SOURCE: &str = include_str!("../command/json.rs");

/// A type of the vocabulary, as its source documents it.
struct Item {
    name: String,
    about: String,
    /// Name, type, documentation; an enum's variants have no type.
    fields: Vec<(String, Option<String>, String)>,
}

/// The page, in roff.
pub fn page() -> String {
    let items = parse(SOURCE);
    let mut page = String::from(
        ".TH re6st-json 7  \"re6st\" \"re6st manual\"\n.SH NAME\n\
         re6st\\-json \\- the objects that re6st commands print with \\-\\-json and read from pipes\n\
         .SH DESCRIPTION\n",
    );
    for line in SOURCE.lines().map_while(|line| line.strip_prefix("//!")) {
        let line = if line.is_empty() { ".PP".to_owned() } else { escaped(line.trim()) };
        let _ = writeln!(page, "{line}");
    }
    page.push_str(".SH OBJECTS\n");
    let (objects, parts): (Vec<_>, Vec<_>) = items
        .iter()
        .filter(|item| item.name != "Object")
        .partition(|item| tag(&items, item).is_some());
    for item in objects {
        let _ = writeln!(
            page,
            ".SS \"\\(dqtype\\(dq: \\(dq{}\\(dq\"",
            tag(&items, item).unwrap_or_default()
        );
        write_item(&mut page, item);
    }
    page.push_str(".SH PARTS OF OBJECTS\n");
    for item in parts {
        let _ = writeln!(page, ".SS {}", item.name);
        write_item(&mut page, item);
    }
    page.push_str(".SH SEE ALSO\nre6st(1), jq(1)\n");
    page
}

fn write_item(page: &mut String, item: &Item) {
    let _ = writeln!(page, "{}", escaped(&item.about));
    for (name, kind, about) in &item.fields {
        let kind = kind.as_deref().map(|kind| format!(" ({kind})")).unwrap_or_default();
        let _ =
            writeln!(page, ".TP\n\\fB{}\\fR{}\n{}", escaped(name), escaped(&kind), escaped(about));
    }
}

/// The word in `type` of an object; `None` for what is only part of one.
fn tag(items: &[Item], item: &Item) -> Option<String> {
    let object = items.iter().find(|item| item.name == "Object")?;
    let held =
        |name: &str| name.split_once('(').map(|(_, held)| held.trim_end_matches(')').to_owned());
    let variant =
        object.fields.iter().find(|(name, ..)| held(name).as_deref() == Some(&item.name))?;
    Some(kebab(variant.0.split('(').next()?))
}

fn parse(source: &str) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let mut about = String::new();
    let mut inside: Option<bool> = None;
    for line in source.lines() {
        let text = line.trim();
        if let Some(doc) = text.strip_prefix("/// ") {
            about = if about.is_empty() { doc.to_owned() } else { format!("{about} {doc}") };
            continue;
        }
        let declared = ["pub struct ", "pub enum "].iter().find_map(|word| text.strip_prefix(word));
        if let Some(name) = declared.and_then(|rest| rest.strip_suffix(" {")) {
            let about = std::mem::take(&mut about);
            items.push(Item { name: name.to_owned(), about, fields: Vec::new() });
            inside = Some(text.starts_with("pub enum "));
        } else if text == "}" {
            inside = None;
        } else if let (Some(of_enum), false, Some(item)) =
            (inside, text.starts_with("#["), items.last_mut())
        {
            let text = text.trim_end_matches(',');
            let about = std::mem::take(&mut about);
            match text.strip_prefix("pub ").and_then(|field| field.split_once(": ")) {
                Some((name, kind)) => {
                    item.fields.push((name.to_owned(), Some(plain(kind)), about));
                }
                None if of_enum && text.contains('(') => {
                    item.fields.push((text.to_owned(), None, about))
                }
                None if of_enum && !text.is_empty() => item.fields.push((kebab(text), None, about)),
                None => {}
            }
        } else if !text.starts_with("#[") {
            about.clear();
        }
    }
    items
}

/// A Rust type in the words of JSON.
fn plain(kind: &str) -> String {
    if let Some(inner) = kind.strip_prefix("Option<").and_then(|rest| rest.strip_suffix('>')) {
        return format!("{}, may be absent or null", plain(inner));
    }
    if let Some(inner) = kind.strip_prefix("Vec<").and_then(|rest| rest.strip_suffix('>')) {
        return format!("list of {}", plain(inner));
    }
    match kind {
        "String" => "text".to_owned(),
        "bool" => "true or false".to_owned(),
        "Cidr" => "prefix".to_owned(),
        "IpAddr" => "address".to_owned(),
        "Ipv4Addr" => "IPv4 address".to_owned(),
        "Ipv6Addr" => "IPv6 address".to_owned(),
        "Endpoint" => "object of address, port, protocol".to_owned(),
        number if number.starts_with(['u', 'i', 'f']) => "number".to_owned(),
        other => other.to_owned(),
    }
}

/// `NodeStatus` is `node-status`.
fn kebab(name: &str) -> String {
    let mut word = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !word.is_empty() {
            word.push('-');
        }
        word.extend(letter.to_lowercase());
    }
    word
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_is_on_the_page_with_its_fields() {
        let page = page();
        for words in
            ["\\(dqtunnel\\(dq", "\\(dqnode\\(dq", "\\fBsdn\\fR (IPv6 address", "\\fBup\\fR"]
        {
            assert!(page.contains(words), "{words}\n{page}");
        }
    }

    #[test]
    fn types_are_told_in_the_words_of_json() {
        assert_eq!(plain("Option<Vec<u64>>"), "list of number, may be absent or null");
        assert_eq!(kebab("NodeStatus"), "node-status");
    }
}
