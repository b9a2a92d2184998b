/** Runs the host's own tools (`ip`, `nft`) to their end and turns their failures into one sentence. */
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { GuiseError } from '../errors.js';
import { startChild } from './child.js';

/**
 * @param input given to the tool's standard input
 * @returns its standard output
 * @throws {GuiseError} ERR_GUISE_SETUP with what the tool said
 */
export async function run(command: string, args: readonly string[], input = ''): Promise<string> {
  const child = await startChild(command, args);
  const ended = once(child, 'close');
  child.stdin.end(input);
  const [[code], output, complaint] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  if (code === 0) return output;
  const said = complaint.trim().split('\n')[0] ?? '';
  throw new GuiseError('ERR_GUISE_SETUP', `\`${command} ${args.join(' ')}\` failed: ${said}`);
}
