/** Who is who when a stack and the kernel of a namespace share a TUN. */

export const KERNEL = { 4: '10.0.0.1', 6: 'fd00::1' } as const;
/** What the stack asks from; it answers for every address that is routed to it: 203.0.113.0/24 and 2001:db8::/32, too. */
export const STACK = { 4: '10.0.0.2', 6: 'fd00::2' } as const;
/** Here it echoes in sessions. */
export const SESSIONS = '203.0.113.99';
/** Of the kernel. */
export const CLOSED_PORT = 9;
