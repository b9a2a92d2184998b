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

/** What a module exports, aliases followed; and the checker that knows it. */
export function exportsOf(program: ts.Program, file: string): { exported: ts.Symbol[]; checker: ts.TypeChecker } {
  const checker = program.getTypeChecker();
  const exported = checker
    .getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(file)!)!)
    .map((symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol));
  return { exported, checker };
}

/** What is wrong with what stands above exports: no sentence, no example, or one that does not compile. */
export function undocumented(exported: readonly ts.Symbol[], checker: ts.TypeChecker): string[] {
  const wrong: string[] = [];
  const examples: Record<string, string> = {};
  for (const symbol of exported) {
    const sentence = ts.displayPartsToString(symbol.getDocumentationComment(checker));
    if (sentence.length <= 10) wrong.push(`${symbol.name} does not say what it is`);
    const tag = symbol.getJsDocTags(checker).find(({ name }) => name === 'example');
    const code = /```ts\n(.*?)```/s.exec(ts.displayPartsToString(tag?.text))?.[1];
    if (!code) wrong.push(`${symbol.name} has no example`);
    examples[`test/types/${symbol.name}.ts`] = `${code ?? ''}\nexport {};\n`;
  }
  return [...wrong, ...complaints(programOf(examples))];
}

/** What the compiler has to say, a line each. */
export function complaints(program: ts.Program): string[] {
  return ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => {
    const line = file && start !== undefined ? ts.getLineAndCharacterOfPosition(file, start).line + 1 : 0;
    return `${file?.fileName.replace(`${root}/`, '')}:${line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
  });
}
