// The parameters of one Bind as the router reads them: in place, by offsets, nothing copied.
import { type BindMessage, bindValue, formatOf } from '../protocol/client-message.ts';
import type { BoundParameters } from '../routing/plan.ts';

export class BoundValues implements BoundParameters {
  readonly count: number;
  readonly #bind: BindMessage;
  readonly #chunk: Buffer;
  readonly #types: readonly number[];

  constructor(bind: BindMessage, chunk: Buffer, types: readonly number[]) {
    this.count = bind.parameterCount;
    this.#bind = bind;
    this.#chunk = chunk;
    this.#types = types;
  }

  format(index: number): 0 | 1 {
    return formatOf(this.#bind.parameterFormats, index) === 1 ? 1 : 0;
  }

  bytes(index: number): Buffer | null {
    return bindValue(this.#bind, this.#chunk, index);
  }

  typeOid(index: number): number {
    return this.#types[index] ?? 0;
  }
}
