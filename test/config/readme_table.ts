/** The table of flags in README.md, as the schema has them. */
import { yesNo } from '../../src/config/kinds.js';
import { OPTIONS, type Option, type Schema } from '../../src/config/schema.js';

const [client, server]: [Schema, Schema] = [OPTIONS.client, OPTIONS.server];

const HEADINGS = ['Tunnel', 'Host', 'Data plane', 'Log'];

function place({ heading }: Option<unknown>): number {
  return HEADINGS.indexOf(heading);
}

/** One row for each option; two where it is another thing for the server. */
export function readmeTable(): string {
  const sorted = Object.entries(client).sort(([, one], [, other]) => place(one) - place(other));
  const rows = sorted.flatMap(([name, option]) => {
    const other = server[name];
    if (other && other.help !== option.help) return [row(name, option, undefined), row(name, undefined, other)];
    return [row(name, option, other)];
  });
  const phantun = Object.entries(client).filter(([, option]) => option.phantun);
  return [
    '| flag | takes | client | server | |',
    '|---|---|---|---|---|',
    ...rows,
    '',
    `phantun has ${phantun.map(([name]) => `\`--${name}\``).join(', ')} too, with the same meaning and defaults.`,
  ].join('\n');
}

function row(name: string, atClient: Option<unknown> | undefined, atServer: Option<unknown> | undefined): string {
  const { alias, help, kind, ...option } = (atClient ?? atServer)!;
  const flags = [...(alias === undefined ? [] : [`-${alias}`]), `--${name}`];
  if (option.default === true) flags.push(`--no-${name}`);
  const takes = kind === yesNo ? '–' : kind.form;
  return `| ${flags.map((flag) => `\`${flag}\``).join(', ')} | ${takes} | ${usual(atClient)} | ${usual(atServer)} | ${help} |`;
}

function usual(option: Option<unknown> | undefined): string {
  if (option === undefined) return '–';
  if (option.required) return 'required';
  return 'default' in option ? option.kind.write(option.default) : (option.otherwise ?? '');
}
