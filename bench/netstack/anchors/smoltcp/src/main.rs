//! smoltcp on a TUN: a sink, a source and an echo for the netstack race (see bench/streams).
//!
//!     smoltcp-anchor TUN ADDRESS
mod pattern;

use pattern::Pattern;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{wait, Medium, TunTapInterface};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
use std::os::fd::AsRawFd;

const FIRST_PORT: u16 = 7001;
/// Of each direction of each connection: what netstack-smoltcp reserves.
const BUFFER: usize = 0x3fff * 20;
/// Sockets that listen on each port: smoltcp has no queue of new connections.
const BACKLOG: usize = 64;

#[derive(Clone, Copy)]
enum Service {
    Sink,
    Source,
    Echo,
}

const SERVICES: [Service; 3] = [Service::Sink, Service::Source, Service::Echo];

struct Connection {
    handle: SocketHandle,
    service: Service,
    stream: Stream,
    listens: bool,
}

/// What has come or left on a connection.
struct Stream {
    intact: bool,
    position: u64,
    wanted: Option<u64>,
}

const NEW: Stream = Stream { intact: true, position: 0, wanted: None };

/// Sockets that listen, of each service.
type Listening = [usize; SERVICES.len()];

fn listen(sockets: &mut SocketSet, service: Service) -> Connection {
    let buffer = || SocketBuffer::new(vec![0; BUFFER]);
    let mut socket = Socket::new(buffer(), buffer());
    socket.set_congestion_control(CongestionControl::Cubic);
    socket.set_nagle_enabled(false);
    socket.listen(FIRST_PORT + service as u16).expect("a port");
    Connection { handle: sockets.add(socket), service, stream: NEW, listens: true }
}

impl Stream {
    /// Moves what can be moved; whether something was.
    fn serve(&mut self, service: Service, socket: &mut Socket, pattern: &Pattern) -> bool {
        match service {
            Service::Sink => self.sink(socket, pattern),
            Service::Source => self.source(socket, pattern),
            Service::Echo => self.echo(socket),
        }
    }

    fn sink(&mut self, socket: &mut Socket, pattern: &Pattern) -> bool {
        let mut moved = false;
        while socket.can_recv() {
            let (position, intact) = (self.position, self.intact);
            let (size, good) = socket
                .recv(|data| (data.len(), (data.len(), intact && pattern.matches(position, data))))
                .expect("bytes that wait");
            self.intact = good;
            self.position += if good { size as u64 } else { 0 };
            moved = true;
        }
        if !socket.may_recv() && socket.may_send() {
            let _ = socket.send_slice(&self.position.to_le_bytes());
            socket.close();
            moved = true;
        }
        moved
    }

    fn source(&mut self, socket: &mut Socket, pattern: &Pattern) -> bool {
        if self.wanted.is_none() {
            let mut request = [0; 8];
            if socket.recv_queue() < 8 {
                return false;
            }
            let _ = socket.recv_slice(&mut request);
            self.wanted = Some(u64::from_le_bytes(request));
        }
        let wanted = self.wanted.unwrap_or(0);
        let mut moved = false;
        while self.position < wanted && socket.can_send() {
            let position = self.position;
            let size = socket
                .send(|room| {
                    let size = room.len().min((wanted - position).try_into().unwrap_or(usize::MAX));
                    let size = size.min(pattern::MOST);
                    room[..size].copy_from_slice(pattern.at(position, size));
                    (size, size)
                })
                .expect("room");
            self.position += size as u64;
            moved = true;
        }
        if self.position == wanted && socket.may_send() {
            socket.close();
            moved = true;
        }
        moved
    }

    fn echo(&mut self, socket: &mut Socket) -> bool {
        let mut moved = false;
        let mut piece = [0; 4096];
        while socket.can_recv() && socket.can_send() {
            let room = piece.len().min(socket.send_capacity() - socket.send_queue());
            let size = socket.recv_slice(&mut piece[..room]).expect("bytes that wait");
            let _ = socket.send_slice(&piece[..size]);
            moved = true;
        }
        if !socket.may_recv() && socket.may_send() && !socket.can_recv() {
            socket.close();
            moved = true;
        }
        moved
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.len() != 3 {
        eprintln!("usage: smoltcp-anchor TUN ADDRESS");
        std::process::exit(2);
    }
    let mut device = TunTapInterface::new(&arguments[1], Medium::Ip).expect("the TUN");
    let descriptor = device.as_raw_fd();
    let mut interface = Interface::new(Config::new(HardwareAddress::Ip), &mut device, Instant::now());
    let address: IpAddress = arguments[2].parse().expect("an address");
    interface.update_ip_addrs(|addresses| addresses.push(IpCidr::new(address, 0)).expect("room for one"));
    let pattern = Pattern::new();
    let mut sockets = SocketSet::new(Vec::new());
    let mut connections: Vec<Connection> = Vec::new();
    let mut listening: Listening = [0; SERVICES.len()];
    eprintln!("ready");

    loop {
        for service in SERVICES {
            while listening[service as usize] < BACKLOG {
                connections.push(listen(&mut sockets, service));
                listening[service as usize] += 1;
            }
        }
        interface.poll(Instant::now(), &mut device, &mut sockets);
        let mut moved = false;
        for connection in &mut connections {
            let socket = sockets.get_mut::<Socket>(connection.handle);
            match socket.state() {
                State::Listen | State::SynReceived => {}
                State::Closed => {
                    // Ended: its buffers are used again.
                    socket.listen(FIRST_PORT + connection.service as u16).expect("a port");
                    connection.stream = NEW;
                }
                _ => moved |= connection.stream.serve(connection.service, socket, &pattern),
            }
            let listens = socket.state() == State::Listen;
            if listens && !connection.listens {
                listening[connection.service as usize] += 1;
            } else if !listens && connection.listens {
                listening[connection.service as usize] -= 1;
            }
            connection.listens = listens;
        }
        if !moved {
            let delay = interface.poll_delay(Instant::now(), &sockets);
            wait(descriptor, delay).expect("select");
        }
    }
}
