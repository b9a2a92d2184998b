/** Runs the host's own tools (`ip`, `nft`) and turns their failures into one sentence. */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { GuiseError } from '../errors.js';

const PACKAGES: Record<string, string> = { ip: 'iproute2', nft: 'nftables' };

/**
 * @param input given to the tool's standard input
 * @returns its standard output
 * @throws {GuiseError} ERR_GUISE_SETUP with what the tool said
 */
export async function run(command: string, args: readonly string[], input = ''): Promise<string> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  child.stdin.on('error', () => {}); // the exit code tells more than EPIPE
  child.stdin.end(input);
  try {
    const [code, output, complaint] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
    if (code === 0) return output;
    const said = complaint.trim().split('\n')[0] ?? '';
    throw new GuiseError('ERR_GUISE_SETUP', `\`${command} ${args.join(' ')}\` failed: ${said}`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    const mend = `install it (package ${PACKAGES[command] ?? command})`;
    throw new GuiseError('ERR_GUISE_SETUP', `The program \`${command}\` is missing: ${mend}.`, { cause: error });
  }
}
