/** guise as a library: a TCP/IP stack of fake connections, each a datagram socket. */
export { Stack } from './fake_tcp/stack.js';
export type { StackEvents } from './fake_tcp/stack.js';
export type {
  ConnectOptions,
  DescriptorOptions,
  DeviceOptions,
  PacketOptions,
  StackOptions,
  TunOptions,
} from './fake_tcp/options.js';
export { Socket } from './fake_tcp/socket.js';
export type { SocketEvents, SocketPath } from './fake_tcp/socket_events.js';
export { Listener } from './fake_tcp/listener.js';
export type { ListenerEvents } from './fake_tcp/backlog.js';
export { UdpListener } from './fake_tcp/udp_listener.js';
export type { UdpApplication } from './fake_tcp/udp_listener.js';
export type { UdpListenerEvents } from './fake_tcp/udp_port.js';
export type { EngineCounters, FlowCounters } from './fake_tcp/counters.js';
export type { Profile } from './wire/profile.js';
export type { Endpoint } from './wire/endpoint.js';
export { GuiseError } from './errors.js';
export type { GuiseCode } from './errors.js';
