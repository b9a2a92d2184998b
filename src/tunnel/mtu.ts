/** Headers around a WireGuard data message: its own 32 bytes (16 header, 16 tag), TCP 20, IP 20 or 40. */
const WIREGUARD = 32;
const TCP = 20;

/** The MTU to give a WireGuard interface whose packets go through the tunnel. `mtu` is that of the path. */
export function wireGuardMtu(mtu: number, family: 4 | 6): number {
  return mtu - (family === 4 ? 20 : 40) - TCP - WIREGUARD;
}
