// Reads the Dockerfile, so that the image built without Docker comes from the same list of files and cannot drift; pure.

export type Instruction =
  | {
      readonly kind: 'copy';
      readonly from: string | undefined;
      readonly sources: readonly string[];
      readonly to: string;
    }
  | { readonly kind: 'run'; readonly command: string }
  | { readonly kind: 'workdir'; readonly folder: string }
  | { readonly kind: 'env'; readonly name: string; readonly value: string }
  | { readonly kind: 'label'; readonly name: string; readonly value: string }
  | { readonly kind: 'user'; readonly user: string }
  | { readonly kind: 'expose'; readonly port: string }
  | { readonly kind: 'entrypoint'; readonly argv: readonly string[] };

export interface Stage {
  /** Its name by AS, or its number. */
  readonly name: string;
  readonly instructions: readonly Instruction[];
  /** The stage's own lines, which belong into its key. */
  readonly text: string;
}

/** Thrown for an instruction or a form that the build without Docker does not know. */
export class UnknownInstruction extends Error {
  override readonly name = 'UnknownInstruction';
}

/** The stages of a Dockerfile in order; the last one is the image. Throws {@link UnknownInstruction}. */
export function parseDockerfile(text: string): Stage[] {
  const stages: { name: string; instructions: Instruction[]; text: string }[] = [];
  for (const line of logicalLines(text)) {
    const [, word = '', rest = ''] = /^(\S+)\s+(.*)$/.exec(line) ?? [];
    const stage = stages.at(-1);
    if (word === 'FROM') {
      const name = / AS (\S+)$/.exec(rest)?.[1] ?? String(stages.length);
      stages.push({ name, instructions: [], text: '' });
    } else if (stage === undefined) {
      if (word !== 'ARG') throw new UnknownInstruction(`before the first FROM: ${line}`);
    } else {
      stage.instructions.push(parseInstruction(word, rest, line));
      stage.text += `${line}\n`;
    }
  }
  return stages;
}

function logicalLines(text: string): string[] {
  return text
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

function parseInstruction(word: string, rest: string, line: string): Instruction {
  switch (word) {
    case 'COPY':
      return parseCopy(rest, line);
    case 'RUN':
      // Run in a folder of this machine, so an absolute path would mean another place than in Docker.
      if (rest.startsWith('[') || rest.startsWith('--') || / \//.test(rest)) throw new UnknownInstruction(line);
      return { kind: 'run', command: rest };
    case 'WORKDIR':
      return { kind: 'workdir', folder: absolute(rest, line) };
    case 'ENV': {
      const [name, value] = pair(rest, line);
      return { kind: 'env', name, value };
    }
    case 'LABEL': {
      const [name, value] = pair(rest, line);
      return { kind: 'label', name, value };
    }
    case 'USER':
      return { kind: 'user', user: rest };
    case 'EXPOSE':
      return { kind: 'expose', port: rest };
    case 'ENTRYPOINT':
      return { kind: 'entrypoint', argv: stringArray(rest, line) };
    default:
      throw new UnknownInstruction(line);
  }
}

function parseCopy(rest: string, line: string): Instruction {
  const words = rest.split(/\s+/);
  const from = /^--from=(\S+)$/.exec(words[0] ?? '')?.[1];
  const paths = from === undefined ? words : words.slice(1);
  const to = paths.at(-1);
  if (to === undefined || paths.length < 2 || paths.some((path) => path.startsWith('--') || /[*?[]/.test(path))) {
    throw new UnknownInstruction(line);
  }
  return { kind: 'copy', from, sources: paths.slice(0, -1), to };
}

function absolute(folder: string, line: string): string {
  if (!folder.startsWith('/')) throw new UnknownInstruction(line);
  return folder;
}

function pair(rest: string, line: string): [string, string] {
  const [, name, value] = /^([\w.-]+)=("[^"]*"|\S*)$/.exec(rest) ?? [];
  if (name === undefined || value === undefined) throw new UnknownInstruction(line);
  return [name, value.replaceAll('"', '')];
}

function stringArray(rest: string, line: string): string[] {
  try {
    const parsed: unknown = JSON.parse(rest);
    if (Array.isArray(parsed) && parsed.every((each) => typeof each === 'string')) return parsed;
  } catch {
    // Falls through to the refusal: the shell form would put a shell in front of the program.
  }
  throw new UnknownInstruction(line);
}

/** Where COPY puts one source, by Docker's rules: into a folder when the target ends with a slash or there are several. */
export function copyTarget(
  copy: Extract<Instruction, { kind: 'copy' }>,
  source: string,
  workFolder: string,
  sourceIsFolder: boolean,
): string {
  const base = copy.to.startsWith('/') ? copy.to : `${workFolder}/${copy.to}`;
  const clean = base.replaceAll('/./', '/').replace(/\/\.$/, '/');
  if (!clean.endsWith('/')) return clean;
  // A folder's content is copied, not the folder.
  return sourceIsFolder ? clean.replace(/\/+$/, '') : `${clean}${source.split('/').at(-1) ?? ''}`;
}

/** What the Dockerfile takes from the build context, sorted: the files that .dockerignore must let through. */
export function contextSources(stages: readonly Stage[]): string[] {
  const sources = stages.flatMap(({ instructions }) =>
    instructions.flatMap((each) => (each.kind === 'copy' && each.from === undefined ? each.sources : [])),
  );
  return [...new Set(sources)].toSorted();
}
