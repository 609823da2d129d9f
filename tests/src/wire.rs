use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::Duration,
};

use crate::Direction;

/// A proxy in front of a server that does not understand what it carries, so that it may be encrypted. It corrupts,
/// loses, delays and cuts bytes and limits how many pass in a second.
pub struct Wire {
    address: SocketAddr,
    shared: Arc<Mutex<State>>,
}

/// What happens to the bytes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// A bit of one byte is flipped.
    Corrupted,
    /// Some bytes are left out, and what follows them passes.
    Lost,
    /// The bytes before pass, and then the connection ends.
    Cut,
}

#[derive(Default)]
struct State {
    is_cut: bool,
    delay: Duration,
    bytes_per_second: Option<u32>,
    awaited: Option<Awaited>,
    has_struck: bool,
    connections: Vec<[TcpStream; 2]>,
}

/// A harm that comes after so many bytes of a direction, counted over all connections.
struct Awaited {
    harm: Harm,
    direction: Direction,
    bytes: usize,
}

/// What is to be done with bytes that were read.
struct Verdict {
    bytes: Vec<u8>,
    pause: Duration,
    ends: bool,
}

impl Wire {
    /// Listens, and connects each client to a server on this port of this machine.
    pub fn to_port(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let wire = Self { address: listener.local_addr().unwrap(), shared: Arc::default() };
        let shared = Arc::clone(&wire.shared);
        // Ends with the process of the test.
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let mut state = shared.lock().unwrap();
                let Some(server) =
                    (!state.is_cut).then(|| TcpStream::connect(("127.0.0.1", port))).and_then(Result::ok)
                else {
                    continue;
                };
                let ends = [client, server];
                ends.iter().for_each(|end| end.set_nodelay(true).unwrap());
                state.connections.push(copies(&ends));
                drop(state);
                for direction in [Direction::ToServer, Direction::ToClient] {
                    let (shared, [client, server]) = (Arc::clone(&shared), copies(&ends));
                    let (from, to) = match direction {
                        Direction::ToServer => (client, server),
                        Direction::ToClient => (server, client),
                    };
                    thread::spawn(move || carry(&shared, direction, from, to));
                }
            }
        });
        wire
    }

    /// The port on which clients connect.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Does harm to the connection that carries the byte with this number, counted from now, once.
    pub fn harm(&self, harm: Harm, direction: Direction, bytes: usize) {
        let mut state = self.lock();
        (state.awaited, state.has_struck) = (Some(Awaited { harm, direction, bytes }), false);
    }

    /// Whether the last harm was done.
    pub fn has_struck(&self) -> bool {
        self.lock().has_struck
    }

    /// Takes back a harm that was not done; says whether it was done.
    pub fn spare(&self) -> bool {
        let mut state = self.lock();
        state.awaited = None;
        state.has_struck
    }

    /// Holds what is read, from now on, for so long before it goes on, and limits how much goes on in a second.
    pub fn slow(&self, delay: Duration, bytes_per_second: Option<u32>) {
        let mut state = self.lock();
        (state.delay, state.bytes_per_second) = (delay, bytes_per_second);
    }

    /// Ends every connection; new ones may be made at once.
    pub fn snap(&self) {
        self.lock().connections.drain(..).for_each(|ends| end(&ends));
    }

    /// Ends every connection; no new one is made until [`mend`](Self::mend).
    pub fn cut(&self) {
        let mut state = self.lock();
        state.is_cut = true;
        state.connections.drain(..).for_each(|ends| end(&ends));
    }

    /// Lets connections be made again.
    pub fn mend(&self) {
        self.lock().is_cut = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.cut();
    }
}

impl State {
    /// What becomes of bytes that were read; does the harm if it is to be done to them.
    fn judge(&mut self, direction: Direction, bytes: &[u8]) -> Verdict {
        let mut verdict = Verdict { bytes: bytes.to_vec(), pause: self.delay, ends: false };
        if let Some(limit) = self.bytes_per_second {
            verdict.pause += Duration::from_secs_f64(bytes.len() as f64 / f64::from(limit));
        }
        match &mut self.awaited {
            Some(awaited) if awaited.direction == direction && awaited.bytes >= bytes.len() => {
                awaited.bytes -= bytes.len();
            }
            Some(Awaited { harm, direction: of, bytes: at }) if *of == direction => {
                match harm {
                    Harm::Corrupted => verdict.bytes[*at] ^= 1 << (*at % 8),
                    Harm::Lost => drop(verdict.bytes.drain(*at..(*at + 100).min(bytes.len()))),
                    Harm::Cut => {
                        verdict.bytes.truncate(*at);
                        verdict.ends = true;
                    }
                }
                (self.awaited, self.has_struck) = (None, true);
            }
            _ => {}
        }
        verdict
    }
}

/// Passes on what comes, until one of the ends ends; then the other one does.
fn carry(shared: &Mutex<State>, direction: Direction, mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        let verdict = shared.lock().unwrap().judge(direction, &bytes[..count]);
        if !verdict.pause.is_zero() {
            thread::sleep(verdict.pause);
        }
        if to.write_all(&verdict.bytes).is_err() || verdict.ends {
            break;
        }
    }
    end(&[from, to]);
}

fn copies(ends: &[TcpStream; 2]) -> [TcpStream; 2] {
    [ends[0].try_clone().unwrap(), ends[1].try_clone().unwrap()]
}

fn end(ends: &[TcpStream; 2]) {
    for end in ends {
        let _ = end.shutdown(Shutdown::Both); // it may have ended by itself
    }
}
