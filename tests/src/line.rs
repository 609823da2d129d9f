use std::{
    io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use crate::Sandbox;

/// A line to the sandbox's server that can be cut and mended.
pub struct Line {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    is_cut: bool,
    ends: Vec<TcpStream>,
}

impl Line {
    /// Lays a line.
    pub fn to(sandbox: &Sandbox) -> Self {
        let server = place(sandbox.database_url());
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let line = Self { address: listener.local_addr().unwrap(), state: Arc::default() };
        let state = Arc::clone(&line.state);
        // Ends with the process of the test.
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let mut state = state.lock().unwrap();
                // Whoever comes while the line is cut is hung up on.
                let Some(server) = (!state.is_cut).then(|| TcpStream::connect(&server)).and_then(Result::ok) else {
                    continue;
                };
                forward(&client, &server);
                forward(&server, &client);
                state.ends.extend([client, server]);
            }
        });
        line
    }

    /// The URL of the sandbox's database by this line.
    pub fn url(&self, sandbox: &Sandbox) -> String {
        sandbox.database_url().replace(&place(sandbox.database_url()), &self.address.to_string())
    }

    /// Breaks every connection, and lets no new one come about.
    pub fn cut(&self) {
        let mut state = self.state.lock().unwrap();
        state.is_cut = true;
        for end in state.ends.drain(..) {
            let _ = end.shutdown(Shutdown::Both); // it may have ended by itself
        }
    }

    /// Lets connections come about again.
    pub fn mend(&self) {
        self.state.lock().unwrap().is_cut = false;
    }
}

/// `host:port` of a URL.
fn place(url: &str) -> String {
    let (_, place) = url.rsplit_once('@').unwrap();
    place.split_once('/').unwrap().0.to_owned()
}

/// Passes on what comes from one end to the other, until one of them ends.
fn forward(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to); // how it ended does not matter
        let _ = to.shutdown(Shutdown::Write);
    });
}
