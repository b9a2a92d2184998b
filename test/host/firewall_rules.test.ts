import t from 'tap';
import { rules, tableName } from '../../src/host/firewall_rules.js';

t.test("a client's packets are masqueraded, wherever they leave", async (t) => {
  t.equal(
    rules({ role: 'client', tun: 'tun0', peer4: '192.168.200.2', peer6: 'fcc8::2' }),
    `table inet guise_tun0 {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname != "tun0" ip saddr 192.168.200.2 counter masquerade
    oifname != "tun0" ip6 saddr fcc8::2 counter masquerade
  }
}`,
  );
});

t.test("a server's port is led to it on each address of the host, and not for what only passes", async (t) => {
  const text = rules(
    { role: 'server', tun: 'tun0', peer4: '192.168.201.2', listening: { address: '::', port: 443 } },
    'owner',
  );
  t.match(text, 'flags owner\n');
  t.match(text, 'iifname != "tun0" fib daddr type local meta nfproto ipv4 tcp dport 443 dnat ip to 192.168.201.2\n');
  t.notMatch(text, 'ip6', 'without an IPv6 address there is no rule for one');
});

t.test('a table is named after its interface, in characters that nft takes', async (t) => {
  t.equal(tableName('wg-0.a'), 'guise_wg_0_a');
});
