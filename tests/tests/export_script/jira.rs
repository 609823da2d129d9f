//! A small Jira: what the export script asks for, with Jira's paging, its caps on embedded lists, and its answers to
//! those who are not logged in.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Instant,
};

use serde_json::{Value, json};

pub(crate) const ISSUES: u64 = 5;
pub(crate) const COMMENTS: u64 = 5;
pub(crate) const WORKLOGS: u64 = 23;
pub(crate) const HISTORIES: u64 = 45;
/// Entries a page of a listing has at most, whatever is asked for.
const CAP: u64 = 2;

/// A running site.
pub(crate) struct Jira {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<(Instant, String)>>>,
}

#[derive(Clone)]
struct Site {
    address: SocketAddr,
    is_cloud: bool,
    issues: u64,
    authorization: &'static str,
}

struct Request {
    path: String,
    query: HashMap<String, String>,
    authorization: String,
}

impl Jira {
    /// A site with that many issues. It answers the third request for issues with 429 once.
    pub(crate) fn start(is_cloud: bool, issues: u64, authorization: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let jira = Self { address, asked: Arc::clone(&asked) };
        let site = Site { address, is_cloud, issues, authorization };
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                site.serve(connection, &asked);
            }
        });
        jira
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// When the paths that contain a text were asked for.
    pub(crate) fn asked(&self, text: &str) -> Vec<Instant> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(_, path)| path.contains(text)).map(|(when, _)| *when).collect()
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).unwrap()
}

impl Request {
    fn read(connection: &TcpStream) -> Option<Self> {
        let mut lines = BufReader::new(connection).lines().map_while(Result::ok);
        let target = lines.next()?.strip_prefix("GET ")?.split(' ').next()?.to_owned();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let query = query.split('&').filter_map(|pair| pair.split_once('='));
        let query = query.map(|(name, value)| (name.to_owned(), decoded(value))).collect();
        let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        let authorization = headers.iter().find_map(|line| line.strip_prefix("Authorization: ")).unwrap_or_default();
        Some(Self { path: path.to_owned(), query, authorization: authorization.to_owned() })
    }

    fn number(&self, name: &str) -> u64 {
        self.query.get(name).map_or(0, |value| value.parse().unwrap())
    }
}

impl Site {
    fn serve(&self, mut connection: TcpStream, asked: &Mutex<Vec<(Instant, String)>>) {
        let Some(request) = Request::read(&connection) else { return };
        let searches = {
            let mut asked = asked.lock().unwrap();
            asked.push((Instant::now(), request.path.clone()));
            asked.iter().filter(|(_, path)| path.ends_with("/search/jql") || path.ends_with("/2/search")).count()
        };
        let is_search = request.path.ends_with("/search/jql") || request.path.ends_with("/2/search");
        let (status, headers, body) = match is_search && searches == 3 {
            true => ("429 Too Many Requests", "Retry-After: 1\r\n", "<html>Rate limit exceeded.</html>".to_owned()),
            false => match self.answer(&request) {
                Some(body) => ("200 OK", "", body.to_string()),
                None if request.path.ends_with("/myself") => ("401 Unauthorized", "", "Client must log in".to_owned()),
                None => ("404 Not Found", "", json!({ "errorMessages": ["no such thing"] }).to_string()),
            },
        };
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        let _ = connection.write_all(answer.as_bytes()); // a client that went away
    }

    fn answer(&self, request: &Request) -> Option<Value> {
        let api = if self.is_cloud { "/rest/api/3" } else { "/rest/api/2" };
        if request.path == "/rest/api/2/serverInfo" {
            return Some(json!({ "deploymentType": if self.is_cloud { "Cloud" } else { "Server" } }));
        }
        let known = request.authorization == self.authorization;
        let start = request.number("startAt");
        match (request.path.strip_prefix(api)?, self.is_cloud) {
            ("/myself", _) => known.then(|| self.person(1)),
            ("/search/jql", true) => Some(self.search(request, known)),
            ("/search", false) => {
                let page = self.search_page(request, start, known);
                Some(page)
            }
            ("/project/search", true) => Some(self.page("values", start, 3, |number| self.project(number))),
            ("/project", false) => Some((1..=3).map(|number| self.project(number)).collect()),
            // The second of three people may not be seen; the page is then shorter than asked for.
            ("/users/search", true) | ("/user/search", false) => Some(match start {
                0 => json!([self.person(1)]),
                1 => json!([self.person(3)]),
                _ => json!([]),
            }),
            (path, _) => {
                let (id, list) = path.strip_prefix("/issue/")?.split_once('/')?;
                let id: u64 = id.parse().unwrap();
                match list {
                    "comment" => Some(self.page("comments", start, COMMENTS, |number| self.comment(id, number))),
                    "worklog" => Some(self.page("worklogs", start, WORKLOGS, |number| self.worklog(id, number))),
                    "changelog" if self.is_cloud => {
                        Some(self.page("values", start, HISTORIES, |number| json!({ "id": number.to_string() })))
                    }
                    _ => None,
                }
            }
        }
    }

    fn page(&self, member: &str, start: u64, total: u64, entry: impl Fn(u64) -> Value) -> Value {
        let entries: Vec<Value> = (start + 1..=total).take(CAP as usize).map(entry).collect();
        json!({ "startAt": start, "maxResults": CAP, "total": total, member: entries })
    }

    fn search_page(&self, request: &Request, start: u64, known: bool) -> Value {
        let asks = |name: &str, text: &str| request.query.get(name).is_some_and(|value| value.contains(text));
        assert!(asks("jql", "created >= ") && asks("jql", "order by"), "an unbounded search: {:?}", request.query);
        assert!(asks("fields", "*all") && asks("expand", "names") && asks("expand", "changelog"));
        let mut page = self.page("issues", start, if known { self.issues } else { 0 }, |number| self.issue(number));
        page["names"] = json!({ "customfield_10016": "Story points" });
        page
    }

    /// As Jira Cloud: a token a page, and no counts.
    fn search(&self, request: &Request, known: bool) -> Value {
        let start = request.query.get("nextPageToken").map_or(0, |token| token[1..].parse().unwrap());
        let mut page = self.search_page(request, start, known);
        let next = start + CAP;
        let fields = page.as_object_mut().unwrap();
        for member in ["startAt", "maxResults", "total"] {
            fields.remove(member);
        }
        fields.insert("isLast".to_owned(), json!(next >= self.issues));
        if next < self.issues {
            fields.insert("nextPageToken".to_owned(), json!(format!("t{next}")));
        }
        page
    }

    fn link(&self, what: &str) -> String {
        format!("http://{}/rest/api/2/{what}", self.address)
    }

    fn person(&self, number: u64) -> Value {
        let mut person = json!({ "displayName": format!("Person {number}"), "active": true });
        if self.is_cloud {
            person["accountId"] = json!(format!("acc-{number}"));
        } else {
            person["key"] = json!(format!("JIRAUSER{number}"));
            person["name"] = json!(format!("person{number}"));
        }
        person
    }

    fn project(&self, number: u64) -> Value {
        json!({ "id": (100 + number).to_string(), "key": format!("P{number}"), "name": format!("Project {number}") })
    }

    fn comment(&self, issue: u64, number: u64) -> Value {
        let id = issue * 100 + number;
        json!({
            "self": self.link(&format!("issue/{issue}/comment/{id}")),
            "id": id.to_string(),
            "author": self.person(1),
            "body": "A comment",
            "created": "2024-03-04T05:06:07.000+0000",
            "updated": "2024-03-04T05:06:07.000+0000",
        })
    }

    fn worklog(&self, issue: u64, number: u64) -> Value {
        let id = issue * 100 + number;
        json!({
            "self": self.link(&format!("issue/{issue}/worklog/{id}")),
            "id": id.to_string(),
            "issueId": issue.to_string(),
            "author": self.person(2),
            "started": "2024-03-04T05:06:07.000+0000",
            "created": "2024-03-04T05:06:07.000+0000",
            "updated": "2024-03-04T05:06:07.000+0000",
            "timeSpentSeconds": 60,
        })
    }

    /// The first issue has more comments, worklogs and changes than a search gives.
    fn issue(&self, number: u64) -> Value {
        let (id, has_many) = (1_000 + number, number == 1);
        let all = |many: u64| if has_many { many } else { 0 };
        let comments: Vec<Value> = (1..=all(COMMENTS)).take(3).map(|number| self.comment(id, number)).collect();
        let worklogs: Vec<Value> = (1..=all(WORKLOGS)).take(20).map(|number| self.worklog(id, number)).collect();
        let seen = if self.is_cloud { 40 } else { usize::MAX };
        let histories: Vec<Value> =
            (1..=all(HISTORIES)).rev().take(seen).map(|number| json!({ "id": number.to_string() })).collect();
        json!({
            "id": id.to_string(),
            "key": format!("P1-{number}"),
            "self": self.link(&format!("issue/{id}")),
            "changelog": { "startAt": 0, "maxResults": 40, "total": all(HISTORIES), "histories": histories },
            "fields": {
                "summary": format!("Issue {number}"),
                "status": { "name": "Open" },
                "issuetype": { "name": "Bug" },
                "project": self.project(1),
                "description": null,
                "assignee": null,
                "labels": [],
                "resolution": null,
                "created": "2024-03-04T05:06:07.000+0000",
                "updated": "2024-03-04T05:06:07.000+0000",
                "comment": { "comments": comments, "total": all(COMMENTS), "maxResults": 3, "startAt": 0 },
                "worklog": { "worklogs": worklogs, "total": all(WORKLOGS), "maxResults": 20, "startAt": 0 },
            },
        })
    }
}
