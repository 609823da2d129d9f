mod message;
mod moment;

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use message::Messages;
pub use moment::Moment;

use crate::Sandbox;

/// A line to a server that misbehaves as it is told: cuts, freezes, delays, loses. It refuses encryption, so that
/// it sees what it carries.
pub struct Line {
    server: String,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// Whither bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From clients to the server.
    ToServer,
    /// From the server to clients.
    ToClient,
}

/// What befalls a connection at a [`Moment`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// It is cut before the server gets the message.
    LostOnTheWay,
    /// The server gets the message, and it is cut when the server answers.
    AnswerLost,
    /// It goes dumb before the server gets the message: nothing passes any more, and neither end learns of it.
    Frozen,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_cut: bool,
    delay: Duration,
    connections: Vec<Arc<Connection>>,
    awaited: Option<(Moment, Mishap)>,
    /// Whether what was awaited has come about.
    struck: bool,
}

struct Connection {
    client: TcpStream,
    server: TcpStream,
    /// Bytes of this direction vanish.
    loses: [AtomicBool; 2],
    is_frozen: AtomicBool,
    /// It ends as soon as the server says something.
    ends_at_answer: AtomicBool,
}

impl Line {
    /// Lays a line to the sandbox's server.
    pub fn to(sandbox: &Sandbox) -> Self {
        Self::to_server(sandbox.database_url())
    }

    /// Lays a line to the server of a URL.
    pub fn to_server(url: &str) -> Self {
        let server = place(url);
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let line = Self { server: server.clone(), address: listener.local_addr().unwrap(), shared: Arc::default() };
        let shared = Arc::clone(&line.shared);
        // Ends with the process of the test.
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // Whoever comes while the line is cut, or finds no server, is hung up on.
                let mut state = shared.lock();
                let Some(server) = (!state.is_cut).then(|| TcpStream::connect(&server)).and_then(Result::ok) else {
                    continue;
                };
                let connection = Arc::new(Connection::between(client, server));
                state.connections.push(Arc::clone(&connection));
                drop(state);
                let (there, back) = (Arc::clone(&shared), Arc::clone(&shared));
                let other = Arc::clone(&connection);
                thread::spawn(move || there.carry_to_server(&connection));
                thread::spawn(move || back.carry_to_client(&other));
            }
        });
        line
    }

    /// A URL of the server by this line.
    pub fn by(&self, url: &str) -> String {
        url.replace(&self.server, &self.address.to_string())
    }

    /// The URL of the sandbox's database by this line.
    pub fn url(&self, sandbox: &Sandbox) -> String {
        self.by(sandbox.database_url())
    }

    /// Breaks every connection, and lets no new one come about.
    pub fn cut(&self) {
        let mut state = self.shared.lock();
        state.is_cut = true;
        state.break_all();
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Breaks every connection; new ones may come about at once.
    pub fn snap(&self) {
        self.shared.lock().break_all();
        self.shared.changed.notify_all();
    }

    /// Lets connections come about again.
    pub fn mend(&self) {
        self.shared.lock().is_cut = false;
    }

    /// Lets what is frozen go on, with what it held.
    pub fn thaw(&self) {
        for connection in &self.shared.lock().connections {
            connection.is_frozen.store(false, Ordering::SeqCst);
        }
        self.shared.changed.notify_all();
    }

    /// Holds every message, from now on, so long before it goes on.
    pub fn delay(&self, delay: Duration) {
        self.shared.lock().delay = delay;
    }

    /// Halves every connection that there is: what goes in that direction is lost without a sign, and the other
    /// direction goes on.
    pub fn halve(&self, lost: Direction) {
        for connection in &self.shared.lock().connections {
            connection.loses[lost as usize].store(true, Ordering::SeqCst);
        }
    }

    /// Lets a mishap befall the connection that comes to the moment, once.
    pub fn strike(&self, moment: Moment, mishap: Mishap) {
        let mut state = self.shared.lock();
        (state.awaited, state.struck) = (Some((moment, mishap)), false);
    }

    /// Takes back a mishap that has not come about; says whether it has.
    pub fn spare(&self) -> bool {
        let mut state = self.shared.lock();
        state.awaited = None;
        state.struck
    }

    /// Whether the last mishap has come about.
    pub fn has_struck(&self) -> bool {
        self.shared.lock().struck
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.cut();
    }
}

/// `host:port` of a URL.
fn place(url: &str) -> String {
    let (_, place) = url.rsplit_once('@').unwrap();
    place.split_once('/').unwrap().0.to_owned()
}

impl State {
    fn break_all(&mut self) {
        for connection in self.connections.drain(..) {
            connection.cut();
        }
    }
}

impl Connection {
    fn between(client: TcpStream, server: TcpStream) -> Self {
        for end in [&client, &server] {
            end.set_nodelay(true).unwrap();
        }
        let (is_frozen, ends_at_answer) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { client, server, loses: Default::default(), is_frozen, ends_at_answer }
    }

    /// The end to which bytes of a direction go.
    fn to(&self, direction: Direction) -> &TcpStream {
        match direction {
            Direction::ToServer => &self.server,
            Direction::ToClient => &self.client,
        }
    }

    fn is_lossy(&self, direction: Direction) -> bool {
        self.loses[direction as usize].load(Ordering::SeqCst)
    }

    fn cut(&self) {
        self.is_frozen.store(false, Ordering::SeqCst);
        for end in [&self.client, &self.server] {
            let _ = end.shutdown(Shutdown::Both); // it may have ended by itself
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Passes on what the client says, until one of them ends.
    fn carry_to_server(&self, connection: &Arc<Connection>) {
        let mut messages = Messages::of(&connection.client);
        while let Ok(message) = messages.next() {
            if message.asks_for_encryption() {
                match (&connection.client).write_all(b"N") {
                    Ok(()) => continue,
                    Err(_) => break,
                }
            }
            let mut state = self.lock();
            let mishap = state.awaited.as_mut().and_then(|(moment, mishap)| moment.is_now(&message).then_some(*mishap));
            if let Some(mishap) = mishap {
                (state.awaited, state.struck) = (None, true);
                match mishap {
                    Mishap::LostOnTheWay => connection.cut(),
                    Mishap::AnswerLost => connection.ends_at_answer.store(true, Ordering::SeqCst),
                    Mishap::Frozen => connection.is_frozen.store(true, Ordering::SeqCst),
                }
            }
            drop(state);
            if self.pass(connection, Direction::ToServer, &message.bytes).is_err() {
                break;
            }
        }
        self.end(connection, Direction::ToServer);
    }

    /// Passes on what the server says, until one of them ends.
    fn carry_to_client(&self, connection: &Arc<Connection>) {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = (&connection.server).read(&mut bytes) {
            if connection.ends_at_answer.load(Ordering::SeqCst) {
                connection.cut();
            }
            if self.pass(connection, Direction::ToClient, &bytes[..count]).is_err() {
                break;
            }
        }
        self.end(connection, Direction::ToClient);
        self.lock().connections.retain(|known| !Arc::ptr_eq(known, connection));
    }

    /// Passes bytes on in a direction, as far as the connection is sound.
    fn pass(&self, connection: &Connection, direction: Direction, bytes: &[u8]) -> io::Result<()> {
        let delay = self.while_frozen(connection);
        if !delay.is_zero() {
            thread::sleep(delay);
        }
        if connection.is_lossy(direction) { Ok(()) } else { connection.to(direction).write_all(bytes) }
    }

    /// Passes on that nothing more comes in a direction, as far as the connection is sound.
    fn end(&self, connection: &Connection, direction: Direction) {
        self.while_frozen(connection);
        if !connection.is_lossy(direction) {
            let _ = connection.to(direction).shutdown(Shutdown::Write); // it may have ended by itself
        }
    }

    /// Waits while the connection is frozen; says for how long messages are to be held.
    fn while_frozen(&self, connection: &Connection) -> Duration {
        let mut state = self.lock();
        while connection.is_frozen.load(Ordering::SeqCst) {
            state = self.changed.wait(state).unwrap();
        }
        state.delay
    }
}
