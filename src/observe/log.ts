/** The log: pino, as lines of text for people and journald, or as JSON. On stderr, so that nothing mixes with output. */
import { pino, type Logger } from 'pino';
import { build } from 'pino-pretty';
import { SYSTEM_CLOCK, type Clock } from '../clock.js';
import { RateLimit } from '../fake_tcp/rate_limit.js';
import { OBSERVE } from '../policy.js';

export type Log = Logger;
export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export const LOG_FORMATS = ['text', 'json'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFormat = (typeof LOG_FORMATS)[number];

/** What happens to connections, a line each, as many as somebody can read; those left out are counted. */
export class ConnectionLog {
  readonly #log: Pick<Log, 'info' | 'warn' | 'error'>;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #limit = new RateLimit(OBSERVE.connectionLines);
  #leftOut = 0;

  constructor(log: Pick<Log, 'info' | 'warn' | 'error'>, clock: Pick<Clock, 'now'> = SYSTEM_CLOCK) {
    this.#log = log;
    this.#clock = clock;
  }

  say(level: 'info' | 'warn' | 'error', sentence: string): void {
    if (!this.#limit.take(this.#clock.now())) {
      this.#leftOut++;
      return;
    }
    if (this.#leftOut > 0) this.#log.info(`${this.#leftOut} lines about connections left out`);
    this.#leftOut = 0;
    this.#log[level](sentence);
  }
}

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
