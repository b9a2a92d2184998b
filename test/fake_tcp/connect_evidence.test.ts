import t from 'tap';
import { connectError, connectWarning } from '../../src/errors.js';
import { ConnectEvidence, hopsOf, type ConnectFact, type Leaving } from '../../src/fake_tcp/connect_evidence.js';

const REMOTE = { address: '203.0.113.7', port: 443 };
const LEAVING: Leaving = {
  source: '10.0.1.2',
  interface: 'eth0',
  nextHop: '10.0.1.1',
  isGateway: true,
  isSilent: false,
};

function evidence(...facts: ConnectFact[]): ConnectEvidence {
  const all = new ConnectEvidence();
  for (const fact of facts) all.add(fact);
  return all;
}

const SYN: ConnectFact = { type: 'syn' };

t.test('with nothing but silence the usual advice stays', async (t) => {
  const trouble = evidence(SYN, SYN, SYN).unanswered(LEAVING);
  t.equal(
    connectError('ETIMEDOUT', REMOTE, trouble).message,
    'connect ETIMEDOUT 203.0.113.7:443: No answer to 3 SYNs from 10.0.1.2 by eth0; check the address, and that firewalls ' +
      'on the way let this TCP port pass.',
  );
  t.match(connectWarning(REMOTE, trouble), /^connect 203\.0\.113\.7:443: No answer yet to 3 SYNs from .*[^.]\.$/);
  t.match(connectError('ETIMEDOUT', REMOTE, evidence(SYN).unanswered(undefined)).message, /No answer to 1 SYN; check/);
});

t.test('all causes that are known are in one sentence, each with its mend', async (t) => {
  const { message, code, port } = connectError(
    'ETIMEDOUT',
    REMOTE,
    evidence(
      SYN,
      SYN,
      { type: 'unsent', code: 'ENOBUFS' },
      { type: 'unreachable', from: '198.51.100.1', what: 'that the host is unreachable' },
      { type: 'strange', what: 'RST' },
      { type: 'strange', what: 'SYN-ACK' },
    ).unanswered({ noRoute: 'ENETUNREACH' }),
  );
  t.same([code, port], ['ETIMEDOUT', 443]);
  for (const part of [
    'No answer to 2 SYNs: the kernel did not send 1 of them (ENOBUFS), and this host has no route there (ENETUNREACH)',
    ', and 198.51.100.1 says that the host is unreachable, and RSTs and SYN-ACKs came that do not answer them',
    '; see `ip route` and `ip link`, and see `ip route`, and ask whoever runs',
  ])
    t.ok(message.includes(part), `${part}\n${message}`);
  t.notMatch(message, /[.!?]\s+[A-Z]/, 'one sentence');
});

t.test('a RST is blamed on the next hop only where the server is behind it', async (t) => {
  const refused = (leaving: Leaving | undefined, hopLimit: number, known?: number): string =>
    connectError('ECONNREFUSED', REMOTE, evidence(SYN, { type: 'reset', hopLimit }).refused(leaving, known)).message;
  const usual = /: Nothing listens there; check the port, and that guise-server runs\.$/;
  t.match(refused(LEAVING, 64), /the RST is from 10\.0\.1\.1, the next hop, as its TTL of 64 says; .*\.$/);
  t.match(refused(LEAVING, 255), /the next hop, as its TTL of 255 says/);
  t.match(refused(LEAVING, 63), usual);
  t.match(refused({ ...LEAVING, isGateway: false, nextHop: REMOTE.address }, 64), usual, 'it is the server itself');
  t.match(refused(undefined, 64), usual);
  t.match(refused(LEAVING, 62, 50), /has come through 2 routers and what the server sends through 14/);
  t.match(refused(LEAVING, 52, 50), usual, 'another way');
  t.match(refused(LEAVING, 242, 51), usual, 'another way, of a kernel that begins with another TTL');
});

t.test('routers are counted from what senders begin with', async (t) => {
  t.same([64, 63, 65, 128, 127, 129, 255, 1].map(hopsOf), [0, 1, 63, 0, 1, 126, 0, 63]);
});
