/** guise as a library: a TCP/IP stack of fake connections, each a datagram socket. */
export { Stack } from './stack/stack.js';
export type { StackEvents } from './stack/stack.js';
export type { ConnectOptions, DescriptorOptions, StackOptions, TunOptions } from './stack/options.js';
export { Socket } from './stack/socket.js';
export type { SocketEvents } from './stack/socket.js';
export { Listener } from './stack/listener.js';
export type { ListenerEvents } from './stack/listener.js';
export { UdpListener } from './stack/udp_listener.js';
export type { Profile } from './stack/profile.js';
export type { EngineCounters, FlowCounters, UdpPeer } from './native.js';
export { GuiseError } from './errors.js';
export type { Endpoint } from './endpoint.js';
