use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use serde_json::Value;

/// An endpoint that takes events over HTTP, and misbehaves as it is told.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

/// What it does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It takes the event.
    Takes,
    /// It answers with this status, and does not take the event.
    Answers(u16),
    /// It takes the event, and answers only after that long.
    Slow(Duration),
    /// It takes the event, and the answer is lost.
    LosesTheAnswer,
}

/// An event that was taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// What the sender calls it.
    pub id: String,
    /// The key that came with it.
    pub authorization: Option<String>,
    /// The event, to the byte.
    pub body: String,
}

impl Received {
    /// The event.
    pub fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

struct Shared {
    mood: Mood,
    taken: Vec<Received>,
    requests: usize,
}

impl Receiver {
    /// One that takes events.
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Mutex::new(Shared { mood: Mood::Takes, taken: Vec::new(), requests: 0 }));
        let receiver = Self { address: listener.local_addr().unwrap(), shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(connection, &shared));
            }
        });
        receiver
    }

    /// The URL of an endpoint that is not there.
    pub fn nowhere() -> String {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        format!("http://{address}/api/v1/lineage")
    }

    /// The URL that events are posted to.
    pub fn url(&self) -> String {
        format!("http://{}/api/v1/lineage", self.address)
    }

    /// From now on it is so.
    pub fn be(&self, mood: Mood) {
        self.shared.lock().unwrap().mood = mood;
    }

    /// What it has taken, in the order in which it came.
    pub fn taken(&self) -> Vec<Received> {
        self.shared.lock().unwrap().taken.clone()
    }

    /// How often it was asked.
    pub fn requests(&self) -> usize {
        self.shared.lock().unwrap().requests
    }
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

/// Takes the one request of a connection; a client that goes away is none of its business.
fn serve(connection: TcpStream, shared: &Mutex<Shared>) {
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    let (mut length, mut id, mut authorization) = (0, String::new(), None);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
        let header = line.trim().to_owned();
        line.clear();
        if header.is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(": ") {
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap(),
                "idempotency-key" => id = value.to_owned(),
                "authorization" => authorization = Some(value.to_owned()),
                _ => {}
            }
        }
    }
    let mut body = vec![0; length];
    if length == 0 || reader.read_exact(&mut body).is_err() {
        return;
    }
    let mood = {
        let mut shared = shared.lock().unwrap();
        shared.requests += 1;
        if !matches!(shared.mood, Mood::Answers(_)) {
            shared.taken.push(Received { id, authorization, body: String::from_utf8(body).unwrap() });
        }
        shared.mood
    };
    let status = match mood {
        Mood::Takes => 201,
        Mood::Answers(status) => status,
        Mood::Slow(pause) => {
            thread::sleep(pause);
            201
        }
        Mood::LosesTheAnswer => return,
    };
    let mut connection = connection;
    let answer = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let _ = connection.write_all(answer.as_bytes()); // the client may be gone
}
