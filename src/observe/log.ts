/** The log: pino, as lines of text for people and journald, or as JSON. On stderr, so that nothing mixes with output. */
import { fstatSync } from 'node:fs';
import { isatty } from 'node:tty';
import { pino, type Logger } from 'pino';
import { prettyFactory } from 'pino-pretty';
import { SYSTEM_CLOCK, type Clock } from '../clock.js';
import { RateLimit } from '../kit/rate_limit.js';
import { OBSERVE } from '../policy.js';
import { standardError } from './log_output.js';

const STDERR = 2;

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
  readonly #told = new Set<string>();
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

  /** What holds for many connections is said of the first. */
  sayOnce(level: 'info' | 'warn' | 'error', what: string, sentence: string): void {
    if (this.#told.has(what)) return;
    this.#told.add(what);
    this.#log[level](sentence);
  }
}

export function createLog({ level, format }: { level: LogLevel; format: LogFormat }): Log {
  const output = standardError();
  const form = format === 'json' ? (line: string) => line : textForm();
  output.sayLeftOut = (lines) => {
    let said = '';
    const log = pino({ level: 'warn' }, { write: (line) => void (said = form(line)) });
    log.warn(`${lines} lines of the log are left out here: they came faster than they were read`);
    return said;
  };
  return pino({ level }, { write: (line) => output.write(form(line)) });
}

/** A line for people. A terminal shows it when it comes, and the journal has the time of its own. */
function textForm(): (line: string) => string {
  const timed = !isatty(STDERR) && !isJournal();
  return prettyFactory({
    colorize: isatty(STDERR),
    ignore: `pid,hostname${timed ? '' : ',time'}`,
    translateTime: 'SYS:yyyy-mm-dd HH:MM:ss.l o',
    singleLine: true,
  });
}

/** Whether journald reads: JOURNAL_STREAM is the device and inode of its socket, as systemd.exec(5) says. */
function isJournal(): boolean {
  const { dev, ino } = fstatSync(STDERR, { bigint: true });
  return process.env['JOURNAL_STREAM'] === `${dev}:${ino}`;
}
