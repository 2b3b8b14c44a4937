//! The registry's pages: who sees them, what their forms do, and how they look in a browser.

use std::fs;

use super::own_node::Story;
use super::process::{Registry, re6st_must, split};

const ANONYMOUS: &[&str] = &["--anonymous-prefix-length", "16"];

/// A reply: its status, its head, its body.
struct Reply(u16, String, String);

/// One request with more headers; a form is posted.
fn ask(registry: &Registry, target: &str, headers: &[&str], form: Option<&str>) -> Reply {
    let host = if headers.iter().any(|header| header.starts_with("Host:")) {
        ""
    } else {
        "Host: 127.0.0.1\r\n"
    };
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let request = match form {
        None => format!("GET {target} HTTP/1.1\r\n{host}{headers}\r\n"),
        Some(form) => format!(
            "POST {target} HTTP/1.1\r\n{host}{headers}Content-Length: {}\r\n\r\n{form}",
            form.len()
        ),
    };
    let reply = registry.talk(request.as_bytes());
    let (status, body) = split(&reply);
    let head = String::from_utf8_lossy(&reply[..reply.len() - body.len()]).into_owned();
    Reply(status, head, String::from_utf8_lossy(&body).into_owned())
}

/// The cookie that a reply sets, as a header.
fn cookie(reply: &Reply) -> String {
    let (_, rest) = reply.1.split_once("Set-Cookie: ").unwrap_or_else(|| panic!("{}", reply.1));
    assert!(rest.contains("HttpOnly; SameSite=Strict"), "{rest}");
    format!("Cookie: {}", rest.split(';').next().unwrap())
}

/// What the forms of a page carry.
fn form(reply: &Reply) -> String {
    let (_, rest) = reply.2.split_once("name=\"form\" value=\"").unwrap();
    format!("form={}", rest.split('"').next().unwrap())
}

#[test]
fn only_administrators_see_the_pages() {
    let registry = Registry::start(ANONYMOUS);
    registry.join("one", &["--anonymous"]);
    for page in ["overview", "nodes", "node?name=0/16", "revoke?name=0/16", "tokens", "keys"] {
        let target = format!("/web/{page}");
        let shown = ask(&registry, &target, &[], None);
        assert_eq!(shown.0, 200, "{page}: {}", shown.2);
        assert!(shown.1.contains("Content-Security-Policy: default-src 'none'"), "{}", shown.1);
        assert!(!shown.2.contains("<script") && !shown.2.contains("style=\""), "{page}");
        // A stranger behind a proxy; another site that calls itself by this address; a forged ticket.
        for headers in [
            &["X-Forwarded-For: 203.0.113.9"][..],
            &["Host: evil.example"],
            &["Host: 127.0.0.1.evil.example:80"],
            &["Host: evil.example", "Cookie: re6st=session.9999999999.00.00"],
        ] {
            let refused = ask(&registry, &target, headers, None);
            assert_eq!(refused.0, 303, "{page} {headers:?}");
            assert!(refused.1.contains("Location: login") && refused.2.is_empty());
        }
    }
    assert_eq!(ask(&registry, "/", &[], None).0, 303);
    assert_eq!(ask(&registry, "/web/nothing", &[], None).0, 400);
    assert_eq!(ask(&registry, "/web/../../etc/passwd", &[], None).0, 400);
    assert_eq!(ask(&registry, "/web/node?name=7/16", &[], None).0, 404);
    let css = ask(&registry, "/web/page.css", &["Host: anything"], None);
    assert!(css.0 == 200 && css.1.contains("text/css"));
}

#[test]
fn a_ticket_opens_the_pages_from_anywhere() {
    let registry = Registry::start(ANONYMOUS);
    let dir = registry.path().to_str().unwrap();
    let from = ["Host: re6st.example", "X-Forwarded-For: 203.0.113.9"];
    let asked = ask(&registry, "/web/login", &from, None);
    assert!(asked.0 == 200 && asked.2.contains("name=\"ticket\""), "{}", asked.2);
    assert_eq!(ask(&registry, "/web/login", &from, Some("ticket=login.9999999999.00.00")).0, 403);
    let ticket = re6st_must(&["registry", "login", "--dir", dir]);
    let ticket = format!("ticket={}", ticket.trim());
    let logged_in = ask(&registry, "/web/login", &from, Some(&ticket));
    assert_eq!(logged_in.0, 303);
    let cookie = cookie(&logged_in);
    let with_cookie = [&from[..], &[cookie.as_str()]].concat();
    let shown = ask(&registry, "/web/overview", &with_cookie, None);
    assert_eq!(shown.0, 200);
    // A ticket to log in is no cookie.
    let misused = format!("Cookie: re6st={}", &ticket["ticket=".len()..]);
    assert_eq!(ask(&registry, "/web/overview", &[&from[..], &[&misused]].concat(), None).0, 303);
    let out = ask(&registry, "/web/logout", &with_cookie, Some(&form(&shown)));
    assert!(out.0 == 303 && out.1.contains("Max-Age=0"), "{}", out.1);
}

#[test]
fn a_form_is_believed_from_its_own_page_only() {
    let registry = Registry::start(ANONYMOUS);
    for name in ["one", "two"] {
        registry.join(name, &["--anonymous"]);
    }
    let confirm = ask(&registry, "/web/revoke?name=1/16", &[], None);
    assert!(confirm.2.contains("cannot be undone"), "{}", confirm.2);
    let (cookie, form) = (cookie(&confirm), form(&confirm));
    let ours = [cookie.as_str(), "Origin: http://127.0.0.1"];
    let revoke = format!("{form}&name=1%2F16");
    for (headers, fields) in [
        (&[][..], revoke.as_str()),
        (&ours, "name=1%2F16"),
        (&ours, "form=00&name=1%2F16"),
        (&[cookie.as_str(), "Origin: http://evil.example"], &revoke),
        (&[cookie.as_str(), "Origin: null"], &revoke),
        (&[cookie.as_str(), "Sec-Fetch-Site: cross-site"], &revoke),
    ] {
        let refused = ask(&registry, "/web/revoke", headers, Some(fields));
        assert_eq!(refused.0, 403, "{headers:?} {fields}");
    }
    let long = format!("{revoke}&x={}", "x".repeat(100_000));
    let refused = ask(&registry, "/web/revoke", &ours, Some(&long));
    assert!(matches!(refused.0, 0 | 413), "{}", refused.0);
    let dir = registry.path().to_str().unwrap();
    let nodes = || re6st_must(&["registry", "nodes", "--dir", dir, "--json"]);
    assert_eq!(nodes().lines().count(), 2, "nothing happened so far");
    let done = ask(&registry, "/web/revoke", &ours, Some(&revoke));
    assert!(done.0 == 303 && done.1.contains("Location: nodes?done=revoked"), "{}", done.1);
    assert_eq!(nodes().lines().count(), 1);
    let own = ask(&registry, "/web/revoke", &ours, Some(&format!("{form}&name=0/16")));
    assert!(own.0 == 400 && own.2.contains("own node"), "{}", own.2);
}

#[test]
fn tokens_and_keys_are_changed_by_forms() {
    let registry = Registry::start(ANONYMOUS);
    registry.join("one", &["--anonymous"]);
    let page = ask(&registry, "/web/tokens", &[], None);
    let (cookie, form) = (cookie(&page), form(&page));
    let post = |target: &str, fields: &str| {
        ask(&registry, target, &[cookie.as_str()], Some(&format!("{form}&{fields}")))
    };
    let made = post("/web/tokens", "email=a%26b@example.com&bits=20");
    assert!(made.2.contains("The new token is") && made.2.contains("a&amp;b@"), "{}", made.2);
    // A row that an older release took is shown as what it is.
    let database = registry.path().join("registry.db");
    let row = "INSERT INTO token VALUES ('old', '<b>x</b>@example.com', 16, strftime('%s', 'now'))";
    crate::namespace::run("sqlite3", &[database.to_str().unwrap(), row]);
    let shown = ask(&registry, "/web/tokens", &[], None).2;
    assert!(shown.contains("&lt;b&gt;x") && !shown.contains("<b>x"), "{shown}");
    assert_eq!(post("/web/remove-token", "token=old").0, 303);
    let refused = post("/web/tokens", "email=a@example.com&bits=90");
    assert!(refused.0 == 507 && refused.2.contains("1 to 80 bits"), "{}", refused.2);
    let (_, rest) = made.2.split_once("name=\"token\" value=\"").unwrap();
    let token = rest.split('"').next().unwrap();
    assert_eq!(post("/web/remove-token", &format!("token={token}")).0, 303);
    let page = ask(&registry, "/web/tokens?done=removed", &[], None);
    assert!(page.2.contains("No token waits") && page.2.contains("The token is removed"));
    let state = || {
        let page = ask(&registry, "/web/keys", &[], None).2;
        page.split("aria-current=\"step\"")
            .nth(1)
            .unwrap()
            .split("</strong>")
            .next()
            .unwrap()
            .to_owned()
    };
    assert!(state().contains("One key"));
    assert_eq!(post("/web/keys", "").0, 400, "nobody was sure");
    for expected in ["Announced", "Changed", "One key"] {
        assert_eq!(post("/web/keys", "sure=on").0, 303);
        assert!(state().contains(expected), "{}", state());
    }
}

#[test]
fn the_mesh_is_on_the_pages() {
    let mut story = Story::begin();
    story.start_node();
    let get = |page: &str| story.host.run("curl", &["-s", "-f", "-m", "20", &url(page)]);
    let overview = get("overview");
    assert_eq!(overview.matches("<circle").count(), 4, "3/16 is known from hearsay");
    assert_eq!(overview.matches("<path").count(), 4, "{overview}");
    assert!(overview.contains("1/16 FR: software 1") && overview.contains("node?name=2/16"));
    let found = get("nodes?search=software+2");
    assert!(found.contains("2/16") && !found.contains("node?name=1/16"), "{found}");
    let node = get("node?name=2/16");
    for words in ["software 2", "10.0.0.2,1194,udp", "made by", "node?name=3/16"] {
        assert!(node.contains(words), "{words}: {node}");
    }
}

/// How a browser is held: its name, its width and height, what it is told besides.
const WINDOWS: &[(&str, (u32, u32), &[&str])] = &[
    ("desk", (1_200, 1_000), &[]),
    ("dark", (1_200, 1_000), &["--force-dark-mode"]),
    ("phone", (375, 1_500), &[]),
    ("phone-dark", (375, 1_500), &["--force-dark-mode"]),
];

/// Goal: a browser draws the pages whole, and objects to nothing in them.
/// Method: headless Chromium takes a picture of each, for a person to look at in `RE6ST_PICTURES`: on a
/// desk and on a telephone, in light and in darkness.
#[test]
#[ignore = "needs Chromium: scripts/soak web"]
fn a_browser_shows_the_pages() {
    let mut story = Story::begin();
    story.start_node();
    let get = |page: &str| story.host.run("curl", &["-s", "-f", "-m", "20", &url(page)]);
    get("../addToken?email=somebody.with.a.long.name@mail.example.com");
    let folder = std::env::var("RE6ST_PICTURES").unwrap_or_else(|_| "/tmp".into());
    for (window, size, more) in WINDOWS {
        for page in
            ["overview", "nodes", "node?name=2/16", "revoke?name=2/16", "tokens", "keys", "login"]
        {
            let name = page.split('?').next().unwrap();
            let picture = format!("{folder}/re6st-web-{name}-{window}.png");
            let _ = fs::remove_file(&picture);
            let profile = tempfile::tempdir().unwrap();
            let browser = |what: &str| {
                let profile = format!("--user-data-dir={}", profile.path().display());
                let size = format!("--window-size={},{}", size.0, size.1);
                let arguments = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
                                 --disable-background-networking --disable-component-update \
                                 --disable-sync --hide-scrollbars --enable-logging=stderr";
                let mut arguments: Vec<&str> = arguments.split_whitespace().collect();
                let url = url(page);
                arguments.extend([profile.as_str(), &size, what, &url]);
                arguments.extend(more.iter());
                story.host.output("chromium", &arguments)
            };
            let output = browser(&format!("--screenshot={picture}"));
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!said.contains("Content Security Policy"), "{page}: {said}");
            let drawn = fs::read(&picture).unwrap_or_else(|_| panic!("{page}: {said}"));
            assert!(drawn.len() > 8_000, "{page}: {} octets are no picture of a page", drawn.len());
            // A PNG says first how wide and high it is.
            let number = |at: usize| u32::from_be_bytes(drawn[at..at + 4].try_into().unwrap());
            assert_eq!((number(16), number(20)), *size, "{page}");
            let text = String::from_utf8_lossy(&browser("--dump-dom").stdout).into_owned();
            assert!(text.contains("</main>") && text.contains("re6st"), "{page}: {text}");
        }
    }
}

fn url(page: &str) -> String {
    format!("http://127.0.0.1/web/{page}")
}
