import { Duplex, type DuplexOptions } from 'node:stream';
import { isIPv4, type AddressInfo } from 'node:net';
import { guiseError } from '../errors.js';
import { checkBoolean, checkMilliseconds, refuse } from '../kit/arguments.js';
import { NETSTACK_TCP } from '../policy.js';
import { IdleTimer } from './idle_timer.js';
import { TcpEnd } from './tcp_end.js';

type Callback = (error?: Error | null) => void;

/** Makes the socket of a connection's end. */
export let createSocket: (end: TcpEnd, allowHalfOpen: boolean) => TcpSocket;

/** The end that a socket has. */
export let endOf: (socket: TcpSocket) => TcpEnd;

const { streamBytes } = NETSTACK_TCP;
/** For all sockets: an object a socket would be memory for nothing. */
const HALF_OPEN: DuplexOptions = { readableHighWaterMark: streamBytes, writableHighWaterMark: streamBytes };
const WHOLE: DuplexOptions = { ...HALF_OPEN, allowHalfOpen: false };

/**
 * A TCP connection: a `stream.Duplex` with the names and manners of `net.Socket`. Sockets come from
 * {@link Netstack.connect} and from a `TcpListener`; Node's own programs take them for what they know: `http.Server` by
 * `emit('connection', socket)`, `tls`, `http2`, `http.request` by `createConnection`.
 *
 * Events: those of a Duplex, and `'connect'`, `'ready'` and `'timeout'`, which mean what they mean of a `net.Socket`. An
 * `'error'` has the codes of one: ECONNREFUSED, ECONNRESET, ETIMEDOUT, EPIPE, EHOSTUNREACH, ENETUNREACH.
 *
 * What is written is not copied: its bytes must stay as they are until the peer has acknowledged them, which may be after
 * the callback of `write`. That is called when there is room for more.
 *
 * @example
 * ```ts
 * import { Netstack } from 'guise/netstack';
 *
 * await using stack = await Netstack.open({ device: { name: 'tuna' }, addresses: ['10.0.0.2'] });
 * const socket = stack.connect({ address: '10.0.0.1', port: 80, signal: AbortSignal.timeout(5000) });
 * socket.end('GET / HTTP/1.0\r\n\r\n');
 * for await (const chunk of socket) process.stdout.write(chunk as Buffer);
 * ```
 */
export class TcpSocket extends Duplex {
  static {
    createSocket = (end, allowHalfOpen) => new TcpSocket(end, allowHalfOpen);
    endOf = (socket) => socket.#end;
  }

  readonly #end: TcpEnd;
  #idle: IdleTimer | undefined;

  private constructor(end: TcpEnd, allowHalfOpen: boolean) {
    super(allowHalfOpen ? HALF_OPEN : WHOLE);
    if (!((end as unknown) instanceof TcpEnd))
      throw guiseError('ERR_GUISE_CONSTRUCTOR', { what: 'TcpSocket', how: '`Netstack.connect` or a TcpListener' });
    this.#end = end;
    end.open(this);
  }

  /** The address of this end: of an accepted connection, that which the peer has dialled. */
  get localAddress(): string {
    return this.#end.localAddress;
  }

  get localPort(): number {
    return this.#end.localPort;
  }

  get localFamily(): 'IPv4' | 'IPv6' {
    return familyOf(this.#end.localAddress);
  }

  /** The peer's address. */
  get remoteAddress(): string {
    return this.#end.remoteAddress;
  }

  get remotePort(): number {
    return this.#end.remotePort;
  }

  get remoteFamily(): 'IPv4' | 'IPv6' {
    return familyOf(this.#end.remoteAddress);
  }

  /** Address, family and port of this end. */
  address(): AddressInfo {
    const { localAddress: address, localPort: port } = this.#end;
    return { address, family: familyOf(address), port };
  }

  /** Bytes that the peer has sent, as far as they have come in order. */
  get bytesRead(): number {
    return this.#end.bytesRead;
  }

  /** Bytes that were written here, with those that wait to be sent. */
  get bytesWritten(): number {
    return this.#end.bytesWritten + this.writableLength;
  }

  /** The handshake is not done yet. */
  get connecting(): boolean {
    return this.#end.isConnecting && !this.destroyed;
  }

  /** There is no connection yet, or none any more. */
  get pending(): boolean {
    return this.#end.isConnecting || this.destroyed;
  }

  get readyState(): 'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed' {
    if (this.connecting) return 'opening';
    if (this.readable) return this.writable ? 'open' : 'readOnly';
    return this.writable ? 'writeOnly' : 'closed';
  }

  /** Milliseconds that `setTimeout` was given, undefined for none. */
  get timeout(): number | undefined {
    return this.#idle?.milliseconds;
  }

  /**
   * Emits `'timeout'` when nothing was read or written for so long; nothing else happens then. 0: never.
   *
   * @param listener called once for it
   */
  setTimeout(milliseconds: number, listener?: () => void): this {
    if (milliseconds !== 0) checkMilliseconds('milliseconds', milliseconds, Infinity);
    if (listener) {
      if (milliseconds === 0) this.off('timeout', listener);
      else this.once('timeout', listener);
    }
    if (milliseconds > 0) this.#idle ??= new IdleTimer(this.#end, () => this.emit('timeout'));
    this.#idle?.set(milliseconds);
    return this;
  }

  /** Whether small segments leave at once, and not when what is under way is acknowledged (Nagle). Default false. */
  setNoDelay(noDelay = true): this {
    this.#end.noDelay(checkBoolean('noDelay', noDelay));
    return this;
  }

  /**
   * Whether a peer that is silent is probed.
   *
   * @param initialDelay milliseconds of silence before the first probe; 0: as long as before, 7 200 000 at first
   */
  setKeepAlive(enable = false, initialDelay = 0): this {
    if (typeof initialDelay !== 'number' || !(initialDelay >= 0))
      refuse('initialDelay', initialDelay, 'milliseconds, 0 or more');
    this.#end.keepAlive(checkBoolean('enable', enable), initialDelay);
    return this;
  }

  /**
   * Ends the connection with ETIMEDOUT when the peer takes nothing of what was written for so long (RFC 5482; as Linux's
   * TCP_USER_TIMEOUT, which a `net.Socket` does not have). 0: when retransmissions are given up, after about 15 minutes.
   */
  setUserTimeout(milliseconds: number): this {
    if (milliseconds !== 0) checkMilliseconds('milliseconds', milliseconds, 2 ** 31 - 1);
    this.#end.userTimeout(milliseconds);
    return this;
  }

  /** It keeps the process alive, as it does at first. */
  ref(): this {
    this.#end.hold(true);
    return this;
  }

  /** It does not keep the process alive. */
  unref(): this {
    this.#end.hold(false);
    return this;
  }

  /** Ends the connection with a RST. */
  resetAndDestroy(): this {
    this.#end.leave(true);
    return this.destroy();
  }

  /** Destroys it when all that was written has left. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  /** As Readable's; the peer may send as much more as was read. */
  override read(size?: number): unknown {
    const chunk: unknown = super.read(size);
    if (chunk !== null) this.#end.taken();
    return chunk;
  }

  /** What comes is pushed. */
  override _read(): void {}

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, callback: Callback): void {
    this.#end.writeOne(chunk, callback);
  }

  override _writev(chunks: { chunk: Uint8Array; encoding: BufferEncoding }[], callback: Callback): void {
    this.#end.write(chunks, callback);
  }

  override _final(callback: Callback): void {
    if (this.connecting) {
      this.once('connect', () => this._final(callback));
      return;
    }
    this.#end.end();
    callback();
  }

  override _destroy(error: Error | null, callback: Callback): void {
    this.#idle?.stop();
    this.#end.leave(error !== null || this.readableLength > 0);
    callback(error);
  }
}

function familyOf(address: string): 'IPv4' | 'IPv6' {
  return isIPv4(address) ? 'IPv4' : 'IPv6';
}
