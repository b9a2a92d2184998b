/** The compiler, for tests of types and of what documents say. */
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** The checkout. */
export const root = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2023,
  lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  strict: true,
  exactOptionalPropertyTypes: true,
  noEmit: true,
  skipLibCheck: true,
  types: ['node'],
};

/** A program of texts that stand in the checkout, by their names; `guise` is what is built in dist/src. */
export function programOf(texts: Readonly<Record<string, string>>): ts.Program {
  const files = new Map(Object.entries(texts).map(([name, text]) => [`${root}/${name}`, text]));
  const host = ts.createCompilerHost(OPTIONS);
  const underneath = { ...host };
  host.getSourceFile = (name, language) => {
    const text = files.get(name);
    if (text !== undefined) return ts.createSourceFile(name, text, language);
    return underneath.getSourceFile(name, language);
  };
  host.fileExists = (name) => files.has(name) || underneath.fileExists(name);
  host.readFile = (name) => files.get(name) ?? underneath.readFile(name);
  return ts.createProgram([...files.keys()], OPTIONS, host);
}

/** What the compiler has to say, a line each. */
export function complaints(program: ts.Program): string[] {
  return ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => {
    const line = file && start !== undefined ? ts.getLineAndCharacterOfPosition(file, start).line + 1 : 0;
    return `${file?.fileName.replace(`${root}/`, '')}:${line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
  });
}
