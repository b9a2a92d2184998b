/** `guise netstack`: one of its programs, from its command line to an exit code: 0 done, 1 failed, 2 wrong usage. */
import { sentenceFor } from '../cli/flag_advice.js';
import { usageError, UsageError } from '../errors.js';
import { SET_UP, type Tool } from './tool.js';

const TOOLS: Readonly<Record<string, () => Promise<Tool>>> = {
  echo: () => import('./echo.js'),
  forward: () => import('./forward.js'),
  socks: () => import('./socks.js'),
  nc: () => import('./nc.js'),
};

const HELP = `guise netstack echo      sends back what comes, on every address and port of a TUN
guise netstack forward   leads what comes by a TUN to the network, out by an interface of your choice
guise netstack socks     leads what comes by a TUN through a SOCKS5 proxy
guise netstack nc        connects or listens on a TUN from the shell, as nc

See \`guise netstack forward --help\` and the like.

${SET_UP}`;

// Whoever has read it has gone.
process.stdout.on('error', () => process.exit(1));
try {
  await run(process.argv.slice(3));
  await new Promise((resolve) => process.stdout.write('', resolve));
  // Proxies and pings may still be waited for.
  process.exit(0);
} catch (error) {
  process.stderr.write(`guise: ${sentenceFor(error, new Map([['tun', '--tun']]))}\n`);
  process.exit(error instanceof UsageError ? 2 : 1);
}

async function run([name, ...args]: readonly string[]): Promise<void> {
  if (name === '--help' || name === '-h') {
    process.stdout.write(`${HELP}\n`);
    return;
  }
  const load = name !== undefined && Object.hasOwn(TOOLS, name) ? TOOLS[name] : undefined;
  if (!load) {
    const what = name === undefined ? 'Say which program' : `"${name}" is no program of it`;
    throw usageError('ERR_GUISE_USAGE', { what, program: 'guise netstack' });
  }
  const tool = await load();
  if (args.includes('--help') || args.includes('-h')) process.stdout.write(`${tool.HELP}\n\n${SET_UP}\n`);
  else await tool.run(args, endSignal());
}

/** Aborts with the first SIGINT or SIGTERM; a second one ends the process at once. */
function endSignal(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => controller.abort());
  return controller.signal;
}
