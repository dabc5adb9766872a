// A sink that writes down what it hears, in words, and can be waited for.
import { typeName } from '../../../src/protocol/message-type.ts';
import type { ConnectionLost } from '../../../src/shard/branch-link.ts';
import type { ReplySink } from '../../../src/shard/reply-sink.ts';

export class RecordingSink implements ReplySink {
  readonly heard: string[] = [];
  readonly name: string;
  readonly log: string[];
  lostWith: ConnectionLost | undefined;
  onHeard: ((what: string) => void) | undefined;
  readonly over: Promise<void>;
  #end: () => void = () => undefined;

  constructor(name = '', log: string[] = []) {
    this.name = name;
    this.log = log;
    this.over = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  frame(type: number): void {
    this.#hear(typeName(type));
  }

  chunkEnd(): void {
    this.#hear('flush');
  }

  ready(status: number): void {
    this.#hear(`ready ${typeName(status)}`);
    this.#end();
  }

  lost(lost: ConnectionLost): void {
    this.lostWith = lost;
    this.#hear(`lost ${lost.reason}`);
    this.#end();
  }

  #hear(what: string): void {
    this.heard.push(what);
    this.log.push(`${this.name}:${what}`);
    this.onHeard?.(what);
  }
}
