/** Where the others' programs are. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A program by its environment variable, or from PATH. */
export function whereIs(name: string, variable: string): string | undefined {
  const named = process.env[variable];
  const candidates = named ? [named] : (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, name));
  return candidates.find(isProgram);
}

export function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Says why a program cannot be run, or nothing. */
export function needs(name: string, variable: string): () => string | undefined {
  return () => (whereIs(name, variable) ? undefined : `no ${name} on PATH, and ${variable} does not name it`);
}
