/** The log: pino, as lines of text for people and journald, or as JSON. On stderr, so that nothing mixes with output. */
import { pino, type Logger } from 'pino';
import { build } from 'pino-pretty';

export type Log = Logger;
export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export const LOG_FORMATS = ['text', 'json'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFormat = (typeof LOG_FORMATS)[number];

export function createLog({ level, format }: { level: LogLevel; format: LogFormat }): Log {
  const stderr = pino.destination({ dest: 2, sync: true });
  if (format === 'json') return pino({ level }, stderr);
  const pretty = build({
    colorize: process.stderr.isTTY,
    ignore: 'pid,hostname,time',
    singleLine: true,
    destination: stderr,
    sync: true,
  });
  return pino({ level }, pretty);
}
